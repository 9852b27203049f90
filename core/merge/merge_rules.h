// SPDX-License-Identifier: Apache-2.0
/*
 * merge_rules: which rule decides which conflict, if patterns of paths say so.
 *
 *     struct merge_rules r = {.sets = sets, .count = n, .rest = MERGE_FAIL};
 *     for each conflict of a plan that was made with `r`:
 *         err = merge_rules_add(&r, conflict, path);       1: it was not known yet
 *     merge_rules_release(&r);
 *
 * A plan knows inodes and names, and no paths. So a plan is made, its conflicts get rules by their
 * paths, and it is made anew with these, until none is new. What has no rule yet is a conflict: its
 * rule is MERGE_FAIL. Of several patterns that match the last one counts, as in gitattributes(5);
 * where none does, `rest`.
 *
 * Threads: one at a time. Memory: some 100 bytes for each conflict.
 */
#pragma once

#include "map64.h"
#include "merge_plan.h"

struct merge_set {
    const char *pattern; /* borrowed; merge_pattern.h */
    enum merge_rule rule;
};
struct merge_ruled {
    uint64_t ino, parent; /* as in merge_conflict */
    char *name;
    enum merge_rule rule;
    size_t next; /* index + 1 of the next one in its place of `at` */
};
struct merge_rules {
    const struct merge_set *sets; /* borrowed */
    size_t count;
    enum merge_rule rest;
    struct merge_ruled *v;
    size_t used, room;
    struct map64 at; /* a number of the inode or name -> index + 1 */
};

/* Gives a conflict the rule of its path. 1: it is new; 0: it had one before; -ENOMEM. */
int merge_rules_add(struct merge_rules *r, const struct merge_conflict *c, const char *path);
enum merge_rule merge_rules_of_inode(const struct merge_rules *r, uint64_t ino);
/* `name` has `len` bytes. */
enum merge_rule merge_rules_of_name(const struct merge_rules *r, uint64_t parent, const char *name,
                                    size_t len);
void merge_rules_release(struct merge_rules *r);
