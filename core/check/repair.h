// SPDX-License-Identifier: Apache-2.0
/*
 * repair: put right what check finds in a store that nobody has open, as far as that can be done
 * without losing anything.
 *
 *   counts of pages and objects     as the recount gives; under damage they are only raised
 *   ids, dying, packs, state        as the entries say; a lost state record is made anew
 *   link counts, directories        sizes, link counts, parents, types of entries as the names say
 *   inodes without a name, circles  a name "#INO" in NS/lost+found, which is made if need be
 *   entries that no lookup finds    under the hash of their name, else in lost+found
 *   next inode numbers              above all in use, and above what entries lead to in vain
 *   objects without an entry        adopted, if their bytes are found (check_adopt.c)
 *   what GC cycles remembered       where it is damaged, all of it is forgotten: graces begin anew
 *
 *   the log of a store not closed   is replayed first, up to damage, or to the first change that
 *                                   cannot be made; the segments of such a one are kept
 *                                   (log/damaged.*). Counts of pages that may be lost come even
 *                                   before (REPAIR_SALVAGED)
 *
 * Never deleted unless asked: entries that lead nowhere, second names of directories, pins on
 * nothing (REPAIR_REMOVE_DANGLING); pages, objects, files and items that nothing needs
 * (REPAIR_FREE_LEAKS; not while damage hides who may need them). Never touched: damaged pages and
 * bytes, and names and link counts of a namespace a part of which cannot be read.
 *
 * It goes in rounds of look and change. Each change is one commit: of the tables first, since trees
 * are written by their counts, then of names, then of what directories say of themselves. Cut
 * anywhere, it can simply be run again.
 *
 * Errors: what store_check returns, and -EUCLEAN: the identity or a whole table cannot be read,
 * or the changes in the log cannot be replayed, so that nothing may be changed. Nothing of the
 * round that failed is changed; what earlier ones did stays. Memory: check's, and some 200 bytes
 * for each thing to be repaired.
 */
#pragma once

#include "check.h"
#include "clock.h"

enum repair_flags {
    REPAIR_REMOVE_DANGLING = 1 << 0,
    REPAIR_FREE_LEAKS = 1 << 1,
    REPAIR_DRY_RUN = 1 << 2, /* say what the first round would do */
    /* Rows of the tables may be lost with their file (kv_salvage_lmdb): the counts of pages are put
     * right before the log is replayed, for a page without one counts as nobody else's. */
    REPAIR_SALVAGED = 1 << 3,
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
    uint64_t left; /* problems that are damage still */
};

struct replay_limit;
/* Open the store, which replays its log up to the damage, or to limit->until (state_config.h), and
 * close it: the changes are in a commit then. limit->refused: the log is why that failed
 * (-EUCLEAN). */
typedef int repair_replay_fn(struct disk *disk, struct kv *kv, const struct repair_options *o,
                             struct replay_limit *limit);
/* `replay` is what opens a store; see store_repair, which has it. */
int repair_with(struct disk *disk, struct kv *kv, const struct repair_options *o,
                repair_replay_fn *replay, struct repair_result *ret);
