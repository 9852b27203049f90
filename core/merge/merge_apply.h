// SPDX-License-Identifier: Apache-2.0
/* merge_apply: does what a plan says (merge_plan.h), within one change. */
#pragma once

#include "merge_plan.h"

/* Changes the tree of s->ours, and notes it in `t`, which is alone and has room for
 * merge_plan_bytes. The plan has no conflicts, and the trees are as they were when it was made.
 * After an error the tree is as it was, and nothing is noted: -ENOMEM, -EIO, -EUCLEAN, -ENOSPC. If
 * that is not possible the store is read-only. */
int merge_apply(struct txn *t, const struct merge_sides *s, const struct merge_plan *m);
/* The same step by step, for a draft of which nobody has a file open: does the steps from number
 * `from` to before `to` of all merge_apply_steps, which are taken in order. After an error the
 * draft is of no use. */
int merge_apply_some(struct txn *t, const struct merge_sides *s, const struct merge_plan *m,
                     size_t from, size_t to);
size_t merge_apply_steps(const struct merge_plan *m);
/* What merge_apply does first, by which files stay what they are for those who read them: inodes of
 * ours that have been left get other nodes (inode_renew). Their items are still there. After an
 * error nothing was changed, and what is noted is to be forgotten. */
int merge_leave(struct txn *t, struct ns *ours, const struct merge_plan *m);
/* Takes that back. The tree is as it was. */
void merge_leave_undo(struct state *p, struct ns *ours, const struct merge_plan *m);
