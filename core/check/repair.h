// SPDX-License-Identifier: Apache-2.0
/*
 * repair: put right what check finds in a store that nobody has open, as far as that can be done
 * without losing anything.
 *
 *   counts of pages and objects     as the recount gives. They are only raised where damage hides
 *                                   references, or rows are lost that may have been namespaces
 *                                   (REPAIR_ROWS_LOST); those of sealed objects also while another
 *                                   object is named and not in the table: it may have been an alias
 *   ids, dying, packs, state        as the entries say; a lost state record is made anew
 *   link counts, directories        sizes, link counts, parents, types of entries as the names say
 *   inodes without a name, circles  a name "#INO" in NS/lost+found, which is made if need be
 *   entries that no lookup finds    moved to the hash of their name, else to lost+found
 *   next inode numbers              above all in use, and above those of entries that lead nowhere
 *   objects without an entry        adopted, if their bytes are found (check_adopt.c)
 *   the memory of GC cycles         if it is damaged all of it is forgotten: graces begin anew
 *
 *   the log of a store not closed   it is replayed first, up to the damage, or up to the first
 *                                   change that cannot be made; the segments of a damaged log are
 *                                   kept (log/damaged.*). Counts of pages that may be lost are
 *                                   corrected even before that (REPAIR_SALVAGED)
 *
 * Some things are deleted only if the caller asks for it. REPAIR_REMOVE_DANGLING: entries that lead
 * nowhere, second names of directories, pins on nothing. REPAIR_FREE_LEAKS: pages, objects, files
 * and items that nothing needs, unless damage hides what may need them, or rows that may have named
 * them are lost. Never changed are damaged pages and bytes, and names and link counts of a
 * namespace with a part that cannot be read.
 *
 * A repair works in rounds: it looks at the store, and then makes one kind of change in one commit.
 * Tables are changed first, since a tree is written by the counts of its pages; then names; then
 * attributes of inodes. After an interruption the repair can simply be run again.
 *
 * Errors: those of store_check, and -EUCLEAN: the identity or a whole table cannot be read, or the
 * changes in the log cannot be replayed, so nothing may be changed. The round that failed has
 * changed nothing; the changes of earlier rounds stay. Memory: that of a check, and about 200 bytes
 * for each thing to be repaired.
 */
#pragma once

#include "check.h"
#include "clock.h"

enum repair_flags {
    REPAIR_REMOVE_DANGLING = 1 << 0,
    REPAIR_FREE_LEAKS = 1 << 1,
    REPAIR_DRY_RUN = 1 << 2, /* only report what the first round would do */
    /* Rows of the tables may be lost, with a part of their file (kv_salvage_lmdb) or with the key
     * of a count of a page (store_dir.c). So the counts of pages are corrected before the log is
     * replayed: a page without a row counts as used once, and a replayed change would overwrite
     * it. */
    REPAIR_SALVAGED = 1 << 3,
    /* Rows of any table may be lost, with a part of their file. That is noted durably (lost.h)
     * before anything is repaired: what these rows named looks like leaks from then on. A later
     * repair with REPAIR_FREE_LEAKS, and without this flag, gives it up. */
    REPAIR_ROWS_LOST = 1 << 4,
};

struct repair_options {
    unsigned flags;
    const struct clock *clock;  /* the source of times for inodes that are made */
    struct check_options check; /* receives the findings of the first look, and progress */
    /* Reports a change, with arguments as check.found: the state after it (in a dry run: the state
     * that it would give). */
    void (*repaired)(const char *what, const char *where, const char *sentence, void *ctx);
    /* Reports what the last look still found. Not called if nothing was changed: then it is what
     * the first look found. */
    void (*left)(const char *what, const char *where, const char *sentence, void *ctx);
};

struct repair_result {
    struct check_result found; /* by the first look */
    uint64_t repaired;
    uint64_t left; /* findings that are damage, by the last look */
};

struct replay_limit;
/* Open the store and close it again. Opening replays the log up to the damage, or up to
 * limit->until (state_config.h); after the close the replayed changes are in a commit. -EUCLEAN
 * with limit->refused: the log itself is the reason of the failure. */
typedef int repair_replay_fn(struct disk *disk, struct kv *kv, const struct repair_options *o,
                             struct replay_limit *limit);
/* Repair a store. `replay` opens and closes it; store_repair (core/store) calls this with a
 * function that does. */
int repair_with(struct disk *disk, struct kv *kv, const struct repair_options *o,
                repair_replay_fn *replay, struct repair_result *ret);
