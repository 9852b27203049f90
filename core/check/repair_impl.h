// SPDX-License-Identifier: Apache-2.0
/* repair_impl: what repair.c and repair_tree.c share. Nobody else includes this. */
#pragma once

#include "check_impl.h"
#include "repair.h"

/* Before anything: frames that wait are replayed, of a damaged log those before the damage. */
int repair_log(struct disk *disk, struct kv *kv, const struct repair_options *o,
               repair_replay_fn *replay, uint64_t *ret_done);
/* Before a replay: the counts of pages are what the committed trees say. A page of which the count
 * is lost is nobody else's to who reads it, and changes from the log would be written over what
 * branches share; one whose count is damaged refuses the frames that change it. -EUCLEAN: a table
 * cannot be read, and nothing was changed. */
int repair_page_counts(struct disk *disk, struct kv *kv, const struct repair_options *o,
                       uint64_t *ret_done);

/* Does a fix change a tree or a namespace? */
static inline bool fix_is_of_tree(const struct fix *f)
{
    return f->kind >= FIX_ROOT;
}
/* Names come before what is said of them. */
static inline bool fix_is_of_names(const struct fix *f)
{
    return f->kind >= FIX_ROOT && f->kind <= FIX_TYPE;
}

/* All fixes of trees in one commit; of a tree whose names change, only those of names. `done` (as
 * many as there are fixes) gets which. */
int repair_trees(struct kv *kv, const struct clock *clock, const struct fixes *fixes, bool *done);
