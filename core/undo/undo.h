// SPDX-License-Identifier: Apache-2.0
/*
 * undo: takes back an operation of the history, or does again what was taken back.
 *
 *     struct undo_call c = {.seq = 17};            or 0: the newest one
 *     struct undo_result r = {0};
 *     err = undo_run(p, &c, &r);
 *     merge_result_release(&r.merge);
 *
 * What is done is an operation itself, and is in the history with `of`: the operation that it takes
 * back (or does `again`). So each operation has a chain of these. The last one of it, the *tip*, or
 * the operation itself if there is none, is what is inverted next:
 *
 *     CREATE, BRANCH, IMPORT, UNDROP   the namespace goes into the trash
 *     DROP                             it comes back, under the name that it had
 *     RENAME, EXCHANGE                 it gets its old name back
 *     SNAPSHOT                         the snapshot is removed, unless it is held
 *     MERGE, COMMIT, IMPORT_INTO       merge_undo (merge_undo.h): what was written since stays
 *     all others                       cannot be taken back
 *
 * Without a number the newest operation that is not taken back yet is meant. The program's own
 * operations (an expired `ttl`, a snapshot that was made by itself) are passed over. If the newest
 * cannot be taken back, or is a snapshot, which nothing would bring back, that is an error.
 *
 * Threads: any; the caller holds no lock.
 */
#pragma once

#include "history_table.h"
#include "merge.h"
#include "state.h"

struct undo_call {
    uint64_t seq; /* of the operation, or of one of its chain; 0: the newest one */
    bool redo;    /* does again what was taken back */
    enum merge_rule rule;            /* for a merge */
    const _Atomic bool *interrupted; /* or NULL */
};
struct undo_result {
    struct history_op op;      /* what was taken back, or would have been, as it was before */
    uint64_t seq;              /* the change that did it; 0: none */
    struct merge_result merge; /* of a merge */
    uint32_t open;             /* -EBUSY: so many files are open; 0: the snapshot is held */
    int64_t gone; /* -ENODATA: when what it needs went, ns since the epoch; 0: not known */
};

/* Takes back an operation, or with `redo` does it again. Errors, of which none has changed
 * anything: -ENOENT there is no such operation, or none that is not taken back; -EALREADY it is
 * taken back already, or is not; -EOPNOTSUPP operations of that kind cannot be, or not without a
 * number; -ENODATA this one cannot be
 * any more, since what it needs is gone; -EPERM `trash_keep` is 0, so that nothing would bring the
 * namespace back; -EEXIST another namespace has the name, or conflicts of a merge; -EBUSY; those
 * of merge_run and ns_drop.h. */
int undo_run(struct state *p, const struct undo_call *c, struct undo_result *ret);
/* Could the operation be taken back now, or with `redo` be done again? 0 or an error as above.
 * Files that are open, names that are taken, and conflicts are found by undo_run alone. */
int undo_look(struct state *p, const struct history_op *op, bool redo);
