// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_holes: the pages of a block that are holes although bytes lie around them.
 *
 *     block      |----------------128K----------------|
 *     stored     ################################......   (the base's, or an extent's)
 *     map           [0000]           [00]                 zeros that are no data
 *
 * Code that reads bytes does not look at maps, because zeros are stored in the mapped pages.
 * Without a map the same zeros are data. So the order of changes is: a function that changes bytes
 * removes their pages from the map first; a function that writes zeros for a hole adds their pages
 * to the map afterwards. If it fails in between, the zeros are only taken for data.
 */
#include "vfs_file_impl.h"
#include <errno.h>

#define PAGES (EXTENT_BLOCK / FILE_PAGE)
_Static_assert(PAGES == 32, "a map has a bit for each page of a block");

struct holes {
    uint64_t at;  /* offset of the block in the file */
    uint32_t map; /* bit i: page i of the block is a hole */
};

/* The bits of the pages in [from, end) within the block at `at`. Within the block, `from` and
 * `end` are borders of pages. */
static uint32_t pages_in(uint64_t at, uint64_t from, uint64_t end)
{
    uint64_t a = from > at ? (from - at) / FILE_PAGE : 0;
    uint64_t z = end > at ? (end - at) / FILE_PAGE : 0;

    z = z < PAGES ? z : PAGES;
    return a < z ? (uint32_t)(((UINT64_C(1) << z) - 1) & ~((UINT64_C(1) << a) - 1)) : 0;
}

/* The pages that lie completely in [off, end). If there are none, `from` >= `end`. */
static struct pages_of pages_within(uint64_t off, uint64_t end)
{
    uint64_t up = (FILE_PAGE - off % FILE_PAGE) % FILE_PAGE;

    return (struct pages_of){off + up, end - end % FILE_PAGE};
}

/* Load the first map in or behind the block that holds `off`. -ENOENT: there is none. */
static int next_map(const struct items *it, const struct inode *in, uint64_t off, struct holes *ret)
{
    struct each e =
        EACH(it->tree, key_make(it->ino, ITEM_HOLES, block_start(off)), in->flags & INODE_HOLES);

    if (each_next(&e))
        e.err = holes_decode(e.key, e.val, e.len, &ret->map);
    ret->at = e.key.lo;
    (void)each_end(&e);
    return e.err;
}

int holes_load(const struct items *it, const struct inode *in, uint64_t at, uint32_t *ret)
{
    struct holes h;
    int err = next_map(it, in, at, &h);

    if (err < 0 && err != -ENOENT)
        return err;
    *ret = err == 0 && h.at == at ? h.map : 0;
    return 0;
}

/* Store a map; one without holes is deleted. */
static int put_map(const struct items *it, uint64_t at, uint32_t map)
{
    struct key k = key_make(it->ino, ITEM_HOLES, at);
    uint8_t buf[HOLES_ITEM_LEN];

    holes_encode(map, buf);
    return map ? tree_put(it->tree, k, buf, sizeof buf) : tree_del(it->tree, k);
}

/* Change the map of a block, and store `in` with the new sum of stored bytes. If it fails, both
 * are as they were. */
static int set_map(const struct items *it, struct inode *in, const struct holes *h, uint32_t map)
{
    const struct inode was = *in;
    int err, more = __builtin_popcount(map) - __builtin_popcount(h->map);

    if (map == h->map)
        return 0;
    in->stored = inode_stored(in) - (uint64_t)((int64_t)more * FILE_PAGE);
    in->flags |= INODE_HOLES;
    err = inode_store(it->tree, it->ino, in);
    if (err == 0)
        err = put_map(it, h->at, map);
    if (err < 0) {
        *in = was;
        (void)inode_store(it->tree, it->ino, in); /* this cannot fail: the first store has made the
                                                   * page this tree's own */
    }
    return err;
}

int holes_settle(const struct items *it, struct inode *in)
{
    struct holes any;
    int err = next_map(it, in, 0, &any);

    if (err == -ENOENT)
        in->flags &= ~(uint32_t)INODE_HOLES;
    return err == -ENOENT ? 0 : err;
}

int holes_fill(const struct items *it, struct inode *in, struct pages_of u)
{
    struct holes h;
    bool gone = false;
    int err;

    while (u.from < u.end && (err = next_map(it, in, u.from, &h)) != -ENOENT) {
        if (err < 0)
            return err;
        if (h.at >= u.end)
            break;
        uint32_t map = h.map & ~pages_in(h.at, u.from, u.end);
        err = set_map(it, in, &h, map);
        if (err < 0)
            return err;
        gone |= map == 0;
        u.from = h.at + EXTENT_BLOCK;
    }
    return gone ? holes_settle(it, in) : 0;
}

int holes_among(const struct items *it, const struct inode *in, struct pages_of u, uint64_t *ret)
{
    struct holes h;
    int err = 0;

    *ret = 0;
    while (u.from < u.end && (err = next_map(it, in, u.from, &h)) == 0 && h.at < u.end) {
        *ret += (uint64_t)__builtin_popcount(h.map & pages_in(h.at, u.from, u.end)) * FILE_PAGE;
        u.from = h.at + EXTENT_BLOCK;
    }
    return err == -ENOENT ? 0 : err;
}

uint64_t holes_room(uint64_t off, uint64_t end)
{
    struct pages_of u = pages_within(off, end);

    return u.from < u.end ? u.end - u.from : 0;
}

int holes_dig(const struct items *it, struct inode *in, uint64_t from, uint64_t end)
{
    struct pages_of u = pages_within(from, end);

    for (uint64_t at = block_start(u.from); u.from < u.end && at < u.end; at += EXTENT_BLOCK) {
        struct holes h = {.at = at};
        int err = holes_load(it, in, at, &h.map);

        if (err == 0)
            err = set_map(it, in, &h, h.map | pages_in(at, u.from, u.end));
        if (err < 0)
            return err;
    }
    return 0;
}

void holes_widen(uint64_t at, uint32_t map, uint64_t *from, uint64_t *end)
{
    while (*from > at && map >> (*from - 1 - at) / FILE_PAGE & 1)
        *from = *from - 1 - (*from - 1 - at) % FILE_PAGE;
    while (*end < at + EXTENT_BLOCK && map >> (*end - at) / FILE_PAGE & 1)
        *end += FILE_PAGE - *end % FILE_PAGE;
}

bool holes_cover(uint64_t at, uint32_t map, struct pages_of u)
{
    return !(pages_in(at, u.from, u.end) & ~map);
}

/* The offset, from `off` on, where the hole ends: at data, or at the end of the block. `off`
 * itself if its page is no hole. */
static uint64_t behind(const struct holes *h, uint64_t off)
{
    uint64_t from = off;

    holes_widen(h->at, h->map, &from, &off);
    return off;
}

int holes_pass(const struct items *it, const struct inode *in, uint64_t *off)
{
    struct holes h;
    int err = next_map(it, in, *off, &h);

    if (err < 0)
        return err == -ENOENT ? 0 : err;
    uint64_t to = h.at <= *off ? behind(&h, *off) : *off;
    bool moved = to > *off;
    *off = to;
    return moved ? -EAGAIN : 0;
}

int holes_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t *ret)
{
    struct holes h;
    int err;

    while ((err = next_map(it, in, off, &h)) == 0) {
        uint64_t pos = off > h.at ? off : h.at;
        for (; pos < h.at + EXTENT_BLOCK; pos += FILE_PAGE - pos % FILE_PAGE)
            if (h.map >> (pos - h.at) / FILE_PAGE & 1) {
                *ret = pos;
                return 0;
            }
        off = h.at + EXTENT_BLOCK;
    }
    return err;
}

int holes_bytes(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                uint64_t *ret)
{
    struct each e = EACH(it->tree, key_make(it->ino, ITEM_HOLES, from), in->flags & INODE_HOLES);
    uint32_t map;

    *ret = 0;
    while (each_next(&e) && e.key.lo < end) {
        e.err = holes_decode(e.key, e.val, e.len, &map);
        *ret += e.err == 0 ? (uint64_t)__builtin_popcount(map) * FILE_PAGE : 0;
    }
    return each_end(&e);
}

int holes_cut(struct state *p, const struct items *it, struct inode *in, uint64_t from)
{
    struct pages_of u = pages_around(from, 0);
    uint64_t bytes, left = 0, at = block_start(u.end + EXTENT_BLOCK - 1);
    int fix_err, err;

    if (!(in->flags & INODE_HOLES))
        return 0;
    err = holes_fill(it, in, (struct pages_of){u.end, at});
    if (err == 0)
        err = holes_bytes(it, in, at, UINT64_MAX, &bytes);
    if (err < 0 || bytes == 0)
        return err;
    err = items_cut(p, it->tree, range_of_items(it->ino, ITEM_HOLES, at));
    fix_err = err < 0 ? holes_bytes(it, in, at, UINT64_MAX, &left) : 0;
    if (fix_err == 0) {
        in->stored += bytes - left;
        fix_err = inode_store(it->tree, it->ino, in);
    }
    return err < 0 ? err : fix_err;
}
