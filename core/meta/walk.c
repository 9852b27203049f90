// SPDX-License-Identifier: Apache-2.0
/* walk: see the header. Each leaf is found again from the root, by the key at which the walk goes
 * on, because the tree may have changed in between. */
#include "walk.h"
#include "page.h"
#include <errno.h>

/* A leaf, and on the way to it the page that was reached. */
struct leaf {
    struct walk_page page; /* without data: it is hidden by damage */
    bool owned;            /* neither it nor a page above is shared */
    struct key low;        /* its keys are in [low, end), */
    bool last;             /* or, if this is set, not before `low` */
    struct key end;
};

static bool in_range(const struct leaf *l, struct key k)
{
    return key_compare(k, l->low) >= 0 && (l->last || key_compare(k, l->end) < 0);
}

static void put_page(const struct walk *w, const struct walk_page *p)
{
    if (w->source->put && p->data)
        w->source->put(w, p);
}

/* Reads page `no`, which has this level (-1: any) and the range of keys of *l. -EUCLEAN: it is
 * damaged, does not belong there, or is left out. */
static int get_page(struct walk *w, uint64_t no, int level, struct key k, const struct leaf *l,
                    struct walk_page *ret)
{
    unsigned first;
    int err;

    if (w->page && !w->page(no, k, l->last ? NULL : &l->end, w->ctx))
        return -EUCLEAN;
    err = w->source->get(w, no, ret);
    if (err < 0)
        return err;
    first = page_level(ret->data) > 0; /* the first slot of an inner page has no key */
    if ((level < 0 || page_level(ret->data) == (unsigned)level) &&
        (page_count(ret->data) <= first || in_range(l, page_key(ret->data, first))))
        return 0;
    put_page(w, ret);
    return -EUCLEAN;
}

/* The child that has the key k, with its range of keys in *l. */
static uint64_t choose_child(struct walk *w, const uint8_t *p, struct key k, struct leaf *l)
{
    unsigned count = page_count(p), i = page_search_child(p, k);

    if (count > 1 && !in_range(l, page_key(p, count - 1)))
        w->hidden = true;
    if (i > 0)
        l->low = page_key(p, i);
    if (i + 1 < count && in_range(l, page_key(p, i + 1))) {
        l->end = page_key(p, i + 1);
        l->last = false;
    }
    return page_child(p, i);
}

/* Finds the leaf that would have key `k`. */
static int find_leaf(struct walk *w, struct key k, struct leaf *ret)
{
    uint64_t no = *w->root;
    struct walk_page p;
    int level = -1;

    *ret = (struct leaf){.last = true, .owned = true};
    for (;;) {
        int err = get_page(w, no, level, k, ret, &p);
        if (err < 0) {
            w->hidden |= err == -EUCLEAN;
            return err == -EUCLEAN ? 0 : err;
        }
        ret->owned &= !p.shared;
        w->owned_pages += ret->owned && key_compare(k, ret->low) == 0;
        level = (int)page_level(p.data) - 1;
        if (level < 0)
            break;
        no = choose_child(w, p.data, k, ret);
        put_page(w, &p);
    }
    ret->page = p;
    return 0;
}

/* Calls fn for the items of a leaf from *k on, and moves *k behind them. -ENOENT: the last key was
 * passed. */
static int visit_items(struct walk *w, const struct leaf *l, struct key *k, unsigned *left)
{
    const uint8_t *p = l->page.data;
    bool found;
    int err = 0;

    w->owned = l->owned;
    for (unsigned i = page_search(p, *k, &found); err == 0 && i < page_count(p) && *left > 0; i++) {
        struct key at = page_key(p, i);
        size_t len;
        const uint8_t *val = page_value(p, i, &len);
        if (key_compare(at, w->to) > 0)
            return -ENOENT;
        if (!in_range(l, at)) {
            w->hidden = true;
            break;
        }
        err = w->fn(at, val, len, w->ctx);
        *k = (struct key){at.hi + (at.lo == UINT64_MAX), at.lo + 1};
        --*left;
    }
    return err;
}

/* One piece of the walk from *k on, which is moved to where the walk goes on. -ENOENT: that was the
 * end. */
static int visit_piece(struct walk *w, struct key *k)
{
    unsigned left = WALK_AT_ONCE;
    struct leaf l;
    int err = *w->root ? 0 : -ENOENT;

    while (err == 0 && left > 0) {
        err = find_leaf(w, *k, &l);
        if (err < 0)
            return err;
        if (l.page.data) {
            err = visit_items(w, &l, k, &left);
            put_page(w, &l.page);
        }
        if (err == 0 && left > 0) { /* all of the leaf was visited */
            if (l.last || key_compare(l.end, w->to) > 0)
                return -ENOENT;
            *k = l.end;
        }
    }
    return err;
}

static int visit_locked(struct walk *w, struct key *k)
{
    READ_GUARD(w->lock);
    return visit_piece(w, k);
}

int walk_items(struct walk *w)
{
    struct key k = w->from;
    int err;

    while ((err = w->lock ? visit_locked(w, &k) : visit_piece(w, &k)) == 0)
        if (w->pause && (err = w->pause(w->pause_ctx)) != 0)
            return err;
    return err == -ENOENT ? 0 : err;
}
