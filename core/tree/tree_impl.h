// SPDX-License-Identifier: Apache-2.0
/* tree_impl: what the files of the tree share. */
#pragma once

#include "tree.h"

/* From the root to a leaf, each page pinned. */
struct tree_path {
    struct tree_step step[PAGE_LEVEL_MAX + 1];
    unsigned depth;
};

/* Down to the leaf of `k`. `own`: copying shared pages, so that all of the path may be changed. On
 * failure nothing is pinned and the depth is 0. */
int tree_walk(struct tree *t, struct key k, bool own, struct tree_path *path);
/* Would a walk to the same place that makes its pages our own copy none of them? */
bool tree_path_is_owned(const struct tree_path *path);
/* Replace *page, found in slot `slot` of `parent` (NULL: the root), by a copy if it is shared. */
int tree_own_page(struct tree *t, struct tree_page *parent, unsigned slot, struct tree_page **page);
/* A page found below `parent` has the level it must have, or damage could lead in a circle. */
int tree_check_level(const struct tree_page *p, unsigned depth, const struct tree_page *parent);
/* tree_put, and no observer is told. */
int tree_put_untold(struct tree *t, struct key k, const void *val, size_t len);
/* tree_del, and no observer is told. */
int tree_del_untold(struct tree *t, struct key k);
/* Before the last slot of the path's last page goes: every page above that will lose a child. */
int tree_ready_to_unhang(struct tree *t, struct tree_path *path);
/* After slots of it went: from it up empty pages go, sparse ones join a neighbour. */
int tree_tidy(struct tree *t, struct tree_path *path);
/* Unpin the pages of a path. */
void tree_path_release(const struct tree *t, struct tree_step *step, unsigned depth);
/* An object lost the item that named it. */
void tree_let_go(struct tree *t, uint64_t object);
/* The first slot of an inner page stands for minus infinity, whatever led there: were an old key
 * left in it, a later split of its child below that key would put the slots out of order. */
void tree_reset_first_key(uint8_t *p);
