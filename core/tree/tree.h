// SPDX-License-Identifier: Apache-2.0
/*
 * tree: a copy-on-write B+tree over counted pages (DESIGN 4.3).
 *
 * Invariant: an object's count is the number of items in live pages that name it (plus pins), and
 * the tree keeps it so: every call that adds, removes or copies an item counts. Every call that
 * puts or deletes an inode counts it in `usage`, too.
 *
 *     struct tree t = {pages, refs, root};
 *     tree_put(&t, key, val, len);                    // t.root may change
 *     tree_branch(&t, &other.root);                   // O(1): one more count on the root page
 *     drops_push(drops, root);                        // instead of freeing a tree: drop.h
 *
 * Changing walks down; a page with count > 1 on the way is copied, the copy taking one more
 * reference on each child page or object it names (and naming an alias's target instead of the
 * alias), the old one losing one.
 *
 * Values: 0 … PAGE_VALUE_MAX bytes. Errors: 0 or -errno: -ENOENT, -EUCLEAN a page is damaged,
 * -ENOMEM, -EIO. A failed change leaves the items as they were; counts are then never too low, at
 * worst too high (a leak that `rebuild` finds).
 * Threads: reads of one tree may run in parallel; a change needs the tree alone. The caller's lock.
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
/* The same for an item that was put before: a copy of one that is there, or from the log. If what
 * it names is not in the refcount table it was lost since: it is left uncounted, with a warning,
 * until a rebuild. */
int tree_put_again(struct tree *t, struct key k, const void *val, size_t len);
/* Replaces an existing item if no page has to be copied for that, else -EAGAIN. -ENOENT. The
 * observer is not called: this is for changes that do not alter what an item means. */
int tree_put_owned(struct tree *t, struct key k, const void *val, size_t len);
int tree_del(struct tree *t, struct key k);
/* Removes every item with from ≤ key < to; no inode may be among them. Pages that hold nothing else
 * go to the drop queue as they are, with all that they name, so the cost is the height of the tree
 * and not the number of items. The observer is not called. *ret_done, also after a failure: no item
 * is left between `from` and it. */
int tree_cut(struct tree *t, struct key from, struct key to, struct drops *drops,
             struct key *ret_done);
/* Makes the page of the item this tree's own, as a change would. After that an object that the item
 * names and that has count 1 is named by no other tree. -ENOENT. */
int tree_own(struct tree *t, struct key k);
/* One more reference on the root: *ret, which was empty, has the same items. The caller excludes
 * changes to `t`. */
int tree_branch(const struct tree *t, struct tree *ret);

/* ---- ordered walk ---- */

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

/* To the first item with a key ≥ k. -ENOENT: none (the cursor is then unpositioned). The tree must
 * not change while a cursor stands in it. */
int tree_seek(const struct tree *t, struct key k, struct tree_cursor *c);
int tree_next(struct tree_cursor *c); /* -ENOENT at the end */
/* The item; the value is valid until the cursor moves or ends. */
struct key tree_cursor_key(const struct tree_cursor *c);
const void *tree_cursor_value(const struct tree_cursor *c, size_t *ret_len);
void tree_cursor_end(struct tree_cursor *c); /* always safe */

/* ---- comparing two trees ---- */

/* One differing item: `a` or `b` is NULL where the key is absent. Non-zero stops. */
typedef int tree_diff_fn(struct key k, const void *a, size_t alen, const void *b, size_t blen,
                         void *ctx);
/* Visit every key that is in one tree only or has different values; pages both share are skipped,
 * so the cost is the difference. Neither may change meanwhile. Returns what `fn` stopped with. */
int tree_diff(const struct tree *a, const struct tree *b, tree_diff_fn *fn, void *ctx);
