// SPDX-License-Identifier: Apache-2.0
/*
 * walk: visits the items of a tree in the order of their keys, while the store is in use. It works
 * in pieces of WALK_AT_ONCE items, each under the tree's lock, which is free in between. A change
 * meanwhile is seen or not.
 *
 * A damaged page hides what is below it, and the walk goes on behind it.
 *
 * Errors: 0 or -errno: -ENOMEM, -EIO; or what `fn` or `pause` ended it with, which is not -ENOENT.
 */
#pragma once

#include "state.h"

#define WALK_AT_ONCE 1000

struct walk {
    struct rwlock *lock; /* the lock of the tree */
    const struct tree *tree;
    struct key from, to; /* the first and the last key that are visited */
    /* Called for each item, with the lock held. A result other than 0 ends the walk and is
     * returned. */
    int (*fn)(struct key k, const void *val, size_t len, void *ctx);
    /* Called between two pieces, with no lock held. A result other than 0 ends the walk and is
     * returned. May be NULL. */
    int (*pause)(void *ctx);
    /* Called for each page on the way down to an item that is not before `first`. All items below
     * the page are before `end` (NULL: it has the rest). It is called again and again for pages
     * above leaves. False: what is below the page is left out. The lock is held. May be NULL. */
    bool (*page)(uint64_t no, struct key first, const struct key *end, void *ctx);
    void *ctx;
    bool hidden; /* out: something could not be read */
};
#define WALK_ALL .to = {UINT64_MAX, UINT64_MAX}

int walk_items(struct walk *w);
