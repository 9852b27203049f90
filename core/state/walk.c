// SPDX-License-Identifier: Apache-2.0
/* walk: see the header. Each leaf is found again from the root, by the key at which the walk goes
 * on, because the tree may have changed in between. */
#include "walk.h"
#include <errno.h>

struct leaf {
    struct tree_page *page; /* pinned; NULL: it is hidden by damage */
    bool last;
    struct key end; /* unless it is the last leaf: the first key behind it */
};

/* Reads page `no`, a child of `parent` (NULL: it is the root). -EUCLEAN: it is damaged or left
 * out. */
static int get_page(struct walk *w, uint64_t no, const struct tree_page *parent, struct key k,
                    const struct leaf *l, struct tree_page **ret)
{
    struct tree_page *p;
    int err;

    if (w->page && !w->page(no, k, l->last ? NULL : &l->end, w->ctx))
        return -EUCLEAN;
    err = pages_get(w->tree->pages, no, &p);
    if (err < 0)
        return err;
    if (parent && page_level(p->data) + 1 != page_level(parent->data)) {
        pages_put(w->tree->pages, p);
        return -EUCLEAN;
    }
    *ret = p;
    return 0;
}

/* Finds the leaf that would have key `k`. */
static int find_leaf(struct walk *w, struct key k, struct leaf *ret)
{
    struct tree_page *p = NULL, *child;
    uint64_t no = w->tree->root;
    int err;

    *ret = (struct leaf){.last = true};
    while (no) {
        unsigned i;
        err = get_page(w, no, p, k, ret, &child);
        pages_put(w->tree->pages, p);
        if (err < 0) {
            w->hidden |= err == -EUCLEAN;
            return err == -EUCLEAN ? 0 : err;
        }
        p = child;
        if (page_level(p->data) == 0)
            break;
        i = page_search_child(p->data, k);
        if (i + 1 < page_count(p->data)) {
            ret->last = false;
            ret->end = page_key(p->data, i + 1);
        }
        no = page_child(p->data, i);
    }
    ret->page = p;
    return 0;
}

/* Calls fn for the items of a leaf from *k on, and moves *k behind them. -ENOENT: the last key was
 * passed. */
static int visit_item(struct walk *w, const struct leaf *l, struct key *k, unsigned *left)
{
    const uint8_t *p = l->page->data;
    bool found;
    int err = 0;

    for (unsigned i = page_search(p, *k, &found); err == 0 && i < page_count(p) && *left > 0; i++) {
        struct key at = page_key(p, i);
        size_t len;
        const uint8_t *val = page_value(p, i, &len);
        if (key_compare(at, w->to) > 0)
            return -ENOENT;
        err = w->fn(at, val, len, w->ctx);
        *k = (struct key){at.hi + (at.lo == UINT64_MAX), at.lo + 1};
        --*left;
    }
    return err;
}

/* One piece of the walk from *k on, which is moved to where the walk goes on. -ENOENT: that was the
 * end. */
static int piece(struct walk *w, struct key *k)
{
    unsigned left = WALK_AT_ONCE;
    struct leaf l;
    int err = 0;
    READ_GUARD(w->lock);

    while (err == 0 && left > 0) {
        err = find_leaf(w, *k, &l);
        if (err < 0)
            return err;
        if (l.page) {
            err = visit_item(w, &l, k, &left);
            pages_put(w->tree->pages, l.page);
        }
        if (err == 0 && left > 0) { /* all of the leaf was visited */
            if (l.last || key_compare(l.end, w->to) > 0)
                return -ENOENT;
            *k = l.end;
        }
    }
    return err;
}

int walk_items(struct walk *w)
{
    struct key k = w->from;
    int err;

    while ((err = piece(w, &k)) == 0)
        if (w->pause && (err = w->pause(w->ctx)) != 0)
            return err;
    return err == -ENOENT ? 0 : err;
}
