// SPDX-License-Identifier: Apache-2.0
/*
 * file_image: see the header.
 *
 * Block by block, each side says where the bytes of the block come from: an extent, or else the
 * base, and the subblock extents over it. Only where the two do not come from the same place are
 * the bytes made and compared.
 */
#include "file_image.h"
#include "array.h"
#include <stdlib.h>

bool object_is_same(struct refs *r, uint64_t x, uint64_t y)
{
    struct entry a, b;

    if (x == y || !x || !y)
        return x == y;
    if (refs_entry(r, x, true, &x, &a) < 0 || refs_entry(r, y, true, &y, &b) < 0)
        return false;
    return x == y || (a.kind == ENTRY_ABSENT && b.kind == ENTRY_ABSENT && a.size == b.size &&
                      !memcmp(a.sha256, b.sha256, SHA256_LEN));
}

/* ---- loading ---- */

static bool hold(struct refs *r, uint64_t object)
{
    return object && refs_hold(r, object) == 0;
}

static void unhold(struct refs *r, uint64_t object, bool held)
{
    if (held)
        refs_unhold(r, object);
}

void file_image_of_object(struct refs *r, uint64_t object, uint64_t len, struct file_image *ret)
{
    *ret = (struct file_image){.size = len, .object = object, .valid = object ? len : 0};
    ret->hold = hold(r, object);
}

static int add_part(const struct tree *t, struct file_image *f, struct key k,
                    const struct extent *e, struct diff_room *room)
{
    bool sub = key_type(k) == ITEM_SUBBLOCK;
    struct image_part part = {.at = k.lo, .e = *e};
    int err = diff_room_take(room, sizeof part);

    if (err == 0)
        err = sub ? ARRAY_RESERVE(f->subblocks, f->subblocks_room, f->subblock_count + 1)
                  : ARRAY_RESERVE(f->extents, f->extents_room, f->extent_count + 1);
    if (err < 0)
        return err;
    part.hold = hold(t->refs, e->object);
    if (sub)
        f->subblocks[f->subblock_count++] = part;
    else
        f->extents[f->extent_count++] = part;
    return 0;
}

/* Loads the items of one kind in [from, to) of the file. */
static int load_range(const struct tree *t, uint64_t ino, enum item_type type, uint64_t from,
                      uint64_t to, struct diff_room *room, struct file_image *ret)
{
    struct tree_cursor c;
    int err = tree_seek(t, key_make(ino, type, from), &c);

    while (err == 0) {
        struct key k = tree_cursor_key(&c);
        struct extent e;
        size_t len;
        const void *val = tree_cursor_value(&c, &len);
        if (k.hi != key_make(ino, type, 0).hi || k.lo >= to)
            break;
        err = extent_decode(val, len, &e);
        if (err == 0)
            err = add_part(t, ret, k, &e, room);
        if (err == 0)
            err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}

static int load_kind(const struct tree *t, uint64_t ino, enum item_type type,
                     const uint64_t *blocks, size_t count, struct diff_room *room,
                     struct file_image *ret)
{
    int err = 0;

    if (!blocks)
        return load_range(t, ino, type, 0, UINT64_MAX, room, ret);
    for (size_t i = 0; i < count && err == 0; i++)
        err = load_range(t, ino, type, blocks[i], blocks[i] + EXTENT_BLOCK, room, ret);
    return err;
}

int file_image_load(const struct tree *t, uint64_t ino, const struct inode *in,
                    const uint64_t *blocks, size_t count, struct diff_room *room,
                    struct file_image *ret)
{
    int err = 0;

    file_image_of_object(t->refs, in->object, in->valid, ret);
    ret->size = in->size;
    if (in->flags & INODE_EXTENTS)
        err = load_kind(t, ino, ITEM_EXTENT, blocks, count, room, ret);
    if (err == 0 && in->flags & INODE_SUBBLOCKS)
        err = load_kind(t, ino, ITEM_SUBBLOCK, blocks, count, room, ret);
    return err;
}

void file_image_release(struct refs *r, struct file_image *f)
{
    unhold(r, f->object, f->hold);
    for (size_t i = 0; i < f->extent_count; i++)
        unhold(r, f->extents[i].e.object, f->extents[i].hold);
    for (size_t i = 0; i < f->subblock_count; i++)
        unhold(r, f->subblocks[i].e.object, f->subblocks[i].hold);
    free(f->extents);
    free(f->subblocks);
    *f = (struct file_image){0};
}

void file_pair_release(struct refs *r, struct file_pair *pair)
{
    for (int s = 0; s < DELTA_SIDES; s++)
        file_image_release(r, &pair->side[s]);
    free(pair->blocks);
    *pair = (struct file_pair){0};
}

/* ---- comparing ---- */

/* The first part at `at` or behind it. */
static size_t first_part(const struct image_part *v, size_t count, uint64_t at)
{
    size_t low = 0;

    while (low < count) {
        size_t mid = low + (count - low) / 2;
        if (v[mid].at < at)
            low = mid + 1;
        else
            count = mid;
    }
    return low;
}

/* Where the bytes of a block come from. */
struct block_source {
    uint64_t object, at; /* at an offset in an object; 0: zeros */
    uint64_t valid;      /* so many bytes; zeros behind them */
    const struct image_part *subs;
    size_t sub_count;
};

static void block_source(const struct file_image *f, uint64_t at, struct block_source *ret)
{
    size_t i = first_part(f->extents, f->extent_count, at);
    size_t from = first_part(f->subblocks, f->subblock_count, at);
    size_t to = first_part(f->subblocks, f->subblock_count, at + EXTENT_BLOCK);

    *ret = (struct block_source){.subs = f->subblocks + from, .sub_count = to - from};
    if (i < f->extent_count && f->extents[i].at == at) {
        ret->object = f->extents[i].e.object;
        ret->valid = f->extents[i].e.valid;
    } else if (f->valid > at) {
        ret->object = f->object;
        ret->at = at;
        ret->valid = f->valid - at < EXTENT_BLOCK ? f->valid - at : EXTENT_BLOCK;
    }
    if (!ret->valid)
        ret->object = ret->at = 0;
}

static bool same_source(struct refs *r, const struct block_source *a, const struct block_source *b)
{
    if (a->sub_count != b->sub_count || a->valid != b->valid || a->at != b->at ||
        !object_is_same(r, a->object, b->object))
        return false;
    for (size_t i = 0; i < a->sub_count; i++)
        if (a->subs[i].at != b->subs[i].at || a->subs[i].e.valid != b->subs[i].e.valid ||
            !object_is_same(r, a->subs[i].e.object, b->subs[i].e.object))
            return false;
    return true;
}

/* Reads `len` bytes of an object; those that it does not have stay as they are. */
static int read_bytes(struct state *p, uint64_t object, uint64_t at, uint8_t *buf, size_t len)
{
    struct reader r = {0};
    size_t done = 0;

    while (object && done < len) {
        ssize_t n = content_read(p, object, buf + done, len - done, at + done, &r);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return 0;
}

/* Makes the bytes of a block, of which the file has `len`. */
static int make_block(struct state *p, const struct block_source *s, uint64_t at, uint8_t *buf,
                      size_t len)
{
    int err;

    memset(buf, 0, len);
    err = read_bytes(p, s->object, s->at, buf, s->valid < len ? (size_t)s->valid : len);
    for (size_t i = 0; i < s->sub_count && err == 0; i++) {
        uint64_t off = s->subs[i].at - at;
        size_t n = s->subs[i].e.valid;
        if (off < len)
            err = read_bytes(p, s->subs[i].e.object, 0, buf + off, n < len - off ? n : len - off);
    }
    return err;
}

int file_image_block(struct state *p, const struct file_image *f, uint64_t at, uint8_t *buf,
                     size_t len)
{
    struct block_source s;

    block_source(f, at, &s);
    return make_block(p, &s, at, buf, len);
}

/* How many bytes the file has in the block at `at`. */
static size_t block_bytes(const struct file_pair *pair, uint64_t at)
{
    uint64_t left = pair->side[DELTA_A].size - at;

    return left < EXTENT_BLOCK ? (size_t)left : EXTENT_BLOCK;
}

/* `buf` has room for a block of each side. */
static int block_differs(struct state *p, const struct file_pair *pair, uint64_t at, uint8_t *buf)
{
    size_t len = block_bytes(pair, at);
    struct block_source s[DELTA_SIDES];
    int err = 0;

    for (int i = 0; i < DELTA_SIDES; i++)
        block_source(&pair->side[i], at, &s[i]);
    if (same_source(p->refs, &s[DELTA_A], &s[DELTA_B]))
        return 0;
    for (int i = 0; i < DELTA_SIDES && err == 0; i++)
        err = make_block(p, &s[i], at, buf + (size_t)i * len, len);
    return err < 0 ? err : memcmp(buf, buf + len, len) != 0;
}

/* The next block from `at` on of which either side stores something; UINT64_MAX: there is none. */
static uint64_t next_stored(const struct file_pair *pair, uint64_t at)
{
    uint64_t next = UINT64_MAX;

    for (int s = 0; s < DELTA_SIDES; s++) {
        const struct file_image *f = &pair->side[s];
        size_t i = first_part(f->extents, f->extent_count, at);
        size_t j = first_part(f->subblocks, f->subblock_count, at);
        if (f->valid > at)
            return at;
        if (i < f->extent_count && f->extents[i].at < next)
            next = f->extents[i].at;
        if (j < f->subblock_count && f->subblocks[j].at < next)
            next = f->subblocks[j].at - f->subblocks[j].at % EXTENT_BLOCK;
    }
    return next;
}

/* The block to look at, the i-th of the list, or the next one from `at` on. UINT64_MAX: the end. */
static uint64_t next_block(const struct file_pair *pair, size_t i, uint64_t at)
{
    uint64_t next = !pair->blocks           ? next_stored(pair, at)
                    : i < pair->block_count ? pair->blocks[i]
                                            : UINT64_MAX;

    return next < pair->side[DELTA_A].size ? next : UINT64_MAX;
}

int file_pair_differs(struct state *p, const struct file_pair *pair,
                      const _Atomic bool *interrupted)
{
    uint8_t *buf;
    uint64_t at = 0;
    int differs = 0;

    if (pair->side[DELTA_A].size != pair->side[DELTA_B].size)
        return 1;
    buf = malloc(DELTA_SIDES * block_bytes(pair, 0) + 1);
    if (!buf)
        return -ENOMEM;
    for (size_t i = 0; differs == 0; i++, at += EXTENT_BLOCK) {
        at = next_block(pair, i, at);
        if (at == UINT64_MAX)
            break;
        differs =
            interrupted && atomic_load(interrupted) ? -EINTR : block_differs(p, pair, at, buf);
    }
    free(buf);
    return differs;
}
