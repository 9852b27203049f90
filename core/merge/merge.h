// SPDX-License-Identifier: Apache-2.0
/*
 * merge: one namespace gets what another one has changed since both were one, at one instant.
 *
 *     struct merge_call c = {.theirs = branch, .ours = origin, .label = "branch"};
 *     struct merge_result r = {0};
 *     err = merge_run(p, &c, &r);
 *     if (err == -EEXIST)                      conflicts: nothing was changed
 *         use(r.conflicts, r.conflict_count);
 *     merge_result_release(&r);
 *
 * The rules of a merge are in merge_plan.h. What changes in `ours`, and the base, are one frame of
 * the log: after a crash they are there as a whole, or not at all. What is kept beside it has
 * frames of its own, before and after. Namespace and inode numbers of `ours` stay, so working
 * directories and mounts there go on. A small merge is planned and done under the freeze lock, so
 * nothing else changes meanwhile. A large one is made beside those who write (merge_aside.h), and
 * ours gets its result at one instant.
 *
 * With a label, what `ours` was before is kept as its snapshot `before-LABEL`, and what it became
 * as `after-LABEL`; both go as the trash does. By these merge_undo.h takes the merge back.
 *
 * If one of the two is a branch of the other, its base becomes what theirs is at this instant, also
 * if ours had all of that, or a rule left it out: the next merge is about what is new since.
 *
 * Limits: both deltas take 256 MiB at most, some 700,000 files (-E2BIG); what ours does while the
 * last try ends fits into one frame of the log (-EFBIG). Errors: 0 or -errno: -EEXIST there
 * are conflicts; -ENODATA no base is known, or it is not held any more; -EROFS `ours` is frozen,
 * hidden, or the store is read-only; -EDQUOT the result is above a limit of ours (quota.h); -EINVAL
 * both are one namespace; those of txn_begin_alone and of merge_plan_make. Threads: any; the caller
 * holds no lock, and references on the namespaces.
 */
#pragma once

#include "merge_plan.h"
#include "merge_rules.h"
#include "state.h"

struct merge_call {
    struct ns *theirs, *ours;
    struct ns *base;        /* NULL: the one that the records of the two know */
    const char *label;      /* NULL: nothing is kept, unless it is an undo */
    bool undo;              /* it takes back a merge */
    enum history_kind kind; /* what it is in the history; 0: HISTORY_MERGE */
    /* Of an undo and a redo: what was kept before that which they take back, and the branch of
     * which the base goes back with it, or NULL. */
    const struct ns *back;
    struct ns *branch;
    enum merge_rule rule;
    /* Rules for conflicts whose paths match patterns: the last one that does, or else `rule`. */
    const struct merge_set *sets;
    size_t set_count;
    bool all_paths;  /* of a content that is a conflict it is said where it is in each tree */
    uint64_t if_seq; /* the last change of `ours`, or -ECANCELED; 0: any */
    const _Atomic bool *interrupted; /* or NULL */
    /* Called without a lock while a large merge is made: before each part of it, and before ours
     * gets the result. For tests; NULL: it is not. */
    void (*beside)(void *ctx);
    void *ctx;
};
/* A merge is a large one if its deltas take more bytes (delta.h), unless config.merge_at_once says
 * otherwise: some 3,000 files. */
#define MERGE_AT_ONCE ((size_t)1024 * 1024)

struct merge_found {
    enum merge_why why;
    char *path; /* owned; "?": it cannot be found any more */
    /* With all_paths: where it is, as NAMESPACE/path, owned; NULL: not asked for, or unknown. */
    char *theirs, *base, *ours;
};
struct merge_result {
    uint64_t seq;                  /* the change that did it; 0: ours did not change */
    uint64_t names, inodes;        /* that changed in `ours` */
    uint64_t decided;              /* conflicts that the rule decided */
    struct usage becomes;          /* with -EDQUOT: what `ours` would take */
    uint64_t ours_seq;             /* with conflicts: the change of ours that they are about */
    struct merge_found *conflicts; /* by path */
    size_t conflict_count;
};

int merge_run(struct state *p, const struct merge_call *c, struct merge_result *ret);
void merge_result_release(struct merge_result *r);

/* How the names of what a merge keeps begin; and the names of what an undo keeps. */
#define MERGE_BEFORE "before-"
#define MERGE_AFTER "after-"
#define MERGE_UNDO_BEFORE "undo-before"
#define MERGE_UNDO_AFTER "undo-after"
