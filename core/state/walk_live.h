// SPDX-License-Identifier: Apache-2.0
/*
 * walk_live: the trees of an open store as a source of walks (walk.h), while the store is in use.
 *
 *     struct walk w = {WALK_LIVE(&ns->lock, &ns->tree), WALK_ALL, .fn = take, .ctx = ctx};
 *     err = walk_items(&w);
 */
#pragma once

#include "ns_label.h"
#include "state.h"
#include "walk.h"

extern const struct walk_source walk_live;
#define WALK_LIVE(tree_lock, t)                                                                    \
    .source = &walk_live, .pages = (t)->pages, .lock = (tree_lock), .root = &(t)->root

/* A tree of an open store. */
struct live_tree {
    struct rwlock *lock;
    const struct tree *tree;
    uint32_t ns;                 /* number of its namespace; 0: it is that of the orphans */
    char name[NS_LABEL_MAX]; /* of the namespace (ns_label); of the orphans "unlinked but open
                              * files" */
};

/* Calls `fn` with the tree of each namespace, in the order of their numbers, and then with that of
 * the orphans. A namespace that is made meanwhile may be missed. A result other than 0 of `fn` ends
 * it and is returned. No lock is held that a tree could need. */
int walk_live_trees(struct state *p, int (*fn)(const struct live_tree *t, void *ctx), void *ctx);
