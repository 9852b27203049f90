// SPDX-License-Identifier: Apache-2.0
/*
 * workloads: what the store is doing when the power goes. Each is a list of operations without a
 * branch, so that write number k is in the same place in every run. Spaces: 0 is "main".
 */
#include "crash.h"

#define KIB ((size_t)1024)

static void small(void)
{
    for (unsigned i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%u", i);
        op_write(0, name, 0, 10 + 700 * i, i);
    }
    op_flush();
    op_write(0, "f1", 100, 900, 20);
    op_write(0, "f2", 0, 5000, 21);
    op_unlink(0, "f3");
    op_flush();
    op_write(0, "tmp", 0, 3000, 22);
    op_rename(0, "tmp", "f4");
    op_truncate(0, "f5", 17);
    op_flush();
    op_write(0, "tmp", 0, 6000, 23);
    op_rename(0, "tmp", "f4");
    op_truncate(0, "f0", 0);
    op_truncate(0, "f1", 40000);
    op_drain(false);
    op_unlink(0, "f4");
    op_unlink(0, "f5");
    op_drain(true);
}

static void dedup(void)
{
    op_write(0, "a1", 0, 4000, 1);
    op_write(0, "a2", 0, 4000, 1);
    op_write(0, "big1", 0, 300 * KIB, 2);
    op_flush();
    op_write(0, "a3", 0, 4000, 1);
    op_write(0, "big2", 0, 300 * KIB, 2);
    op_drain(false);
    op_write(0, "big3", 0, 300 * KIB, 2);
    op_unlink(0, "a1");
    op_unlink(0, "big1");
    op_drain(false);
    op_unlink(0, "a2");
    op_unlink(0, "big2");
    op_unlink(0, "big3");
    op_flush();
    op_write(0, "a4", 0, 4000, 1);
    op_write(0, "big4", 0, 300 * KIB, 2);
    op_drain(false);
    op_unlink(0, "a3");
    op_unlink(0, "a4");
    op_unlink(0, "big4");
    op_drain(true);
}

static void large(void)
{
    op_write(0, "big", 0, 200 * KIB, 1);
    op_flush();
    op_write(0, "big", 200 * KIB, 150 * KIB, 2);
    op_flush();
    op_write(0, "big", 350 * KIB, 250 * KIB + 77, 3);
    op_advance(60000);
    op_flush();
    op_write(0, "big", 130 * KIB, 4 * KIB, 4); /* an overlay from here on */
    op_flush();
    op_write(0, "big", 131 * KIB, 10, 5);
    op_write(0, "big", 700 * KIB, 1000, 6);
    op_drain(false);
    op_truncate(0, "big", 260 * KIB + 5);
    op_flush();
    op_truncate(0, "big", 400 * KIB);
    op_write(0, "big", 300 * KIB, 100, 7);
    op_drain(false);
    op_write(0, "big", 0, 1, 8);
    op_truncate(0, "big", 100);
    op_flush();
    op_truncate(0, "big", 0);
    op_write(0, "big", 0, 140 * KIB, 9);
    op_drain(true);
}

/* Slots changed in place between commits: after a cut each byte is an old or a new one. */
static void slot(void)
{
    w.loose = true;
    op_write(0, "s", 0, 300 * KIB, 1);
    op_flush();
    op_write(0, "s", 140 * KIB, 20 * KIB, 2);
    op_write(0, "s", 299 * KIB, 5 * KIB, 3);
    op_flush();
    op_write(0, "s", 10, 10, 4);
    op_drain(false);
    op_write(0, "t", 0, 200 * KIB, 5);
    op_flush();
    op_write(0, "t", 100, 100 * KIB, 6);
    op_unlink(0, "s");
    op_flush();
    op_unlink(0, "t");
    op_drain(true);
}

/* Cutting a slot short must not harm what the last commit says of it. */
static void shrink(void)
{
    op_write(0, "s", 0, 300 * KIB, 1);
    op_write(0, "t", 0, 200 * KIB, 2);
    op_flush();
    op_truncate(0, "s", 150 * KIB + 3);
    op_truncate(0, "t", 1000);
    op_write(0, "x", 0, 150 * KIB, 3);
    op_write(0, "x", 150 * KIB, 150 * KIB, 4);
    op_truncate(0, "x", 200 * KIB);
    op_flush();
    op_write(0, "s", 170 * KIB, 10, 5);
    op_write(0, "t", 2000, 300 * KIB, 6);
    op_flush();
    op_truncate(0, "s", 0);
    op_truncate(0, "t", 250 * KIB);
    op_truncate(0, "t", 280 * KIB);
    op_drain(true);
}

/* Few bytes of buffers and small packs: writers flush, and every block has a slot of its own. */
static void pressure(void)
{
    w.loose = true;
    op_short_of_memory();
    for (unsigned i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%u", i % 6);
        op_write(0, name, 0, 0, 0);
        op_write(0, name, 0, 7 * KIB, i);
    }
    op_write(0, "big", 0, 0, 0);
    op_write(0, "big", 0, 300 * KIB, 20);
    op_drain(false);
    op_write(0, "big", 5 * KIB, 20 * KIB, 21);
    op_write(0, "big", 150 * KIB, 20, 22);
    op_write(0, "p1", 3 * KIB, 3 * KIB, 23);
    op_flush();
    op_branch(0, 1);
    op_truncate(0, "big", 155 * KIB);
    op_write(0, "big", 140 * KIB, 30 * KIB, 24);
    op_flush();
    op_truncate(0, "big", 10 * KIB);
    op_write(0, "big", 9 * KIB, 4 * KIB, 25);
    op_drop(1);
    op_drain(true);
}

static void consolidate(void)
{
    op_write(0, "big", 0, 500 * KIB, 1);
    op_drain(false);
    op_write(0, "big", 0, 4 * KIB, 2);
    op_flush();
    op_write(0, "big", 128 * KIB, 300 * KIB, 3); /* mostly changed: made whole when closed */
    op_flush();
    w.loose = true; /* the copy is a slot, which is changed in place */
    op_write(0, "big", 10 * KIB, 3 * KIB, 4);
    op_drain(true);
}

/* Holes in what is sealed, at its end, and in front of what is written. */
static void holes(void)
{
    op_write(0, "big", 0, 900 * KIB, 1);
    op_drain(false);
    op_punch(0, "big", 100 * KIB, 300 * KIB);
    op_flush();
    op_write(0, "big", 260 * KIB, 1000, 2);
    op_punch(0, "big", 700 * KIB, 300 * KIB);
    op_flush();
    op_branch(0, 1);
    op_punch(1, "big", 0, 600 * KIB);
    op_truncate(0, "big", 300 * KIB);
    op_flush();
    op_punch(0, "big", 0, 300 * KIB);
    op_write(0, "far", 400 * KIB, 10, 3);
    op_drain(false);
    op_punch(1, "big", 500 * KIB, 400 * KIB);
    op_truncate(0, "far", 1000 * KIB);
    op_flush();
    op_drop(1);
    op_drain(true);
}

static void branch(void)
{
    op_write(0, "one", 0, 2000, 1);
    op_write(0, "two", 0, 200 * KIB, 2);
    op_branch(0, 1); /* with everything unsealed */
    op_write(1, "one", 50, 500, 3);
    op_write(1, "two", 190 * KIB, 30 * KIB, 4);
    op_flush();
    op_branch(1, 2);
    op_unlink(1, "one");
    op_write(2, "three", 0, 300, 5);
    op_drain(false);
    op_drop(1);
    op_flush();
    op_drop_steps(1);
    op_flush();
    op_drop_steps(1);
    op_write(0, "two", 5, 5, 6);
    op_rename_space(2, 3, false);
    op_flush();
    op_rename_space(3, 0, true);
    op_create_space(1);
    op_drain(false);
    op_drop(3);
    op_flush();
    op_branch(0, 2);
    op_drop(0);
    op_drain(true);
}

static void links(void)
{
    op_create_space(1);
    op_write(0, "small", 0, 3000, 1);
    op_write(0, "big", 0, 260 * KIB, 2);
    op_link(0, "small", 1, "small"); /* both not sealed */
    op_link(0, "big", 1, "big");
    op_flush();
    op_write(1, "small", 10, 10, 3);
    op_write(0, "big", 100 * KIB, 10, 4);
    op_drain(false);
    op_link_object(0, "small", 1, "object");
    op_link_object(1, "big", 0, "object");
    op_share(0, "big", 1, "shared");
    op_unlink(0, "small");
    op_unlink(1, "big");
    op_flush();
    op_write(0, "object", 5, 5, 5);
    op_drain(false);
    op_unlink(1, "object");
    op_unlink(0, "big");
    op_drop(1);
    op_drain(true);
}

static void pins(void)
{
    op_write(0, "a", 0, 3000, 1);
    op_write(0, "b", 0, 200 * KIB, 2);
    op_drain(false);
    op_pin(0, "a");
    op_flush();
    op_unlink(0, "a");
    op_pin(0, "b");
    op_flush();
    op_write(0, "b", 0, 100, 3);
    op_drain(false);
    op_unlink(0, "b");
    op_write(0, "c", 0, 3000, 1); /* equals what only the pin keeps */
    op_flush();
    op_unpin(0);
    op_flush();
    op_unlink(0, "c");
    op_unpin(0);
    op_drain(true);
}

static void orphans(void)
{
    op_write(0, "a", 0, 3000, 1);
    op_write(0, "b", 0, 200 * KIB, 2);
    op_write(0, "c", 0, 300 * KIB, 3);
    op_flush();
    op_open(0, 0, "a");
    op_open(1, 0, "b");
    op_unlink(0, "a");
    op_unlink(0, "b");
    op_flush();
    op_write_open(0, 100, 5000, 4);
    op_write_open(1, 100 * KIB, 150 * KIB, 5);
    op_flush();
    op_close(0);
    op_flush();
    op_drain(false);
    op_close(1);
    op_flush();
    op_branch(0, 1);
    op_open(2, 1, "c");
    op_drop(1); /* by force: its file stays for who has it open */
    op_flush();
    op_write_open(2, 0, 100, 6);
    op_drain(false);
    op_close(2);
    op_drain(true);
}

/* Attributes: in the inode's page, as an object of a pack, and shared with a file and a branch. */
static void xattr(void)
{
    op_write(0, "a", 0, 3000, 1);
    op_write(0, "b", 0, 10, 2);
    op_xattr(0, "a", 100, 3);
    op_xattr(0, "b", 60000, 4);
    op_flush();
    op_xattr(0, "a", 60000, 4); /* equals that of b */
    op_xattr(0, "b", 5000, 5);
    op_flush();
    op_branch(0, 1);
    op_unxattr(0, "a");
    op_xattr(1, "b", 3000, 1); /* equals the file a */
    op_flush();
    op_link(1, "a", 0, "c");
    op_rename(0, "b", "a");
    op_drain(false);
    op_open(0, 0, "c");
    op_unlink(0, "c"); /* an orphan with a large value */
    op_flush();
    op_close(0);
    op_unlink(1, "a");
    op_drain(false);
    op_xattr(0, "a", 0, 0);
    op_drop(1);
    op_flush();
    op_unlink(0, "a");
    op_drain(true);
}

/* Several flushes are in flight, and what they have goes on changing. */
static void several(void)
{
    op_write(0, "a", 0, 3000, 1);
    op_write(0, "big", 0, 300 * KIB, 2);
    op_begin_flush();
    op_write(0, "a", 10, 10, 3);
    op_write(0, "b", 0, 3000, 1); /* equals what is on its way */
    op_advance(60000);
    op_begin_flush(); /* the slot is sealed, which the first calls a slot */
    op_write(0, "big", 100 * KIB, 10, 4);
    op_branch(0, 1);
    op_begin_flush();
    op_unlink(1, "a");
    op_flush();
    op_unlink(0, "big");
    op_begin_flush();
    op_write(0, "big", 0, 300 * KIB, 2);
    op_begin_flush();
    op_unlink(0, "b");
    op_begin_flush();
    op_write(0, "c", 0, 3000, 1);
    op_drain(false);
    op_drop(1);
    op_begin_flush();
    op_drop_steps(1);
    op_begin_flush();
    op_drop_steps(1);
    op_unlink(0, "c");
    op_begin_flush();
    op_flush();
    op_rename(0, "big", "a");
    op_begin_flush();
    op_drain(true);
}

static void heal_record(void)
{
    op_write(0, "a", 0, 9000, 1);
    op_write(0, "other", 0, 100, 3);
    op_drain(false);
    op_damage(0, "a");
    op_write(0, "b", 0, 9000, 1);
    op_flush();
    op_drain(false);
    op_unlink(0, "a");
    op_drain(true);
}

static void heal_file(void)
{
    op_write(0, "a", 0, 300 * KIB, 2);
    op_drain(false);
    op_damage(0, "a");
    op_write(0, "b", 0, 300 * KIB, 2);
    op_flush();
    op_drain(false);
    op_unlink(0, "b");
    op_drain(true);
}

const struct workload workloads[] = {
    {"format", NULL, false},
    {"small", small, false},
    {"dedup", dedup, false},
    {"large", large, false},
    {"slot", slot, false},
    {"shrink", shrink, false},
    {"pressure", pressure, false},
    {"consolidate", consolidate, false},
    {"holes", holes, false},
    {"branch", branch, false},
    {"links", links, false},
    {"pins", pins, false},
    {"orphans", orphans, false},
    {"xattr", xattr, false},
    {"several", several, false},
    {"heal-record", heal_record, false},
    {"heal-file", heal_file, false},
    {"synced", workload_synced, false},
    {"rolled", workload_rolled, false},
    {"spilled", workload_spilled, false},
    {"revived", workload_revived, false},
    {"logged", workload_logged, false},
    {"packed", workload_packed, false},
    {"merged", workload_merged, false},
    {"appends", workload_appends, false},
    {"compacted", workload_compacted, false},
    {"dropped", workload_dropped, false},
    {"subblocks", workload_subblocks, false},
    {"kept", workload_kept, false},
    {"received", workload_received, false},
    {"aside", workload_aside, false},
    {"imported", workload_imported, false},
    {"moved", workload_moved, false},
    {"recalled", workload_recalled, false},
    {"swept", workload_swept, false},
    {"chance", workload_chance, true},
    {"slots", workload_slots, true},
};
const size_t workload_count = sizeof workloads / sizeof workloads[0];
