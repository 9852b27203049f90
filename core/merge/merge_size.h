// SPDX-License-Identifier: Apache-2.0
/*
 * merge_size: what a namespace takes after a merge (quota.h), found out before anything is changed.
 * Looked at is what the plan changes, and nothing else.
 *
 * Errors: 0 or -errno, those of inode_load. Threads: any; the caller's change is alone, and it has
 * the locks of the trees.
 */
#pragma once

#include "merge_aside.h"

/* What s->ours takes once merge_apply has done the plan. */
int merge_size(struct state *p, const struct merge_sides *s, const struct merge_plan *m,
               struct usage *ret);
/* What the namespace takes once merge_aside_put has given it the result and the rest. */
int merge_size_aside(struct state *p, const struct merge_aside *a, const struct merge_plan *m,
                     struct usage *ret);
