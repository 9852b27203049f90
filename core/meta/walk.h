// SPDX-License-Identifier: Apache-2.0
/*
 * walk: visits the items of a tree in the order of their keys. Where its pages come from is the
 * affair of a source: an open store (state/walk_live.h), or a snapshot that may be damaged.
 *
 * It works in pieces of WALK_AT_ONCE items, each under the tree's lock if it has one, which is free
 * in between. A change meanwhile is seen or not.
 *
 * A damaged page hides what is below it, and the walk goes on behind it. A page is damaged, too, if
 * its level or its first key is not what its parent says. Items and children behind the keys that
 * the parent gives to a page are left out. So even in a damaged tree items come in rising order,
 * and pages that lead to each other do not make the walk endless.
 *
 * Errors: 0 or -errno: -ENOMEM, -EIO; or what `fn` or `pause` ended it with, which is not -ENOENT.
 */
#pragma once

#include "key.h"
#include "lock.h"
#include <stddef.h>

#define WALK_AT_ONCE 1000

struct walk;

struct walk_page {
    const uint8_t *data; /* PAGE_SIZE_BYTES that have passed page_check */
    bool shared;         /* something else names it, too */
    void *pin;           /* what the source needs to put it back */
};

struct walk_source {
    /* Gets a page for the walk `w`, whose `pages` is the source's own. -EUCLEAN: it is damaged, and
     * the walk goes on behind it. Any other error ends the walk. */
    int (*get)(const struct walk *w, uint64_t no, struct walk_page *ret);
    /* Called when the page is not needed any more. May be NULL. */
    void (*put)(const struct walk *w, const struct walk_page *page);
};

struct walk {
    const struct walk_source *source;
    void *pages;
    struct rwlock *lock;  /* the lock of the tree, which the walk takes for reading; NULL: none */
    const uint64_t *root; /* number of its root page; 0: the tree is empty. Read under the lock. */
    struct key from, to;  /* the first and the last key that are visited */
    /* Called for each item, with the lock held. A result other than 0 ends the walk and is
     * returned. */
    int (*fn)(struct key k, const void *val, size_t len, void *ctx);
    /* Called between two pieces, with no lock held and with `pause_ctx`. A result other than 0 ends
     * the walk and is returned. May be NULL. */
    int (*pause)(void *ctx);
    void *pause_ctx;
    /* Called for each page on the way down to an item that is not before `first`. All items below
     * the page are before `end` (NULL: it has the rest). It is called again and again for pages
     * above leaves. False: what is below the page is left out. The lock is held. May be NULL. */
    bool (*page)(uint64_t no, struct key first, const struct key *end, void *ctx);
    void *ctx;
    bool hidden;          /* out: something could not be read */
    bool owned;           /* out, for `fn`: no page on the way down to the item is shared */
    uint64_t owned_pages; /* out: pages that begin in the walk and are not shared, nor one above */
};
#define WALK_ALL .to = {UINT64_MAX, UINT64_MAX}

int walk_items(struct walk *w);
