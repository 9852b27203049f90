// SPDX-License-Identifier: Apache-2.0
/* merge_paths: where the conflicts of a plan are, as paths for people. */
#pragma once

#include "merge.h"

/* Fills the conflicts of *ret, in the order of the plan. A path is one that theirs has, or else the
 * base or ours. The caller holds no lock, and references on the namespaces. -ENOMEM, -EINTR,
 * -E2BIG, -EIO */
int merge_paths(const struct merge_sides *s, const struct merge_plan *m, struct merge_result *ret);
/* Finds where the file of a conflict about a content is in each tree. `named`: what the trees are
 * called, which are drafts of these, or these. A place that cannot be found stays unknown. -ENOMEM,
 * -EINTR, -E2BIG, -EIO */
int merge_paths_all(struct state *p, const struct merge_sides *s, const struct merge_sides *named,
                    const struct merge_plan *m, struct merge_result *ret);
/* Sorts them by path. */
void merge_paths_sort(struct merge_result *r);
