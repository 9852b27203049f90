// SPDX-License-Identifier: Apache-2.0
/*
 * load_content: the contents of an image become objects, aside (refs.h):
 *
 *     up to pack_limit    gathered in memory, one record of a pack
 *     larger              gathered in memory or in a slot (load_large.c); then a file of its own
 *     sparse              a record for each block that has data, named by extents of an inode that
 *                         is new, and that the first INODE becomes which names the content
 *
 * An object is held until the tree counts it.
 */
#include "load_impl.h"

#include "compression.h"
#include <errno.h>
#include <stdlib.h>

static struct load_content *place_of(struct load *l, uint64_t number)
{
    return &l->kept[number % LOAD_KEPT];
}

int load_content_settle(struct load *l, uint64_t number)
{
    struct load_content *c = place_of(l, number);

    return c->number == number ? load_large_settle(l, c) : 0;
}

/* ---- objects ---- */

/* Makes an object of the bytes, or finds one. */
static int keep_once(struct load *l, const void *data, uint32_t len, uint64_t *ret_object,
                     bool *ret_new)
{
    struct objects_seen seen;

    objects_look_buffer(l->p->objects, data, len, &seen);
    READ_GUARD(&l->p->freeze_lock);
    return objects_keep_buffer(l->p->objects, data, len, compression_to_seal(l->p, 0), &seen,
                               ret_object, ret_new);
}

void load_count_bytes(struct load *l, uint64_t len, bool new)
{
    l->result.bytes += len;
    l->result.stored += new ? len : 0;
}

int load_keep(struct load *l, const void *data, size_t len, uint64_t *ret_object)
{
    bool new;
    int err;

    do /* -EAGAIN: what another thread did meanwhile has to be looked at again */
        err = keep_once(l, data, (uint32_t)len, ret_object, &new);
    while (err == -EAGAIN);
    if (err == 0)
        load_count_bytes(l, len, new);
    return err;
}

/* ---- sparse contents ---- */

/* The pages of the block without data, as a map of holes. What is behind the data is not stored. */
static uint32_t map_of(const struct load_piece *c)
{
    unsigned pages = (unsigned)((c->used + FILE_PAGE - 1) / FILE_PAGE);
    uint64_t all = (UINT64_C(1) << pages) - 1;

    return (uint32_t)all & ~c->touched;
}

/* Puts the block under the inode of the content. The caller has a hold on the object. */
static int put_block(struct load *l, uint64_t object)
{
    struct load_piece *c = &l->piece;
    struct extent e = {object, (uint32_t)c->used};
    uint8_t item[EXTENT_ITEM_LEN], holes[HOLES_ITEM_LEN];
    uint32_t map = map_of(c);
    int err;
    LOAD_GUARD(l);

    extent_encode(&e, item);
    err = tree_put(&l->ns->tree, key_make(c->is.ino, ITEM_EXTENT, c->block), item, sizeof item);
    if (err == 0 && map) {
        holes_encode(map, holes);
        err =
            tree_put(&l->ns->tree, key_make(c->is.ino, ITEM_HOLES, c->block), holes, sizeof holes);
        c->is.holes = true;
    }
    c->is.stored += c->used - (uint64_t)__builtin_popcount(map) * FILE_PAGE;
    return err;
}

/* Stores what was gathered of a block. */
static int end_block(struct load *l)
{
    struct load_piece *c = &l->piece;
    uint64_t object;
    int err = c->used ? load_keep(l, c->buf, c->used, &object) : 0;

    if (err < 0 || c->used == 0)
        return err;
    err = put_block(l, object);
    refs_unhold(l->p->refs, object);
    c->used = 0;
    c->touched = 0;
    return err;
}

static uint32_t pages_between(size_t from, size_t end)
{
    unsigned first = (unsigned)(from / FILE_PAGE), last = (unsigned)((end - 1) / FILE_PAGE);
    uint64_t bits = (UINT64_C(2) << last) - (UINT64_C(1) << first);

    return (uint32_t)bits;
}

/* Gathers a piece block by block. */
static int take_sparse(struct load *l, const uint8_t *data, size_t len, uint64_t off)
{
    struct load_piece *c = &l->piece;
    int err = 0;

    while (len > 0 && err == 0) {
        uint64_t block = off - off % EXTENT_BLOCK;
        size_t from = (size_t)(off - block);
        size_t n = len < EXTENT_BLOCK - from ? len : EXTENT_BLOCK - from;

        if (block != c->block)
            err = end_block(l);
        if (err < 0)
            return err;
        c->block = block;
        memset(c->buf + c->used, 0, from - c->used);
        memcpy(c->buf + from, data, n);
        c->touched |= pages_between(from, from + n);
        c->used = from + n;
        data += n;
        off += n;
        len -= n;
    }
    return err;
}

/* ---- pieces ---- */

/* The extents of a sparse content need an inode. */
static int begin_sparse(struct load *l)
{
    int err;
    LOAD_GUARD(l);

    err = ns_need_ino(l->p, l->ns);
    if (err == 0)
        l->piece.is.ino = ns_give_ino(l->ns);
    return err;
}

static int begin_content(struct load *l, const struct image_record *r)
{
    uint64_t limit = (uint64_t)settings_get(&l->p->settings, SET_PACK_LIMIT);

    l->piece = (struct load_piece){
        .is = {.number = r->number, .length = r->length, .sparse = r->sparse}, .buf = l->piece.buf};
    if (r->sparse)
        return begin_sparse(l);
    return r->length > limit ? load_large_begin(l, r->length) : 0;
}

int load_content_take(struct load *l, const struct image_record *r)
{
    struct load_piece *c = &l->piece;
    int err = c->is.number == r->number ? 0 : begin_content(l, r);

    if (err < 0)
        return err;
    c->is.valid = r->offset + r->len;
    if (r->sparse)
        return take_sparse(l, r->data, r->len, r->offset);
    if (c->large)
        return load_large_take(c->large, r->data, r->len, r->offset);
    if (r->len == r->length) /* it is all of it, so it need not be gathered */
        return load_keep(l, r->data, r->len, &c->is.object);
    memcpy(c->buf + c->used, r->data, r->len);
    c->used += r->len;
    return 0;
}

/* ---- contents that wait for their inode ---- */

/* Forgets a content. Blocks go that no inode has got. */
static int forget(struct load *l, struct load_content *c)
{
    int err = load_large_settle(l, c);

    if (c->object)
        refs_unhold(l->p->refs, c->object);
    if (err == 0 && c->ino && !c->given) {
        LOAD_GUARD(l);
        err = items_cut(l->p, &l->ns->tree, range_of_inode(c->ino));
    }
    *c = (struct load_content){0};
    return err;
}

int load_content_end(struct load *l)
{
    struct load_piece *c = &l->piece;
    struct load_content *to;
    int err = 0;

    if (!c->is.number)
        return 0;
    if (c->is.sparse)
        err = end_block(l);
    else if (c->large)
        err = load_large_end(l);
    else if (!c->is.object)
        err = load_keep(l, c->buf, c->used, &c->is.object);
    to = place_of(l, c->is.number);
    if (err == 0)
        err = forget(l, to);
    if (err < 0)
        return err;
    *to = c->is;
    c->is = (struct load_content){0};
    return 0;
}

uint64_t load_content_adopt(struct load *l, uint64_t number, uint64_t inode)
{
    struct load_content *c = place_of(l, number);

    if (number == 0 || c->number != number || c->given)
        return 0;
    c->given = c->sparse ? inode : 0;
    return c->ino;
}

/* Gives an inode the blocks of a sparse content. Their own inode has them already, and any other
 * one gets copies. There is one block at least, unless that inode was removed. */
static int give_blocks(struct load *l, struct load_content *c, struct load_inode *to)
{
    struct tree *t = &l->ns->tree;
    int err = 0;

    if (!items_any(t, range_of_items(c->ino, ITEM_EXTENT, 0)))
        return load_fail_removed(l, c->given);
    if (c->ino != to->ino)
        err = items_copy(l->p, t, range_of_items(c->ino, ITEM_EXTENT, 0), t, to->ino);
    if (err == 0 && c->holes && c->ino != to->ino)
        err = items_copy(l->p, t, range_of_items(c->ino, ITEM_HOLES, 0), t, to->ino);
    to->in.flags |= INODE_EXTENTS | (c->holes ? (uint32_t)INODE_HOLES : 0);
    to->in.stored = c->stored;
    return err;
}

int load_content_give(struct load *l, uint64_t number, struct load_inode *to)
{
    struct load_content *c = place_of(l, number);
    int err;

    if (c->number != number || c->length != to->in.size)
        return load_fail(l, -EINVAL, "inode %llu names a content that is %s",
                         (unsigned long long)to->number,
                         c->number != number ? "not among the last ones" : "not of its size");
    if (c->sparse)
        return give_blocks(l, c, to);
    err = refs_hold(l->p->refs, c->object);
    if (err < 0)
        return err;
    to->held = to->in.object = c->object;
    to->in.valid = c->valid;
    return 0;
}

int load_contents_forget(struct load *l)
{
    int err = 0;

    for (size_t i = 0; i < LOAD_KEPT && err == 0; i++)
        err = forget(l, &l->kept[i]);
    return err;
}

/* Forgets a content whose draft goes. */
static void release(struct load *l, struct load_content *c)
{
    (void)load_large_settle(l, c);
    if (c->object)
        refs_unhold(l->p->refs, c->object);
}

void load_contents_release(struct load *l)
{
    struct load_piece *c = &l->piece;

    if (c->large)
        load_large_free(c->large);
    release(l, &c->is);
    for (size_t i = 0; i < LOAD_KEPT; i++)
        release(l, &l->kept[i]);
}
