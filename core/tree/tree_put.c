// SPDX-License-Identifier: Apache-2.0
/*
 * tree_put: inserting and replacing. Pages are split from the leaf upwards. If the last page is
 * full and the item goes to its end, the page is not halved: a new page follows it, so that rising
 * keys fill their pages. Any other full leaf first moves items to a neighbour that has room.
 */
#include "tree_impl.h"
#include <errno.h>

/* Where a full page is split for an item of `need` bytes that goes in before slot `idx`: slots from
 * the result on go to the right page. *ret_right: so does the item. With rising keys (the item goes
 * to the end of the last page) the split is at the end; else near half of the bytes, with the item
 * among them. No item is larger than a quarter of a page, so both sides fit. */
static unsigned split_point(const uint8_t *p, unsigned idx, size_t need, bool last, bool *ret_right)
{
    unsigned n = page_count(p), at = 0;
    size_t sum = 0, half = (page_used(p) + need) / 2;
    bool left = false, rising = last && idx == n;

    while (!rising && sum < half) {
        size_t len;
        if (at == idx && !left) {
            sum += need;
            left = true;
            continue;
        }
        (void)page_value(p, at++, &len);
        sum += PAGE_SLOT + len;
    }
    *ret_right = !left;
    return rising ? n : at;
}

void tree_reset_first_key(uint8_t *p)
{
    if (page_level(p) > 0 && page_count(p) > 0)
        page_set_key(p, 0, (struct key){0, 0});
}

/* Makes a new root above `left`, the old root, and its new sibling `right`. */
static int grow_root(struct tree *t, struct tree_page *left, struct key sep,
                     struct tree_page *right)
{
    struct tree_page *root;
    uint8_t number[8];
    int err = pages_new(t->pages, page_level(left->data) + 1, &root);

    if (err < 0)
        return err;
    put_le64(number, left->no);
    (void)page_insert(root->data, 0, (struct key){0, 0}, number, sizeof number);
    put_le64(number, right->no);
    (void)page_insert(root->data, 1, sep, number, sizeof number);
    t->root = root->no;
    pages_put(t->pages, root);
    return 0;
}

/* Inserts before slot `idx` of the page at depth d of an owned path, and splits pages upwards as
 * needed. The new sibling is hung into the parent before any slot moves, so a failure changes
 * nothing. */
static int insert_at(struct tree *t, struct tree_path *path, unsigned d, unsigned idx, struct key k,
                     const void *val, size_t len)
{
    struct tree_page *p = path->step[d].page, *right;
    uint8_t number[8];
    unsigned at;
    bool to_right;
    struct key sep;
    int err = pages_modify(t->pages, p);

    if (err < 0)
        return err;
    if (page_insert(p->data, idx, k, val, len))
        return 0;
    err = pages_new(t->pages, page_level(p->data), &right);
    if (err < 0)
        return err;
    at = split_point(p->data, idx, PAGE_SLOT + len,
                     d == 0 ||
                         path->step[d - 1].slot + 1 == page_count(path->step[d - 1].page->data),
                     &to_right);
    sep = to_right && at == idx ? k : page_key(p->data, at);
    put_le64(number, right->no);
    err = d == 0 ? grow_root(t, p, sep, right)
                 : insert_at(t, path, d - 1, path->step[d - 1].slot + 1, sep, number, 8);
    if (err < 0) {
        (void)pages_free(t->pages, right->no);
    } else {
        page_move_tail(p->data, at, right->data);
        (void)page_insert(to_right ? right->data : p->data, to_right ? idx - at : idx, k, val, len);
        tree_reset_first_key(right->data);
    }
    pages_put(t->pages, right);
    return err;
}

/* ---- making room without splitting ---- */

#define SHARE_MIN 512 /* bytes; less is not worth touching a neighbour */

/* How many slots from one end of `p` have at most `bytes` bytes together. At least one slot is left
 * out. */
static unsigned slots_of(const uint8_t *p, size_t bytes, bool from_front)
{
    unsigned n = page_count(p), i;
    size_t sum = 0;

    for (i = 0; i + 1 < n; i++) {
        size_t len;
        (void)page_value(p, from_front ? i : n - 1 - i, &len);
        sum += PAGE_SLOT + len;
        if (sum > bytes)
            break;
    }
    return i;
}

/* Move `n` slots from one end of `p` to the facing end of `other`, which has room. */
static void shift(uint8_t *p, uint8_t *other, unsigned n, bool left)
{
    for (; n > 0; n--) {
        unsigned from = left ? 0 : page_count(p) - 1;
        size_t len;
        const uint8_t *v = page_value(p, from, &len);
        (void)page_insert(other, left ? page_count(other) : 0, page_key(p, from), v, len);
        page_remove(p, from);
    }
}

/* Make three pages dirty before any of them changes. */
static int modify_three(struct tree *t, struct tree_page *a, struct tree_page *b,
                        struct tree_page *c)
{
    int err = pages_modify(t->pages, a);

    if (err == 0)
        err = pages_modify(t->pages, b);
    return err < 0 ? err : pages_modify(t->pages, c);
}

/* Moves slots of a full leaf to its neighbour at `slot` of the parent, if the tree owns that one
 * and it has room. The path and *idx then lead to the place of the item of `need` bytes. Without
 * this, keys that arrive in the middle of pages that rising keys filled would leave most pages half
 * empty. */
static int share_with(struct tree *t, struct tree_path *path, unsigned slot, size_t need,
                      unsigned *idx, bool *ret_shared)
{
    struct tree_step *up = &path->step[path->depth - 2], *here = up + 1;
    bool left = slot < up->slot, moves;
    struct tree_page *other;
    size_t mine = page_used(here->page->data), theirs;
    unsigned n, border;
    int err = pages_get(t->pages, page_child(up->page->data, slot), &other);

    if (err < 0)
        return err;
    theirs = page_used(other->data);
    if (atomic_load(&other->count) == 1 && mine > theirs + 2 * (need + SHARE_MIN)) {
        err = modify_three(t, other, here->page, up->page);
        if (err == 0) {
            n = slots_of(here->page->data, (mine - theirs) / 2 - need, left);
            border = left ? n : page_count(here->page->data) - n;
            moves = left ? *idx <= border : *idx > border;
            if (left == moves)
                *idx = left ? page_count(other->data) + *idx : *idx;
            else
                *idx -= border;
            shift(here->page->data, other->data, n, left);
            page_set_key(up->page->data, left ? up->slot : slot,
                         page_key(left ? here->page->data : other->data, 0));
            if (moves) { /* the item belongs into the neighbour, so the path leads there now */
                struct tree_page *was = here->page;
                here->page = other;
                up->slot = slot;
                other = was;
            }
            *ret_shared = true;
        }
    }
    pages_put(t->pages, other);
    return err;
}

/* Makes room in a full leaf with the help of its left or right neighbour, if one has room. */
static int share_room(struct tree *t, struct tree_path *path, size_t need, unsigned *idx)
{
    struct tree_step *up = path->depth > 1 ? &path->step[path->depth - 2] : NULL;
    bool shared = false;
    unsigned children;
    int err = 0;

    if (!up)
        return 0;
    children = page_count(up->page->data);
    if (*idx == page_count(up[1].page->data) && up->slot + 1 == children)
        return 0; /* rising keys: a new page will follow */
    if (up->slot > 0)
        err = share_with(t, path, up->slot - 1, need, idx, &shared);
    if (err == 0 && !shared && up->slot + 1 < children)
        err = share_with(t, path, up->slot + 1, need, idx, &shared);
    return err;
}

/* Makes the first page of an empty tree, with one item. */
static int plant(struct tree *t, struct key k, const void *val, size_t len)
{
    struct tree_page *root;
    int err = pages_new(t->pages, 0, &root);

    if (err < 0)
        return err;
    (void)page_insert(root->data, 0, k, val, len);
    t->root = root->no;
    pages_put(t->pages, root);
    return 0;
}

/* The object and the usage of an item that was replaced; zeros: there was none. */
struct replaced {
    uint64_t object;
    struct usage usage;
};

/* Puts an item into the leaf of an owned path. *ret: the item that it replaced. */
static int put_in_leaf(struct tree *t, struct tree_path *path, struct key k, const void *val,
                       size_t len, struct replaced *ret)
{
    struct tree_page *leaf = path->step[path->depth - 1].page;
    bool found;
    unsigned slot = page_search(leaf->data, k, &found);
    const uint8_t *old;
    uint8_t kept[PAGE_VALUE_MAX];
    size_t old_len;
    int err;

    *ret = (struct replaced){0};
    if (!found) {
        err = page_fits(leaf->data, len) ? 0 : share_room(t, path, PAGE_SLOT + len, &slot);
        return err < 0 ? err : insert_at(t, path, path->depth - 1, slot, k, val, len);
    }
    err = pages_modify(t->pages, leaf);
    if (err < 0)
        return err;
    old = page_value(leaf->data, slot, &old_len);
    *ret = (struct replaced){item_object(k, old, old_len), item_usage(k, old, old_len)};
    if (page_replace(leaf->data, slot, val, len))
        return 0;
    memcpy(kept, old, old_len);
    page_remove(leaf->data, slot);
    err = insert_at(t, path, path->depth - 1, slot, k, val, len);
    if (err < 0) {
        (void)page_insert(leaf->data, slot, k, kept, old_len);
        ret->object = 0;
    }
    return err;
}

/* The object that item `k` of the path's leaf names. */
static uint64_t object_there(const struct tree_path *path, struct key k)
{
    const uint8_t *leaf = path->step[path->depth - 1].page->data;
    bool found;
    unsigned slot = page_search(leaf, k, &found);
    size_t len = 0;
    const uint8_t *v = found ? page_value(leaf, slot, &len) : NULL;

    return found ? item_object(k, v, len) : 0;
}

/* Walks to `k` and makes the path owned. `object` (not 0) is counted (*ret_counted), unless the
 * item there names it already, as after most changes of a file. It is counted before a page is
 * copied, since the copy may release what kept the object. If the entry of the object is lost, it
 * stays uncounted: allowed with `no_news`, or if the item named it before; else -EUCLEAN. */
static int walk_counted(struct tree *t, struct key k, uint64_t object, bool no_news,
                        struct tree_path *path, bool *ret_counted)
{
    bool owned;
    int err = t->root ? tree_walk(t, k, false, path) : 0;

    if (err < 0)
        return err;
    owned = tree_path_is_owned(path);
    if (t->root && owned && object_there(path, k) == object)
        return 0;
    err = refs_ref(t->refs, object);
    *ret_counted = err == 0;
    if (err == -ENOENT)
        err = no_news || (t->root && object_there(path, k) == object) ? 0 : -EUCLEAN;
    if (err < 0 || owned)
        return err;
    tree_path_release(t, path->step, path->depth);
    return tree_walk(t, k, true, path);
}

/* Puts an item, with the counts of the objects that it and the replaced item name. `no_news`: the
 * item was put before (tree_put_again). */
static int put_item(struct tree *t, struct key k, const void *val, size_t len, bool no_news)
{
    struct tree_path path = {.depth = 0};
    uint64_t object = item_object(k, val, len);
    struct replaced old = {0};
    bool counted = false;
    int err = len > PAGE_VALUE_MAX ? -EINVAL : 0;

    if (err == 0 && object)
        err = walk_counted(t, k, object, no_news, &path, &counted);
    else if (err == 0 && t->root)
        err = tree_walk(t, k, true, &path);
    if (err == 0)
        err = t->root ? put_in_leaf(t, &path, k, val, len, &old) : plant(t, k, val, len);
    tree_path_release(t, path.step, path.depth);
    if (err == 0) {
        usage_add(&t->usage, item_usage(k, val, len));
        usage_take(&t->usage, old.usage);
    }
    if (err == 0 && (counted || old.object != object))
        tree_let_go(t, old.object);
    else if (err < 0 && counted)
        tree_let_go(t, object);
    return err;
}

int tree_put_untold(struct tree *t, struct key k, const void *val, size_t len)
{
    return put_item(t, k, val, len, false);
}

/* Calls the observer after a put that succeeded. Returns `err`. */
static int tell_put(struct tree *t, struct key k, const void *val, size_t len, int err)
{
    if (err == 0 && t->observer)
        t->observer->put(t->observer, k, val, len);
    return err;
}

int tree_put(struct tree *t, struct key k, const void *val, size_t len)
{
    return tell_put(t, k, val, len, put_item(t, k, val, len, false));
}

int tree_put_again(struct tree *t, struct key k, const void *val, size_t len)
{
    return tell_put(t, k, val, len, put_item(t, k, val, len, true));
}
