// SPDX-License-Identifier: Apache-2.0
/*
 * cursor: the ordered walk, and the comparison of two trees built on it. A cursor is the path of
 * pinned pages from the root to its item; stepping over the end of a page goes up until there is a
 * next slot, and down its left edge again.
 */
#include "tree_impl.h"
#include <errno.h>

/* The step at the lowest page of the cursor's path. */
static struct tree_step *top(struct tree_cursor *c)
{
    return &c->step[c->depth - 1];
}

/* Goes to a page, one level below the present one. -EUCLEAN: its level is wrong. */
static int push(struct tree_cursor *c, uint64_t no)
{
    struct tree_page *p;
    int err;

    if (c->depth > PAGE_LEVEL_MAX)
        return -EUCLEAN;
    err = pages_get(c->tree->pages, no, &p);
    if (err < 0)
        return err;
    if (c->depth && page_level(p->data) + 1 != page_level(top(c)->page->data)) {
        pages_put(c->tree->pages, p);
        return -EUCLEAN;
    }
    c->step[c->depth++] = (struct tree_step){p, 0};
    return 0;
}

void tree_cursor_end(struct tree_cursor *c)
{
    if (c->depth)
        tree_path_release(c->tree, c->step, c->depth);
    c->depth = 0;
}

/* Goes up past pages whose slots are used up. -ENOENT: no page is left. Otherwise the top is then a
 * slot that exists. */
static int settle(struct tree_cursor *c)
{
    while (top(c)->slot >= page_count(top(c)->page->data)) {
        pages_put(c->tree->pages, top(c)->page);
        if (--c->depth == 0)
            return -ENOENT;
        top(c)->slot++;
    }
    return 0;
}

/* Go down to the child at the present slot. */
static int descend(struct tree_cursor *c)
{
    return push(c, page_child(top(c)->page->data, top(c)->slot));
}

/* Goes to the next item: up past pages that are used up, then down the left edge. */
static int to_item(struct tree_cursor *c)
{
    int err = settle(c);

    while (err == 0 && page_level(top(c)->page->data) > 0) {
        err = descend(c);
        if (err == 0)
            err = settle(c);
    }
    if (err < 0)
        tree_cursor_end(c);
    return err;
}

int tree_seek(const struct tree *t, struct key k, struct tree_cursor *c)
{
    bool found;
    int err;

    *c = (struct tree_cursor){.tree = t};
    if (t->root == 0)
        return -ENOENT;
    err = push(c, t->root);
    while (err == 0 && page_level(top(c)->page->data) > 0) {
        top(c)->slot = page_search_child(top(c)->page->data, k);
        err = descend(c);
    }
    if (err < 0) {
        tree_cursor_end(c);
        return err;
    }
    top(c)->slot = page_search(top(c)->page->data, k, &found);
    return to_item(c);
}

int tree_next(struct tree_cursor *c)
{
    if (c->depth == 0)
        return -ENOENT;
    top(c)->slot++;
    return to_item(c);
}

struct key tree_cursor_key(const struct tree_cursor *c)
{
    const struct tree_step *s = &c->step[c->depth - 1];
    return page_key(s->page->data, s->slot);
}

const void *tree_cursor_value(const struct tree_cursor *c, size_t *ret_len)
{
    const struct tree_step *s = &c->step[c->depth - 1];
    return page_value(s->page->data, s->slot, ret_len);
}

/* ---- diff: two cursors whose top may also be an inner slot that was not descended into ---- */

/* Is the cursor at an item of a leaf? */
static bool at_item(const struct tree_cursor *c)
{
    return c->depth && page_level(c->step[c->depth - 1].page->data) == 0;
}
/* Is the cursor at a slot of an inner page, whose child it has not entered? */
static bool at_child(const struct tree_cursor *c)
{
    return c->depth && !at_item(c);
}
/* The level of the page at which the cursor is; 0: a leaf. */
static unsigned level(const struct tree_cursor *c)
{
    return page_level(c->step[c->depth - 1].page->data);
}

/* Goes to the next slot, without a look at what is below the present one. At the end the depth is
 * 0. */
static int skip(struct tree_cursor *c)
{
    int err;

    top(c)->slot++;
    err = settle(c);
    return err == -ENOENT ? 0 : err;
}

/* Goes down into the child, and out again if that is an empty page. */
static int enter(struct tree_cursor *c)
{
    int err = descend(c);

    if (err == 0)
        err = settle(c);
    return err == -ENOENT ? 0 : err;
}

/* Is the item of `c` before everything below the child at which `d` stands? False if that is not
 * certain: the key of the first slot is minus infinity and says nothing. */
static bool before(const struct tree_cursor *c, const struct tree_cursor *d)
{
    const struct tree_step *s = &d->step[d->depth - 1];
    return s->slot > 0 && key_compare(tree_cursor_key(c), page_key(s->page->data, s->slot)) < 0;
}

/* Reports the item of `a` (order < 0), of `b` (> 0) or of both (0) if they differ, and goes on. */
static int report_items(struct tree_cursor *a, struct tree_cursor *b, int order, tree_diff_fn *fn,
                        void *ctx)
{
    size_t alen = 0, blen = 0;
    const void *av = order <= 0 ? tree_cursor_value(a, &alen) : NULL;
    const void *bv = order >= 0 ? tree_cursor_value(b, &blen) : NULL;
    struct key k = tree_cursor_key(order <= 0 ? a : b);
    int err = 0;

    if (!av || !bv || alen != blen || memcmp(av, bv, alen))
        err = fn(k, av, alen, bv, blen, ctx);
    if (err == 0 && av)
        err = skip(a);
    if (err == 0 && bv)
        err = skip(b);
    return err;
}

/* Goes past the items that are equal, up to the end of either leaf. Most items of two leaves that
 * differ are. Returns how many these were, or -errno. */
static int skip_equal(struct tree_cursor *a, struct tree_cursor *b)
{
    const uint8_t *p = top(a)->page->data, *q = top(b)->page->data;
    const unsigned left = page_count(p) - top(a)->slot, other = page_count(q) - top(b)->slot;
    unsigned n = 0;
    int err;

    for (; n < left && n < other; n++) {
        size_t alen, blen;
        const uint8_t *av = page_value(p, top(a)->slot + n, &alen);
        const uint8_t *bv = page_value(q, top(b)->slot + n, &blen);
        if (alen != blen || key_compare(page_key(p, top(a)->slot + n),
                                        page_key(q, top(b)->slot + n)) ||
            memcmp(av, bv, alen))
            break;
    }
    if (n == 0)
        return 0;
    top(a)->slot += n;
    top(b)->slot += n;
    err = settle(a);
    if (err == 0 || err == -ENOENT)
        err = settle(b);
    return err < 0 && err != -ENOENT ? err : (int)n;
}

/* One step of the comparison: skips a page that both trees share, goes down into one that differs,
 * or reports an item. */
static int diff_step(struct tree_cursor *a, struct tree_cursor *b, tree_diff_fn *fn, void *ctx)
{
    if (at_child(a) && at_child(b)) {
        uint64_t x = page_child(top(a)->page->data, top(a)->slot);
        uint64_t y = page_child(top(b)->page->data, top(b)->slot);
        if (level(a) == level(b) && x == y) {
            int err = skip(a);
            return err < 0 ? err : skip(b);
        }
        return enter(level(a) >= level(b) ? a : b);
    }
    if (at_child(a))
        return at_item(b) && before(b, a) ? report_items(a, b, 1, fn, ctx) : enter(a);
    if (at_child(b))
        return at_item(a) && before(a, b) ? report_items(a, b, -1, fn, ctx) : enter(b);
    if (!a->depth || !b->depth)
        return report_items(a, b, a->depth ? -1 : 1, fn, ctx);
    int equal = skip_equal(a, b);
    if (equal != 0)
        return equal < 0 ? equal : 0;
    return report_items(a, b, key_compare(tree_cursor_key(a), tree_cursor_key(b)), fn, ctx);
}

/* Go to the first slot of the root. An empty tree leaves the depth at 0. */
static int start(struct tree_cursor *c)
{
    int err = c->tree->root ? push(c, c->tree->root) : 0;

    if (err == 0 && c->depth)
        err = settle(c);
    return err == -ENOENT ? 0 : err;
}

int tree_diff(const struct tree *a, const struct tree *b, tree_diff_fn *fn, void *ctx)
{
    struct tree_cursor x = {.tree = a}, y = {.tree = b};
    int err;

    if (a->root == b->root)
        return 0;
    err = start(&x);
    if (err == 0)
        err = start(&y);
    while (err == 0 && (x.depth || y.depth))
        err = diff_step(&x, &y, fn, ctx);
    tree_cursor_end(&x);
    tree_cursor_end(&y);
    return err;
}
