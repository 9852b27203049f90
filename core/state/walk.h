// SPDX-License-Identifier: Apache-2.0
/*
 * walk: the items of a tree in the order of their keys, beside all that goes on: in pieces of
 * WALK_AT_ONCE, each under the tree's lock, which is free in between. What changes meanwhile is
 * seen or not.
 *
 * A page that is damaged hides what is below it, and the walk goes on behind it.
 *
 * Errors: 0 or -errno: -ENOMEM, -EIO; what `fn` or `pause` ended it with, which is not -ENOENT.
 */
#pragma once

#include "state.h"

#define WALK_AT_ONCE 1000

struct walk {
    struct rwlock *lock; /* of the tree */
    const struct tree *tree;
    struct key from, to; /* both are in it */
    /* An item; the lock is held. Non-zero ends the walk, which returns it. */
    int (*fn)(struct key k, const void *val, size_t len, void *ctx);
    /* Between two pieces, holding nothing. Non-zero likewise. May be NULL. */
    int (*pause)(void *ctx);
    /* A page on the way down to an item not before `first`, where all that the page has is before
     * `end` (NULL: it has the rest). Pages above leaves are told again and again. False: leave out
     * what is below it. The lock is held. May be NULL. */
    bool (*page)(uint64_t no, struct key first, const struct key *end, void *ctx);
    void *ctx;
    bool hidden; /* set: something could not be read */
};
#define WALK_ALL .to = {UINT64_MAX, UINT64_MAX}

int walk_items(struct walk *w);
