// SPDX-License-Identifier: Apache-2.0
/* merge_plan_impl: what the files that make a plan share. All functions return 0 or -errno, or an
 * answer. */
#pragma once

#include "merge_plan.h"
#include "merge_rules.h"
#include "merge_twins.h"

/* What is made while a plan is. */
struct making {
    struct state *p;
    const struct merge_sides *s;
    struct merge_plan *m;
};

/* An inode of one of the trees. */
struct merge_file {
    const struct tree *tree;
    uint64_t ino;
    struct inode in;
};

/* Who changed one attribute of an inode; 0: neither, or both to the same. */
enum changed { CHANGED_OURS = 1, CHANGED_THEIRS = 2, CHANGED_BOTH = 3 };

/* ---- merge_plan.c ---- */

int plan_conflict_of_name(struct making *k, enum merge_why why, const struct delta_name *n);
/* The name as a text of its own, which the caller frees. NULL: no memory. */
char *plan_copy_name(const struct delta *d, const struct delta_name *n);
/* Is the inode of the base not in ours any more? */
bool plan_ours_removed(const struct merge_plan *m, uint64_t ino);
/* Has theirs an inode that the base does not have? */
bool plan_theirs_made(const struct merge_plan *m, uint64_t ino);
/* Did theirs remove an inode of which ours changed the content or the attributes? */
bool plan_is_missed(const struct making *k, uint64_t ino);
/* Loads the inode from ours, or if that does not have it from theirs. */
int plan_load(const struct making *k, uint64_t ino, struct inode *ret);
/* The rule for a conflict about an inode. */
enum merge_rule plan_rule_of_inode(const struct making *k, uint64_t ino);
bool plan_is_unsealed(const struct making *k, uint64_t object);
/* Are both one object? If they are not, and are not sealed, that is noted in the plan. */
bool plan_same_bytes(const struct making *k, const struct inode *x, const struct inode *y);

/* ---- merge_names.c ---- */

/* Decides all names, and counts what that does to inodes and directories. */
int plan_names(struct making *k);
