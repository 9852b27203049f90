// SPDX-License-Identifier: Apache-2.0
/*
 * tree: a copy-on-write B+tree over counted pages (DESIGN 4.3).
 *
 * Invariant: an object's count is the number of items in live pages that name it (plus pins). Every
 * call that adds, removes or copies an item changes the counts accordingly. Every call that puts or
 * deletes an inode counts it in `usage`, too.
 *
 *     struct tree t = {pages, refs, root};
 *     tree_put(&t, key, val, len);                    // t.root may change
 *     tree_branch(&t, &other.root);                   // O(1): one more count on the root page
 *     drops_push(drops, root);                        // instead of freeing a tree: drop.h
 *
 * A change walks down from the root. A page with a count above 1 on the way is copied: the copy
 * takes one more reference on each child page or object that the page names, and the old page loses
 * one reference. In the copy aliases are replaced by their targets.
 *
 * Values have 0 to PAGE_VALUE_MAX bytes. Errors: 0 or -errno: -ENOENT, -EUCLEAN a page is damaged,
 * -ENOMEM, -EIO. A failed change leaves the items as they were. Counts are then never too low, but
 * may be too high (a leak that `rebuild` finds).
 *
 * Threads: a tree has no lock of its own. The caller's lock lets several threads read it at once,
 * and lets one thread change it while no other uses it.
 */
#pragma once

#include "item.h"
#include "pages.h"
#include "refs.h"

struct drops; /* drop.h */

/* Called by the thread that changes a tree, after each item that it put or deleted. */
struct tree_observer {
    void (*put)(const struct tree_observer *observer, struct key k, const void *val, size_t len);
    void (*del)(const struct tree_observer *observer, struct key k);
};

struct tree {
    struct pages *pages;
    struct refs *refs;
    uint64_t root;              /* page number; 0: empty */
    /* usage of its inodes; for a tree that was opened by its root, what the opener gave */
    struct usage usage;
    const struct tree_observer *observer; /* borrowed; NULL: there is none */
};

/* Copies the value; *ret_len is its length, also with -ERANGE (does not fit `cap`). */
int tree_get(const struct tree *t, struct key k, void *buf, size_t cap, size_t *ret_len);
/* Insert or replace. -EUCLEAN: what the item names is not in the refcount table. */
int tree_put(struct tree *t, struct key k, const void *val, size_t len);
/* As tree_put, for an item that was put before: a copy of an existing item, or one from the log.
 * If the object that it names is not in the refcount table, the entry was lost since then: the
 * item is put and left uncounted, with a warning, until a rebuild. */
int tree_put_again(struct tree *t, struct key k, const void *val, size_t len);
/* Replace an existing item if no page has to be copied for that, else -EAGAIN. -ENOENT. The
 * observer is not called: the change must not alter what the item means. */
int tree_put_owned(struct tree *t, struct key k, const void *val, size_t len);
int tree_del(struct tree *t, struct key k);
/* Remove every item with from ≤ key < to; no inode may be among them. Pages that have only such
 * items go to the drop queue as they are, with all that they name. So the cost depends on the
 * height of the tree and not on the number of items. The observer is not called. *ret_done is set
 * also after a failure: no item is left between `from` and it. */
int tree_cut(struct tree *t, struct key from, struct key to, struct drops *drops,
             struct key *ret_done);
/* Make the tree own the page of the item, as a change would. After that an object with count 1
 * that the item names is named by no other tree. -ENOENT. */
int tree_own(struct tree *t, struct key k);
/* Branch: `ret`, which was empty, gets the same root, which has one reference more. The caller
 * makes sure that `t` is not changed meanwhile. */
int tree_branch(const struct tree *t, struct tree *ret);

/* ---- ordered walk ---- */

/* One page of a path, and the slot that was taken in it. */
struct tree_step {
    struct tree_page *page; /* pinned */
    unsigned slot;
};
struct tree_cursor {
    const struct tree *tree;
    unsigned depth; /* steps in use; 0: not positioned */
    struct tree_step step[PAGE_LEVEL_MAX + 1];
};
#define TREE_CURSOR_INIT                                                                           \
    {                                                                                              \
        0                                                                                          \
    }

/* Move to the first item with a key ≥ k. -ENOENT: there is none, and the cursor has no position.
 * The tree must not change while a cursor has a position in it. */
int tree_seek(const struct tree *t, struct key k, struct tree_cursor *c);
int tree_next(struct tree_cursor *c); /* -ENOENT at the end */
/* The key and the value of the item at the cursor. The value is valid until the cursor moves or
 * ends. */
struct key tree_cursor_key(const struct tree_cursor *c);
const void *tree_cursor_value(const struct tree_cursor *c, size_t *ret_len);
void tree_cursor_end(struct tree_cursor *c); /* always safe */

/* ---- comparing two trees ---- */

/* One differing item: `a` or `b` is NULL where the key is absent. Non-zero stops. */
typedef int tree_diff_fn(struct key k, const void *a, size_t alen, const void *b, size_t blen,
                         void *ctx);
/* Visit every key that only one tree has, or that has different values. Pages that both trees
 * share are skipped, so the cost depends on the difference only. Neither tree may change
 * meanwhile. Returns the value with which `fn` stopped, or an error. */
int tree_diff(const struct tree *a, const struct tree *b, tree_diff_fn *fn, void *ctx);
