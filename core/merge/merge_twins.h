// SPDX-License-Identifier: Apache-2.0
/*
 * merge_twins: files that theirs and ours made apart, and that are one file for the merge.
 *
 * Where a name leads to one inode in theirs and to another one in ours, and neither side has that
 * of the other, both are *twins* if they are directories; or if they are regular files with one
 * name each, and equal for certain: these two, or if the base has that of theirs, what the base has
 * and that of ours. So two new directories of one name merge as one, also if one of them is known
 * to the base from a merge before. A file with which theirs replaced that of ours and the base is
 * no twin, though it be equal: ours gets it, so that both sides and the base have one inode.
 *
 * The merge goes on with the inode of ours: it stands for both in the differences of both sides
 * (plan.theirs, plan.ours). Only where the trees of theirs and of the base are read, the number
 * that they have is needed.
 */
#pragma once

#include "merge_plan.h"

struct making;
struct merge_file;

/* Finds the twins, and changes the differences of both sides, which are gathered. -ENOMEM, -EIO,
 * -EUCLEAN */
int merge_twins_find(struct making *k);
/* Are two files regular and equal for certain, with all attributes? 1, 0, -errno. */
int merge_twins_are_equal(struct making *k, const struct merge_file *a, const struct merge_file *b);
void merge_twins_release(struct merge_twins *t);
/* The number of an inode of ours, which may be a twin, in the tree of theirs or of the base. */
uint64_t merge_twins_in_theirs(const struct merge_plan *m, uint64_t ino);
uint64_t merge_twins_in_base(const struct merge_plan *m, uint64_t ino);
