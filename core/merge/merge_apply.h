// SPDX-License-Identifier: Apache-2.0
/* merge_apply: does what a plan says (merge_plan.h), within one change. */
#pragma once

#include "merge_plan.h"

/* Changes the tree of s->ours, and notes it in `t`, which is alone and has room for
 * merge_plan_bytes. The plan has no conflicts, and the trees are as they were when it was made.
 * After an error the tree is as it was, and nothing is noted: -ENOMEM, -EIO, -EUCLEAN, -ENOSPC. If
 * that is not possible the store is read-only. */
int merge_apply(struct txn *t, const struct merge_sides *s, const struct merge_plan *m);
