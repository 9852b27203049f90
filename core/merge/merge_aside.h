// SPDX-License-Identifier: Apache-2.0
/*
 * merge_aside: a merge that is made beside those who write, since it is too large for one frame of
 * the log or would keep them waiting for too long.
 *
 *     err = merge_aside_begin(p, &sides, &a);         drafts of the three, each of one instant
 *     err = merge_plan_make(p, &a.sides, &plan);      without the freeze lock (merge_aside_plan)
 *     err = merge_aside_make(p, &a, &plan);           a draft that is the result; a commit has it
 *     for (;;) {
 *         txn_begin_alone(p, room, &t);
 *         err = merge_aside_look(&t, &a, ours);       what ours did meanwhile
 *         merge_sides_lock(&t, &a.put);
 *         err = merge_aside_check(&t, &a, &plan, &needs);
 *         err = merge_aside_put(&t, &a, &plan);       ours becomes that, and keeps what it did
 *         …
 *         err = merge_aside_more(p, &a);              after -E2BIG of merge_aside_look
 *     }
 *     merge_aside_end(p, &a);
 *
 * While the result is made, ours is changed by whoever wants to. What it did meanwhile is a merge
 * of its own: into the result, with the draft of ours as the base. It is as if the merge had been
 * at the instant of that draft, and the rest had come afterwards. If the rest is small it is
 * planned and applied at the instant at which ours gets the result, in the same frame. If it is
 * not, the result gets it before that, and one looks again (MERGE_ROUNDS times; then as much as one
 * frame can have is done at once). If the rest and the result do not fit together, all is to be
 * planned anew: only that has the rules and the conflicts of the whole.
 *
 * What is in memory of ours stays right: a content that is not sealed is an object like any other
 * and named by the trees. A file that is open and goes is kept for those who have it open. One of
 * which the content changes, or that comes back, is left to those who have it open for reading
 * (merge_inode.left): who that is counts at the instant, not when it was planned. If one was opened
 * for writing meanwhile that is -ESTALE: planning anew makes a conflict of it.
 *
 * After a death before the frame only drafts are left, which go at the start. A start after it
 * makes the frame again: ours gets the tree of the draft that a commit has.
 *
 * Errors: 0 or -errno; -ESTALE: plan anew; those of ns_draft_of, merge_plan_make, merge_apply and
 * flush_now. Threads: any, one at a time; the caller's thread may wait.
 */
#pragma once

#include "merge_plan.h"

#define MERGE_ROUNDS 3 /* so often the rest is made beside those who write */
/* Bytes that the deltas of a rest may take (merge_plan.h) that is planned under the freeze lock:
 * some 300 files. A config.merge_at_once that is less, and is not 1, counts for a rest, too. */
#define MERGE_REST ((size_t)128 * 1024)

struct merge_aside {
    struct merge_sides sides;     /* drafts of the three, of which this has the references */
    struct vnode_known *known;    /* what was open when they were made */
    struct ns *made;              /* the draft that is the result; NULL: there is none */
    struct ns *now;               /* a draft of what ours is now; NULL: it is as sides.ours */
    struct merge_plan rest;       /* from sides.ours to `now`; it knows the delta of `made` */
    struct diff_room result_room; /* of that delta */
    struct merge_sides put;       /* of the change in which ours gets the result */
    unsigned rounds;
    void (*beside)(void *ctx); /* of the caller (merge.h); NULL: none */
    void *ctx;
};

/* `of`: the three namespaces. Each may be any but a symlink. */
int merge_aside_begin(struct state *p, const struct merge_sides *of, struct merge_aside *ret);
int merge_aside_plan(struct state *p, const struct merge_aside *a, struct merge_plan *plan);
/* The plan has no conflicts. -EINTR: plan->interrupted was set. */
int merge_aside_make(struct state *p, struct merge_aside *a, const struct merge_plan *plan);
/* Sees what `ours` did since, and plans the rest. -E2BIG: it is large. The change is alone, and the
 * caller has no lock of a tree. */
int merge_aside_look(struct txn *t, struct merge_aside *a, struct ns *ours);
/* May ours get the result now? Notes in the plan which inodes are left to those who read them now.
 * *ret_needs: bytes of operations that merge_aside_put makes, at most. The caller has the locks of
 * a->put, and keeps them. */
int merge_aside_check(struct txn *t, const struct merge_aside *a, struct merge_plan *plan,
                      size_t *ret_needs);
/* The same, with how many inodes stay for those who have them open: each takes RENEW_ROOM. */
int merge_aside_stay(struct txn *t, const struct merge_aside *a, struct merge_plan *plan,
                     size_t *ret_stay);
/* Ours gets the result. After an error it is as it was, and nothing is noted; if that is not
 * possible the store is read-only. */
int merge_aside_put(struct txn *t, const struct merge_aside *a, const struct merge_plan *plan);
/* After -E2BIG of merge_aside_look: brings what ours did into the result. -EFBIG: that was done
 * often enough, and ours still changes too fast. */
int merge_aside_more(struct state *p, struct merge_aside *a);
/* Before merge_aside_look is called again without that. */
void merge_aside_again(struct state *p, struct merge_aside *a);
/* Calls `beside`. */
void merge_aside_tell(const struct merge_aside *a);
/* Drops the drafts. */
void merge_aside_end(struct state *p, struct merge_aside *a);
