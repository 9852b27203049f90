// SPDX-License-Identifier: Apache-2.0
/*
 * tree_cut: removing a range of items at once. A page all of whose items are in the range is not
 * read: its parent's reference on it goes to the drop queue. Only in the two leaves at the ends of
 * the range items are deleted one by one.
 *
 *     range            from |---------------------------| to
 *     inner page    [   a   |   b   |   c   |   d   |   e   ]
 *                       walked  queued  queued  queued  walked
 *
 * The range is removed from its front to its end. After a failure a rest of it is left, from some
 * key on; every item before that key is gone.
 */
#include "drop.h"
#include "tree_impl.h"
#include <errno.h>

static const struct key KEY_FIRST = {0, 0}, KEY_LAST = {UINT64_MAX, UINT64_MAX};

struct range {
    struct key from, to;
    struct key at; /* no item is left between `from` and this key */
};

/* Moves the child at the last step of the path to the drop queue, and removes its slot. */
static int queue_child(struct tree *t, struct tree_path *path, struct drops *drops)
{
    struct tree_step *s = &path->step[path->depth - 1];
    int err = pages_modify(t->pages, s->page);

    if (err == 0 && page_count(s->page->data) == 1)
        err = tree_ready_to_unhang(t, path);
    if (err == 0)
        err = drops_push(drops, page_child(s->page->data, s->slot));
    if (err < 0)
        return err;
    page_remove(s->page->data, s->slot);
    tree_reset_first_key(s->page->data);
    (void)tree_tidy(t, path); /* if it fails a page stays sparse or leaks, as after tree_del */
    return 0;
}

/* Walks down towards r->at. If it meets a page that is wholly in the range it queues that page and
 * moves r->at behind it. Otherwise it ends at a leaf, and *ret_hi is above all keys of the leaf. */
static int walk(struct tree *t, struct range *r, struct drops *drops, struct tree_path *path,
                struct key *ret_hi)
{
    struct tree_page *parent = NULL;
    struct key lo = KEY_FIRST, hi = KEY_LAST;
    uint64_t no = t->root;

    for (;;) {
        struct tree_step *s = &path->step[path->depth];
        unsigned slot = parent ? path->step[path->depth - 1].slot : 0;
        int err = pages_get(t->pages, no, &s->page);

        if (err < 0)
            return err;
        path->depth++;
        err = tree_check_level(s->page, path->depth, parent);
        if (err < 0 || page_level(s->page->data) == 0) {
            *ret_hi = hi;
            return err;
        }
        err = tree_own_page(t, parent, slot, &s->page);
        if (err < 0)
            return err;
        s->slot = page_search_child(s->page->data, r->at);
        lo = s->slot ? page_key(s->page->data, s->slot) : lo;
        if (s->slot + 1 < page_count(s->page->data))
            hi = page_key(s->page->data, s->slot + 1);
        if (key_compare(lo, r->from) >= 0 && key_compare(hi, r->to) <= 0) {
            err = queue_child(t, path, drops);
            r->at = err == 0 ? hi : r->at;
            *ret_hi = r->at;
            return err;
        }
        no = page_child(s->page->data, s->slot);
        parent = s->page;
    }
}

/* Deletes the items from r->at up to `end` (not included), one by one. */
static int delete_up_to(struct tree *t, struct range *r, struct key end)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct key k;
    int err;

    while ((err = tree_seek(t, r->at, &c)) == 0) {
        k = tree_cursor_key(&c);
        tree_cursor_end(&c);
        if (key_compare(k, end) >= 0)
            break;
        r->at = k; /* all before `k` is removed, even if this fails */
        err = tree_del_untold(t, k);
        if (err < 0)
            return err;
    }
    if (err < 0 && err != -ENOENT)
        return err;
    r->at = end;
    return 0;
}

int tree_cut(struct tree *t, struct key from, struct key to, struct drops *drops,
             struct key *ret_done)
{
    struct range r = {from, to, from};
    int err = 0;

    while (err == 0 && t->root && key_compare(r.at, to) < 0) {
        struct tree_path path = {.depth = 0};
        struct key hi;

        err = walk(t, &r, drops, &path, &hi);
        tree_path_release(t, path.step, path.depth);
        if (err == 0 && key_compare(r.at, hi) < 0)
            err = delete_up_to(t, &r, key_compare(hi, to) < 0 ? hi : to);
    }
    *ret_done = err < 0 ? r.at : to;
    return err;
}
