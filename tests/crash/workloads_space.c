// SPDX-License-Identifier: Apache-2.0
/* workloads_space: space comes back: packs are rewritten, dropped trees worked off in steps; and
 * little is taken: a few bytes written into large files are subblock extents. */
#include "crash.h"

#define KIB ((size_t)1024)

static const char *name_of(char what, unsigned i)
{
    static char name[8];

    snprintf(name, sizeof name, "%c%u", what, i % 100);
    return name;
}

/* Packs of 200 KiB lose every other record and are rewritten, beside objects with a file of their
 * own, a slot, what is only in the log, and a branch. */
void workload_compacted(void)
{
    w.loose = true; /* the slot is changed in place */
    for (unsigned i = 0; i < 12; i++)
        op_write(0, name_of('p', i), 0, 40 * KIB, i);
    op_write(0, "big", 0, 150 * KIB, 20);
    op_drain(false);
    op_branch(0, 1);
    op_write(0, "slot", 0, 140 * KIB, 21);
    op_flush();
    for (unsigned i = 0; i < 12; i += 2) {
        op_unlink(0, name_of('p', i));
        op_unlink(1, name_of('p', i));
    }
    op_write(0, "slot", 130 * KIB, 2 * KIB, 22);
    op_compact(2);
    op_write(1, "p1", 100, 1000, 23);
    op_sync();
    op_unlink(0, "p3");
    op_unlink(1, "p3");
    op_unlink(0, "big");
    op_unlink(0, "p1");
    op_unlink(1, "p5"); /* alone: what dies side by side becomes a hole, and that is no garbage */
    op_write(0, "p5", 0, 40 * KIB, 7); /* equals p7, which is being moved */
    op_begin_flush();
    op_drop(1);
    op_compact(1);
    op_write(0, "new", 0, 40 * KIB, 9); /* equals p9 at its new place */
    op_drain(false);
    op_unlink(0, "slot");
    op_compact(0);
    op_drain(true);
}

/* Trees of several pages, which three namespaces share in turn; whoever shares one goes on writing
 * while another's is worked off. */
void workload_dropped(void)
{
    for (unsigned i = 0; i < 7; i++) {
        op_write(0, name_of('d', i), 0, i % 3 == 2 ? 140 * KIB : 700, i);
        op_xattr(0, name_of('d', i), 1700, 10 + i);
    }
    op_drain(false);
    op_branch(0, 1);
    op_branch(0, 2);
    op_write(1, "d1", 0, 300, 30);
    op_xattr(2, "d6", 1500, 31);
    op_flush();
    op_drop(0);
    op_flush();
    op_drop_steps(1); /* the others have the root's pages now */
    op_begin_flush();
    op_drop_steps(1);
    op_write(1, "d3", 0, 100, 32);
    op_branch(1, 3);
    op_sync();
    op_drop(2);
    op_drop_steps(1);
    op_flush();
    op_drop_steps(2);
    op_xattr(3, "d0", 1600, 33);
    op_unlink(1, "d2");
    op_flush();
    op_drop(1);
    op_drop_steps(2);
    op_begin_flush();
    op_drop_steps(1);
    op_branch(3, 0);
    op_drop(3); /* nothing of it goes */
    op_drop_steps(1);
    op_flush();
    op_write(0, "d5", 0, 50, 34);
    op_drop(0);
    op_drop_steps(2);
    op_flush();
    op_drain(true);
}

/* Little is written into large sealed files: subblock extents, whole and cut, that are written
 * again, merged, shared, left by what they lay upon. */
void workload_subblocks(void)
{
    op_write(0, "big", 0, 420 * KIB, 1);
    op_drain(false);
    op_write(0, "big", 8 * KIB, 4 * KIB, 2);
    op_write(0, "big", 9 * KIB, 700, 3); /* into it */
    op_write(0, "big", 200 * KIB + 5, 9 * KIB, 4);
    op_write(0, "big", 380 * KIB, 100, 5);
    op_sync();
    op_branch(0, 1);
    op_write(1, "big", 8 * KIB + 5, 10, 6); /* of both, not sealed yet */
    op_flush();
    op_write(0, "big", 10 * KIB, 50, 7); /* sealed: anew */
    op_link(0, "big", 1, "linked");
    op_share(0, "big", 0, "copy");
    op_write(0, "copy", 11 * KIB, 3 * KIB, 8); /* across the edge: the block becomes an extent */
    op_begin_flush();
    for (unsigned i = 0; i < 9; i++) /* the ninth of a block, too */
        op_write(1, "linked", 256 * KIB + i * 12 * KIB, 20, 10 + i);
    op_flush();
    op_truncate(0, "big", 204 * KIB + 9); /* through one */
    op_truncate(0, "big", 300 * KIB);
    op_write(0, "big", 250 * KIB, 10, 20);
    op_sync();
    op_punch(1, "big", 0, 150 * KIB);
    op_punch(1, "big", 202 * KIB, 2 * KIB);
    op_punch(1, "linked", 300 * KIB, 8 * KIB); /* a map */
    op_write(1, "linked", 301 * KIB, 100, 22);
    op_flush();
    op_punch(1, "linked", 312 * KIB, 4 * KIB);
    op_write(0, "copy", 140 * KIB, 280 * KIB, 21); /* most of it: made whole */
    op_drop(1);
    op_flush();
    op_unlink(0, "big");
    op_drain(true);
}

/* Namespaces that come as streams: whole, and as a difference with a large file changed in a part,
 * one that is renamed and one that goes. */
void workload_received(void)
{
    op_write(0, "a", 0, 2000, 1);
    op_write(0, "big", 0, 300 * KIB, 2);
    op_write(0, "gone", 0, 300, 3);
    op_flush();
    op_snapshot(0);
    op_receive_kept(0, 1);
    op_write(1, "a", 50, 500, 4);
    op_write(0, "big", 190 * KIB, 5000, 5);
    op_unlink(0, "gone");
    op_rename(0, "a", "b");
    op_write(0, "new", 0, 5000, 6);
    op_receive_rest(0, 2);
    op_write(2, "big", 0, 10, 7);
    op_flush();
    op_drop(1);
    op_drain(true);
}

/* Large merges, of what is sealed and of what is not. */
void workload_aside(void)
{
    op_write(0, "a", 0, 2000, 1);
    op_write(0, "big", 0, 200 * KIB, 2);
    op_write(0, "gone", 0, 300, 3);
    op_flush();
    op_branch(0, 1);
    op_write(1, "a", 50, 500, 4);
    op_write(1, "big", 190 * KIB, 30 * KIB, 5);
    op_unlink(1, "gone");
    op_write(1, "new", 0, 5000, 6);
    op_write(0, "own", 0, 100, 7);
    op_merge_large(1, 0, false);
    op_write(0, "own", 50, 100, 8);
    op_sync();
    op_write(1, "a", 0, 10, 9);
    op_write(1, "new", 10, 10, 10);
    op_unlink(0, "own-beside");
    op_merge_large(1, 0, true);
    op_write(1, "big", 0, 10, 11);
    op_merge_large(1, 0, false);
    op_undo_merge(); /* the one before */
    op_drop(1);
    op_drain(true);
}

/* Imports into a namespace that has some of what comes: of files, and of their bytes. */
void workload_imported(void)
{
    w.aside = true;
    op_write(0, "a", 0, 2000, 1);
    op_write(0, "import-a", 0, 100, 2);
    op_import(0, 10); /* with nothing sealed */
    op_write(0, "import-b", 0, 10, 3);
    op_write(0, "same", 0, 3000, 20);
    op_drain(false);
    op_import(0, 20);
    op_write(0, "import-a", 0, 10, 4);
    op_unlink(0, "import-b");
    op_sync();
    op_import(0, 20); /* all of which is stored */
    op_write(0, "a", 0, 10, 5);
    op_drain(true);
}

/* Merges into a namespace that moves on, a snapshot, and the trash. */
void workload_kept(void)
{
    op_write(0, "a", 0, 2000, 1);
    op_write(0, "big", 0, 200 * KIB, 2);
    op_write(0, "gone", 0, 300, 3);
    op_flush();
    op_branch(0, 1);
    op_write(1, "a", 50, 500, 4);
    op_write(1, "big", 190 * KIB, 30 * KIB, 5);
    op_unlink(1, "gone");
    op_write(1, "new", 0, 5000, 6);
    op_write(0, "own", 0, 100, 7);
    op_merge(1, 0); /* with nothing sealed */
    op_flush();
    op_snapshot(0);
    op_write(1, "a", 0, 10, 8);
    op_rename(1, "new", "newer");
    op_drain(false);
    op_merge(1, 0);
    op_trash(1);
    op_flush();
    op_undrop(1);
    op_write(1, "big", 0, 10, 9);
    op_merge(1, 0);
    op_undo_merge(); /* the one before */
    op_flush();
    op_trash(1);
    op_undo_trash(1);
    op_branch_snapshot(0, 2);
    op_undo_branch(2);
    op_undrop(2);
    op_drop(1);
    op_trash(2);
    op_drain(true);
}
