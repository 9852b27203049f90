// SPDX-License-Identifier: Apache-2.0
/*
 * walk_live: the trees of an open store as a source of walks (walk.h), while the store is in use.
 *
 *     struct walk w = {WALK_LIVE(&ns->lock, &ns->tree), WALK_ALL, .fn = take, .ctx = ctx};
 *     err = walk_items(&w);
 */
#pragma once

#include "state.h"
#include "walk.h"

extern const struct walk_source walk_live;
#define WALK_LIVE(tree_lock, t)                                                                    \
    .source = &walk_live, .pages = (t)->pages, .lock = (tree_lock), .root = &(t)->root
