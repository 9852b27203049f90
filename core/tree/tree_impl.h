// SPDX-License-Identifier: Apache-2.0
/* tree_impl: what the files of the tree share. */
#pragma once

#include "tree.h"

/* From the root to a leaf, each page pinned. */
struct tree_path {
    struct tree_step step[PAGE_LEVEL_MAX + 1];
    unsigned depth;
};

/* Walks down to the leaf of `k`. With `own` shared pages on the way are copied, so that all of the
 * path may be changed. After a failure nothing is pinned and the depth is 0. */
int tree_walk(struct tree *t, struct key k, bool own, struct tree_path *path);
/* Does the tree own all pages of the path? */
bool tree_path_is_owned(const struct tree_path *path);
/* Make the tree own *page, which is in slot `slot` of `parent` (NULL: it is the root): if it is
 * shared it is replaced by a copy. */
int tree_own_page(struct tree *t, struct tree_page *parent, unsigned slot, struct tree_page **page);
/* -EUCLEAN if the page does not have the level that a page below `parent` must have. Without this
 * check a damaged tree could lead a walk in a circle. */
int tree_check_level(const struct tree_page *p, unsigned depth, const struct tree_page *parent);
/* As tree_put, but the observer is not called. */
int tree_put_untold(struct tree *t, struct key k, const void *val, size_t len);
/* As tree_del, but the observer is not called. */
int tree_del_untold(struct tree *t, struct key k);
/* Called before the last slot of the last page of the path is removed: every page above that will
 * lose a child is made ready for the change. */
int tree_ready_to_unhang(struct tree *t, struct tree_path *path);
/* Called after slots were removed: from the leaf up, empty pages are freed and sparse ones join a
 * neighbour. */
int tree_tidy(struct tree *t, struct tree_path *path);
/* Unpin the first `depth` pages of a path. */
void tree_path_release(const struct tree *t, struct tree_step *step, unsigned depth);
/* Give back the reference of an item that was removed. 0: the item named no object. */
void tree_let_go(struct tree *t, uint64_t object);
/* Set the first key of an inner page to minus infinity, which that slot stands for. If another key
 * stayed there, a later split of the child below that key would put the slots out of order. */
void tree_reset_first_key(uint8_t *p);
