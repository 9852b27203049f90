// SPDX-License-Identifier: Apache-2.0
/* delta: see the header. tree_diff visits keys in order, so the items of an inode come together,
 * and its record is always the last one. */
#include "delta.h"
#include "array.h"
#include "vnodes.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

struct gathering {
    struct delta *d;
    const struct tree *tree[DELTA_SIDES];
    uint64_t own;
    const _Atomic bool *interrupted;
};

/* Makes room for one more element, which the budget pays for. */
#define GROW(budget, v, v_room, count)                                                             \
    (diff_room_take(budget, sizeof *(v)) < 0 ? -E2BIG : ARRAY_RESERVE(v, v_room, (count) + 1))

/* The record of an inode, which is made if it is not the last one. */
static int record(struct delta *d, uint64_t ino, struct delta_inode **ret)
{
    int err;

    if (!d->count || d->inodes[d->count - 1].ino != ino) {
        err = GROW(d->room, d->inodes, d->inodes_room, d->count);
        if (err < 0)
            return err;
        d->inodes[d->count++] = (struct delta_inode){.ino = ino, .first_block = d->block_count};
    }
    *ret = &d->inodes[d->count - 1];
    return 0;
}

/* Notes that items of that kind differ. */
static int mark(struct gathering *g, uint64_t ino, unsigned kind, struct delta_inode **ret)
{
    int err = record(g->d, ino, ret);

    if (err == 0)
        (*ret)->items |= kind;
    return err;
}

static bool same_object(const struct gathering *g, uint64_t x, uint64_t y)
{
    struct refs *r = g->tree[DELTA_A]->refs;

    return x == y || (x && y && refs_resolve(r, x) == refs_resolve(r, y));
}

/* ---- the kinds of items ---- */

/* An item on both sides; NULL: the side does not have it. */
struct values {
    struct key k;
    const void *v[DELTA_SIDES];
    size_t len[DELTA_SIDES];
};

static int take_inode(struct gathering *g, const struct values *x)
{
    struct delta_inode *r;
    int err = record(g->d, key_ino(x->k), &r);

    for (int s = 0; s < DELTA_SIDES && err == 0; s++) {
        if (!x->v[s])
            continue;
        err = inode_decode(x->v[s], x->len[s], &r->at[s]);
        r->in[s] = err == 0;
    }
    return err;
}

static int add_block(struct gathering *g, const struct values *x)
{
    struct delta *d = g->d;
    struct delta_inode *r;
    uint64_t at = x->k.lo - x->k.lo % EXTENT_BLOCK;
    int err = mark(g, key_ino(x->k), DELTA_DATA, &r);

    if (err < 0 || (r->blocks && d->blocks[d->block_count - 1] == at))
        return err;
    err = GROW(d->room, d->blocks, d->blocks_room, d->block_count);
    if (err < 0)
        return err;
    d->blocks[d->block_count++] = at;
    r->blocks++;
    return 0;
}

static int take_extent(struct gathering *g, const struct values *x)
{
    struct extent e[DELTA_SIDES];
    int err = 0;

    for (int s = 0; s < DELTA_SIDES && err == 0; s++)
        if (x->v[s])
            err = extent_decode(x->v[s], x->len[s], &e[s]);
    if (err < 0)
        return err;
    if (x->v[DELTA_A] && x->v[DELTA_B] && e[DELTA_A].valid == e[DELTA_B].valid &&
        same_object(g, e[DELTA_A].object, e[DELTA_B].object))
        return 0;
    return add_block(g, x);
}

static bool same_xattr(const struct gathering *g, const struct xattr_item *x,
                       const struct xattr_item *y)
{
    if (x->name_len != y->name_len || memcmp(x->name, y->name, x->name_len) || x->len != y->len)
        return false;
    return x->object || y->object ? same_object(g, x->object, y->object)
                                  : !memcmp(x->value, y->value, x->len);
}

static int take_xattr(struct gathering *g, const struct values *x)
{
    struct xattr_item at[DELTA_SIDES];
    struct delta_inode *r;
    int err = 0;

    for (int s = 0; s < DELTA_SIDES && err == 0; s++)
        if (x->v[s])
            err = xattr_decode(x->v[s], x->len[s], &at[s]);
    if (err < 0)
        return err;
    if (x->v[DELTA_A] && x->v[DELTA_B] && same_xattr(g, &at[DELTA_A], &at[DELTA_B]))
        return 0;
    return mark(g, key_ino(x->k), DELTA_XATTRS, &r);
}

/* ---- names ---- */

/* Adds a name, whose sides the caller sets. */
static int add_name(struct delta *d, struct key k, const struct dirent_item *e,
                    struct delta_name **ret)
{
    int err = GROW(d->room, d->names, d->names_room, d->name_count);

    if (err == 0)
        err = diff_room_take(d->room, e->name_len);
    if (err == 0)
        err = ARRAY_RESERVE(d->text, d->text_room, d->text_len + e->name_len);
    if (err < 0)
        return err;
    *ret = &d->names[d->name_count++];
    **ret = (struct delta_name){.parent = key_ino(k), .text = d->text_len, .len = e->name_len};
    memcpy(d->text + d->text_len, e->name, e->name_len);
    d->text_len += e->name_len;
    return 0;
}

static int add_side(struct gathering *g, const struct values *x, int side,
                    const struct dirent_item *e)
{
    struct delta_name *n;
    int err = add_name(g->d, x->k, e, &n);

    if (err < 0)
        return err;
    n->ino[side] = e->ino;
    n->at[side] = x->k;
    return 0;
}

/* A place has one name on each side, and by a collision of hashes these may differ. So each side is
 * a name of its own until all are known (merge_names). */
static int take_entry(struct gathering *g, const struct values *x)
{
    struct delta_inode *r;
    struct dirent_item e;
    int err = mark(g, key_ino(x->k), DELTA_ENTRIES, &r);

    for (int s = 0; s < DELTA_SIDES && err == 0; s++) {
        if (!x->v[s])
            continue;
        err = dirent_decode(x->v[s], x->len[s], &e);
        if (err == 0)
            err = add_side(g, x, s, &e);
    }
    return err;
}

static int compare_names(const void *x, const void *y, void *ctx)
{
    const struct delta_name *a = x, *b = y;
    const struct delta *d = ctx;
    size_t len = a->len < b->len ? a->len : b->len;
    int order;

    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    order = memcmp(delta_text(d, a), delta_text(d, b), len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Makes one name of the two sides of a name. One that leads to the same number on both is no
 * difference: it has only moved to another place of its hash, or its entry differs in nothing that
 * counts. */
static void merge_names(struct delta *d)
{
    size_t kept = 0;

    if (d->name_count)
        qsort_r(d->names, d->name_count, sizeof *d->names, compare_names, d);
    for (size_t i = 0; i < d->name_count; i++) {
        struct delta_name n = d->names[i];
        if (i + 1 < d->name_count && compare_names(&n, &d->names[i + 1], d) == 0) {
            const struct delta_name *other = &d->names[++i];
            for (int s = 0; s < DELTA_SIDES; s++) {
                if (n.ino[s])
                    continue;
                n.ino[s] = other->ino[s];
                n.at[s] = other->at[s];
            }
        }
        if (n.ino[DELTA_A] != n.ino[DELTA_B])
            d->names[kept++] = n;
    }
    d->name_count = kept;
}

/* ---- the whole ---- */

static int take(struct key k, const void *a, size_t alen, const void *b, size_t blen, void *ctx)
{
    struct gathering *g = ctx;
    const struct values x = {k, {a, b}, {alen, blen}};
    struct delta_inode *r;

    if (g->interrupted && atomic_load_explicit(g->interrupted, memory_order_relaxed))
        return -EINTR;
    if (item_is_counter(k))
        return 0;
    switch (key_type(k)) {
    case ITEM_INODE:
        return take_inode(g, &x);
    case ITEM_SYMLINK:
        return mark(g, key_ino(k), DELTA_TARGET, &r);
    case ITEM_DIRENT:
        return take_entry(g, &x);
    case ITEM_EXTENT:
    case ITEM_SUBBLOCK:
        return take_extent(g, &x);
    case ITEM_XATTR:
        return take_xattr(g, &x);
    default: /* a map of holes does not change what a reader sees */
        return 0;
    }
}

static bool is_same(const struct gathering *g, const struct delta_inode *r)
{
    const struct inode *a = &r->at[DELTA_A], *b = &r->at[DELTA_B];

    if (!r->in[DELTA_A] || !r->in[DELTA_B])
        return false;
    return r->ino == VFS_TOP_INO || r->ino < g->own ||
           (a->btime == b->btime && (a->mode & S_IFMT) == (b->mode & S_IFMT));
}

/* Loads the inodes whose own item is the same on both sides, and says which are one file. */
static int complete(struct gathering *g)
{
    for (size_t i = 0; i < g->d->count; i++) {
        struct delta_inode *r = &g->d->inodes[i];
        bool known = r->in[DELTA_A] || r->in[DELTA_B];
        for (int s = 0; s < DELTA_SIDES && !known; s++) {
            int err = inode_load(g->tree[s], r->ino, &r->at[s]);
            if (err < 0 && err != -ESTALE)
                return err;
            r->in[s] = err == 0;
        }
        r->same = is_same(g, r);
    }
    return 0;
}

int delta_gather(const struct tree *a, const struct tree *b, uint64_t own,
                 const _Atomic bool *interrupted, struct delta *ret)
{
    struct gathering g = {ret, {a, b}, own, interrupted};
    int err = tree_diff(a, b, take, &g);

    if (err == 0)
        err = complete(&g);
    if (err < 0) {
        delta_release(ret);
        return err;
    }
    merge_names(ret);
    return 0;
}

void delta_release(struct delta *d)
{
    free(d->inodes);
    free(d->names);
    free(d->blocks);
    free(d->text);
    *d = (struct delta)DELTA_INIT(d->room);
}

static int compare_ino(const void *key, const void *elem)
{
    uint64_t ino = *(const uint64_t *)key, other = ((const struct delta_inode *)elem)->ino;

    return (ino > other) - (ino < other);
}

const struct delta_inode *delta_find(const struct delta *d, uint64_t ino)
{
    return d->count ? bsearch(&ino, d->inodes, d->count, sizeof *d->inodes, compare_ino) : NULL;
}
