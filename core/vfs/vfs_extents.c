// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_extents: blocks, the extents that override them, and how many bytes of them are stored.
 *
 *     offset     0        128K      256K      384K      512K      640K
 *     base       ########  ########  ########  ####|               | = valid
 *     extents              [#####..] [hole]              [##......]
 *     the file   ########  #####...  ........  ####....  ##......        # stored, . a hole
 *
 * The stored bytes of a block are always at its start, so one number says where they end. An extent
 * that is a hole exists only where the base has bytes. Elsewhere a block without an extent is a
 * hole already.
 */
#include "vfs_file_impl.h"
#include <errno.h>

#define SEEK_AT_ONCE 16384 /* extents looked at under one hold of the namespace's lock */

static bool has_extents(const struct inode *in)
{
    return in->flags & INODE_EXTENTS;
}

int block_load(const struct items *it, const struct inode *in, uint64_t off, struct block *ret)
{
    struct key k = key_make(it->ino, ITEM_EXTENT, block_start(off));
    uint8_t buf[EXTENT_ITEM_LEN];
    struct extent e;
    size_t len;
    int err = has_extents(in) ? tree_get(it->tree, k, buf, sizeof buf, &len) : -ENOENT;

    if (err == -ENOENT) {
        *ret = (struct block){.at = k.lo, .bytes = base_bytes(in, k.lo)};
        return 0;
    }
    if (err == 0)
        err = extent_decode(buf, len, &e);
    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    *ret = (struct block){.at = k.lo, .own = true, .e = e, .bytes = e.valid};
    return 0;
}

int block_set(const struct items *it, const struct inode *was, struct inode *in,
              const struct block *b, const struct extent *e)
{
    struct key k = key_make(it->ino, ITEM_EXTENT, b->at);
    uint8_t buf[EXTENT_ITEM_LEN];
    int err;

    inode_use_extents(in);
    in->stored += (e ? e->valid : base_bytes(in, b->at)) - b->bytes;
    err = inode_store(it->tree, it->ino, in);
    if (err < 0)
        return err;
    if (e)
        extent_encode(e, buf);
    err = e ? tree_put(it->tree, k, buf, sizeof buf) : tree_del(it->tree, k);
    if (err < 0)
        (void)inode_store(it->tree, it->ino,
                          was); /* this cannot fail: the first store has made the page this tree's
                                 * own */
    return err;
}

/* Make the block a hole, and remove its subblock extents. */
static int block_clear(const struct items *it, struct inode *in, const struct block *b)
{
    static const struct extent hole = {0};
    const struct inode was = *in;
    int err = block_set(it, &was, in, b, base_bytes(in, b->at) ? &hole : NULL);

    return err < 0 ? err : subblocks_punch(it, in, b->at, b->at + EXTENT_BLOCK, false);
}

/* ---- looking for extents ---- */

/* The extents of the blocks from that of `off` on. */
static struct each extents_from(const struct items *it, const struct inode *in, uint64_t off)
{
    return (struct each)EACH(it->tree, key_make(it->ino, ITEM_EXTENT, block_start(off)),
                             has_extents(in));
}

/* The next extent. */
static bool next_extent(struct each *e, struct block *ret)
{
    if (!each_next(e))
        return false;
    *ret = (struct block){.at = e->key.lo, .own = true};
    e->err = extent_decode(e->val, e->len, &ret->e);
    ret->bytes = e->err == 0 ? ret->e.valid : 0;
    return e->err == 0;
}

/* The first extent in or behind the block that holds `off`. -ENOENT. */
static int first_extent(const struct items *it, const struct inode *in, uint64_t off,
                        struct block *ret)
{
    struct each e = extents_from(it, in, off);
    bool found = next_extent(&e, ret);
    int err = each_end(&e);

    return err < 0 || found ? err : -ENOENT;
}

/* Is the next data (or hole) between *pos and the extent at `next`, where the base shows through?
 * Moves *pos to it. */
static bool seek_in_base(const struct inode *in, uint64_t next, bool data, uint64_t *pos)
{
    if (data)
        return *pos < in->valid && *pos < next;
    if (in->valid >= next || *pos >= next)
        return false;
    if (*pos < in->valid)
        *pos = in->valid;
    return true;
}

/* Is the next data (or hole) in the block, at or behind *pos? Moves *pos to it. */
static bool seek_in_block(const struct block *b, bool data, uint64_t *pos)
{
    uint64_t end = b->at + b->bytes;

    if (data)
        return *pos < end;
    if (*pos < end)
        *pos = end;
    return *pos < b->at + EXTENT_BLOCK;
}

/* Walk base and extents from *pos on until data (or a hole) is found. -EAGAIN after SEEK_AT_ONCE
 * extents. */
static int seek_extents(struct each *e, const struct inode *in, bool data, uint64_t *pos)
{
    struct block b;

    for (unsigned i = 0; i < SEEK_AT_ONCE; i++) {
        if (!next_extent(e, &b))
            return e->err != -ENOENT                         ? e->err
                   : seek_in_base(in, UINT64_MAX, data, pos) ? 0
                                                             : -ENXIO;
        if (seek_in_base(in, b.at, data, pos))
            return 0;
        if (*pos < b.at)
            *pos = b.at;
        if (seek_in_block(&b, data, pos))
            return 0;
        *pos = b.at + EXTENT_BLOCK;
    }
    return -EAGAIN;
}

int extents_seek(const struct items *it, const struct inode *in, uint64_t off, bool data,
                 uint64_t *ret)
{
    struct each e = extents_from(it, in, off);
    uint64_t pos = off;
    int err = seek_extents(&e, in, data, &pos);

    (void)each_end(&e);
    if (err == 0 || err == -EAGAIN)
        *ret = pos;
    return err;
}

/* ---- making holes ---- */

/* Number of bytes of the base, at `from` and behind, that extents hide. */
static int hidden_bytes(const struct items *it, const struct inode *in, uint64_t from,
                        uint64_t *ret)
{
    struct each e = extents_from(it, in, from);
    struct block b;

    *ret = 0;
    while (next_extent(&e, &b) && b.at < in->valid)
        *ret += base_bytes(in, b.at) - (from > b.at ? from - b.at : 0);
    return each_end(&e);
}

int base_seen(const struct items *it, const struct inode *in, uint64_t *ret)
{
    uint64_t hidden;
    int err = hidden_bytes(it, in, 0, &hidden);

    if (err == 0)
        *ret = in->valid - hidden;
    return err;
}

int base_next(const struct items *it, const struct inode *in, uint64_t off, struct block *ret)
{
    struct each e = extents_from(it, in, off);
    uint64_t at = block_start(off);
    struct block b;
    int err;

    while (next_extent(&e, &b) && b.at == at)
        at += EXTENT_BLOCK;
    err = each_end(&e);
    if (err < 0)
        return err;
    *ret = (struct block){.at = at, .bytes = base_bytes(in, at)};
    return ret->bytes ? 0 : -ENOENT;
}

int base_trim(const struct items *it, struct inode *in, unsigned most)
{
    struct block b = {.own = true};
    int err = 0;

    while (err == 0 && in->valid && has_extents(in) && most--) {
        err = block_load(it, in, in->valid - 1, &b);
        if (err < 0 || !b.own)
            break;
        in->valid = b.at;
    }
    if (in->valid == 0)
        in->object = 0;
    return err;
}

/* Cut the base at `from`. No map of holes has pages there. */
static int base_cut(const struct items *it, struct inode *in, uint64_t from, unsigned budget)
{
    uint64_t hidden;
    int err = hidden_bytes(it, in, from, &hidden);

    if (err < 0)
        return err;
    in->stored = inode_stored(in) - (in->valid - from - hidden);
    in->valid = from;
    err = base_trim(it, in, budget);
    if (err == 0 && has_extents(in))
        err = inode_store(it->tree, it->ino, in);
    return err;
}

/* Make the extent of the block end at `start`, and remove the holes and subblock extents behind. */
static int punch_end(const struct items *it, struct inode *in, const struct block *b,
                     uint64_t start)
{
    struct extent e = {b->e.object, (uint32_t)(start - b->at)};
    uint64_t end = b->at + EXTENT_BLOCK;
    struct inode was;
    int err = holes_fill(it, in, (struct pages_of){pages_around(start, 0).end, end});

    was = *in;
    if (err == 0)
        err = block_set(it, &was, in, b, &e);
    return err < 0 ? err : subblocks_punch(it, in, start, end, false);
}

/* Make [start, stop) of a block a hole. If no stored bytes follow (holes count as none), the block
 * ends there, or becomes a hole as a whole. Else -EAGAIN: the caller writes zeros to u->zero. */
static int punch_part(const struct items *it, struct inode *in, const struct block *b,
                      struct punch *u, uint64_t start, uint64_t stop)
{
    uint64_t end = b->at + b->bytes, from = start, to = stop;
    uint32_t map;
    int err = start < end ? holes_load(it, in, b->at, &map) : 0;

    if (err < 0 || start >= end)
        return err;
    holes_widen(b->at, map, &from, &to);
    if (to >= end && from == b->at) {
        err = holes_fill(it, in, (struct pages_of){b->at, b->at + EXTENT_BLOCK});
        return err < 0 ? err : block_clear(it, in, b);
    }
    if (to >= end && b->own)
        return punch_end(it, in, b, from);
    stop = stop < end ? stop : end;
    if (holes_cover(b->at, map, pages_around(start, (size_t)(stop - start))))
        return 0;
    u->zero = start;
    u->zero_len = stop - start;
    return -EAGAIN;
}

/* The next block that has bytes or an extent. -ENOENT: there is none. */
static int punch_find(const struct items *it, const struct inode *in, struct punch *u,
                      struct block *ret)
{
    int err;

    if (u->pos >= in->valid)
        return first_extent(it, in, u->pos, ret);
    err = extents_seek(it, in, u->pos, true, &u->pos);
    if (err < 0)
        return err == -ENXIO ? -ENOENT : err;
    return block_load(it, in, u->pos, ret);
}

/* One block of a punch. An extent that is a hole goes if the base has no bytes left there for it to
 * hide. */
static int punch_block(const struct items *it, struct inode *in, struct punch *u)
{
    uint64_t start, stop;
    struct block b;
    int err = punch_find(it, in, u, &b);

    if (err < 0)
        return err;
    if (b.at >= u->end)
        return -ENOENT;
    u->pos = b.at + EXTENT_BLOCK;
    if (b.own && !b.e.object) /* a hole extent is needed only where the base has bytes */
        return base_bytes(in, b.at) ? 0 : block_clear(it, in, &b);
    if (u->pos <= u->from)
        return 0;
    start = u->from > b.at ? u->from : b.at;
    stop = u->end < u->pos ? u->end : u->pos;
    return punch_part(it, in, &b, u, start, stop);
}

/* 0 if there are subblock extents or holes in [from, end), -ENOENT if there are none. */
static int any_upon(const struct items *it, const struct inode *in, uint64_t from, uint64_t end)
{
    struct subblock subblock;
    uint64_t hole;
    int err = subblock_next(it, in, from, end, &subblock);

    if (err != -ENOENT)
        return err;
    err = holes_next(it, in, from, &hole);
    return err == 0 && hole >= end ? -ENOENT : err;
}

/* Move *from to the beginning of the holes before it, if the base is seen there. */
static int before_holes(const struct items *it, const struct inode *in, uint64_t *from)
{
    uint64_t end = *from;
    struct block b;
    uint32_t map;
    int err = in->flags & INODE_HOLES ? block_load(it, in, *from, &b) : -ENOENT;

    if (err == 0)
        err = b.own ? -ENOENT : holes_load(it, in, b.at, &map);
    if (err == 0)
        holes_widen(b.at, map, from, &end);
    return err == -ENOENT ? 0 : err;
}

/* Make the base end at u->from. -EAGAIN: not done yet, since many blocks have subblock extents or
 * holes; the base ends a part nearer now. */
static int punch_base(const struct items *it, struct inode *in, struct punch *u, unsigned budget)
{
    uint64_t from = u->from, was = in->valid, most = (uint64_t)budget * EXTENT_BLOCK;
    int err = u->all ? -ENOENT : any_upon(it, in, from, was);

    if (err == 0 && was - from > most)
        from = block_start(was - most);
    else if (err == 0 || err == -ENOENT)
        err = before_holes(it, in, &from);
    if (err == 0)
        err =
            holes_fill(it, in, (struct pages_of){pages_around(from, 0).end, was - was % FILE_PAGE});
    if (err == 0)
        err = base_cut(it, in, from, budget);
    if (err < 0)
        return err;
    if (in->valid < u->pos)
        u->pos = in->valid;
    if (!u->all || from < u->from)
        err = subblocks_punch(it, in, from, u->all ? u->from : was, true);
    return err == 0 && from > u->from ? -EAGAIN : err;
}

int extents_punch(const struct items *it, struct inode *in, struct punch *u, unsigned budget)
{
    int err = 0;

    u->zero_len = 0;
    /* The base is cut and stored first: otherwise its bytes would show when an extent that hides
     * them is removed. */
    if (u->from < in->valid && in->valid <= u->end)
        err = punch_base(it, in, u, budget);
    while (err == 0 && budget--)
        err = u->pos < u->end ? punch_block(it, in, u) : -ENOENT;
    return err == 0 ? -EAGAIN : err == -ENOENT ? 0 : err;
}

int extents_settle(const struct items *it, struct inode *in)
{
    struct subblock subblock;
    struct block any;
    int err = holes_settle(it, in);

    if (err == 0)
        err = subblock_next(it, in, 0, UINT64_MAX, &subblock);
    if (err != -ENOENT)
        return err;
    in->flags &= ~(uint32_t)INODE_SUBBLOCKS;
    err = first_extent(it, in, 0, &any);
    if (err == -ENOENT)
        in->flags &= ~(uint32_t)INODE_EXTENTS;
    return err == -ENOENT ? 0 : err;
}

/* ---- any number of them ---- */

int bytes_of_extents(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                     uint64_t *ret)
{
    struct each e = EACH(it->tree, key_make(it->ino, ITEM_EXTENT, from), true);
    struct block b;

    *ret = 0;
    while (next_extent(&e, &b) && b.at < end)
        *ret += b.bytes - base_bytes(in, b.at);
    return each_end(&e);
}

int extent_after(const struct items *it, const struct inode *in, uint64_t off, unsigned count,
                 uint64_t *ret)
{
    struct each e = EACH(it->tree, key_make(it->ino, ITEM_EXTENT, off), has_extents(in));
    struct block b;
    bool found;

    while ((found = next_extent(&e, &b)) && count-- > 0)
        ;
    *ret = found ? b.at : UINT64_MAX;
    return each_end(&e);
}

/* If removing the items fails halfway, the inode's `stored` is corrected by the extents that are
 * left. */
int extents_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from)
{
    uint64_t bytes, left = 0;
    int fix_err,
        err = has_extents(in) ? bytes_of_extents(it, in, from, UINT64_MAX, &bytes) : -ENOENT;

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    err = items_cut(p, it->tree, range_of_items(it->ino, ITEM_EXTENT, from));
    fix_err = err < 0 ? bytes_of_extents(it, in, from, UINT64_MAX, &left) : 0;
    if (fix_err == 0) {
        in->stored -= bytes - left;
        fix_err = inode_store(it->tree, it->ino, in);
    }
    return err < 0 ? err : fix_err;
}
