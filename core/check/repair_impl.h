// SPDX-License-Identifier: Apache-2.0
/* repair_impl: what repair.c and repair_tree.c share. Nobody else includes this. */
#pragma once

#include "check_impl.h"
#include "repair.h"

/* Replay the frames that wait in the log, before anything else is repaired. A damaged log is
 * replayed up to the damage. *ret_done grows by one for the log and by the counts of pages that
 * were corrected. */
int repair_log(struct disk *disk, struct kv *kv, const struct repair_options *o,
               repair_replay_fn *replay, uint64_t *ret_done);
/* Before a replay: set the counts of pages to what the committed trees say. A page whose count is
 * lost counts as used once, so replayed changes would overwrite a page that branches share. A page
 * whose count is damaged refuses the frames that change it. -EUCLEAN: a table cannot be read, and
 * nothing was changed. */
int repair_page_counts(struct disk *disk, struct kv *kv, const struct repair_options *o,
                       uint64_t *ret_done);

/* Does a fix change a tree or a namespace? */
static inline bool fix_is_of_tree(const struct fix *f)
{
    return f->kind >= FIX_ROOT;
}
/* Does a fix change names? These come before fixes of attributes. */
static inline bool fix_is_of_names(const struct fix *f)
{
    return f->kind >= FIX_ROOT && f->kind <= FIX_TYPE;
}

/* Make all fixes of trees in one commit; if names of a tree change, only the fixes of names.
 * done[i] (one for each fix) says which were made. */
int repair_trees(struct kv *kv, const struct clock *clock, const struct fixes *fixes, bool *done);
