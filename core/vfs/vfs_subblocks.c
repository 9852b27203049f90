// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_subblocks: small writes upon blocks that may not change in place.
 *
 *     block       |----------------128K----------------|
 *     stored      ###########################..........   (the base's, or an extent's)
 *     subblocks      [##]      [#####]  [##]
 *
 * A subblock extent has only the pages that the write touches. The other bytes of the block are not
 * read, logged and sealed again for it. The whole block becomes an extent if it already has
 * SUBBLOCKS_MAX subblock extents, if a write lies across the edge of a subblock extent, or if much
 * is written at once (subblock_fits).
 */
#include "vfs_file_impl.h"
#include <errno.h>

/* A write of more than this part (1/4) of the stored bytes of its block is no subblock extent. */
#define SUBBLOCK_PART 4

struct pages_of pages_around(uint64_t off, size_t len)
{
    uint64_t end = off + len + FILE_PAGE - 1;

    return (struct pages_of){off - off % FILE_PAGE, end - end % FILE_PAGE};
}

/* The next subblock extent. */
static bool next_subblock(struct each *e, struct subblock *ret)
{
    if (!each_next(e))
        return false;
    ret->at = e->key.lo;
    e->err = subblock_decode(e->key, e->val, e->len, &ret->e);
    return e->err == 0;
}

/* The end of the last page that the subblock extent touches. */
static uint64_t pages_end(const struct subblock *u)
{
    return pages_around(u->at, u->e.valid).end;
}

/* The key from which a search for a subblock extent over `off` begins. The subblock extent may
 * begin up to SUBBLOCK_MAX bytes before `off`, but not before the block. */
static struct key first_key(const struct items *it, uint64_t off)
{
    uint64_t at = block_start(off), page = pages_around(off, 0).from;

    if (page - at >= SUBBLOCK_MAX)
        at = page - SUBBLOCK_MAX + FILE_PAGE;
    return key_make(it->ino, ITEM_SUBBLOCK, at);
}

int subblock_next(const struct items *it, const struct inode *in, uint64_t off, uint64_t end,
                  struct subblock *ret)
{
    struct each e = EACH(it->tree, first_key(it, off), in->flags & INODE_SUBBLOCKS);
    bool found;
    int err;

    while ((found = next_subblock(&e, ret)) && pages_end(ret) <= off)
        ;
    err = each_end(&e);
    return err < 0 || (found && ret->at < end) ? err : -ENOENT;
}

int subblock_meet(const struct items *it, const struct inode *in, const struct block *b,
                  uint64_t off, uint64_t end, struct subblock *ret, unsigned *ret_count)
{
    struct each e =
        EACH(it->tree, key_make(it->ino, ITEM_SUBBLOCK, b->at), in->flags & INODE_SUBBLOCKS);
    struct subblock u;
    int met = -ENOENT, err;

    *ret_count = 0;
    while (next_subblock(&e, &u) && u.at < b->at + EXTENT_BLOCK) {
        if (met < 0 && u.at < end && pages_end(&u) > off) {
            met = 0;
            *ret = u;
        }
        ++*ret_count;
    }
    err = each_end(&e);
    return err < 0 ? err : met;
}

bool subblock_fits(const struct block *b, struct pages_of u, unsigned count)
{
    uint64_t len = u.end - u.from;

    return len <= SUBBLOCK_MAX && len * SUBBLOCK_PART <= b->bytes && u.end <= b->at + b->bytes &&
           count < SUBBLOCKS_MAX;
}

/* Store the item of a subblock extent. */
static int put_subblock(const struct items *it, uint64_t at, const struct extent *e)
{
    uint8_t buf[EXTENT_ITEM_LEN];

    extent_encode(e, buf);
    return tree_put(it->tree, key_make(it->ino, ITEM_SUBBLOCK, at), buf, sizeof buf);
}

int subblock_set(const struct items *it, const struct inode *was, struct inode *in, uint64_t at,
                 const struct extent *e)
{
    int err;

    inode_use_extents(in);
    in->flags |= INODE_SUBBLOCKS;
    err = inode_store(it->tree, it->ino, in);
    if (err == 0)
        err = put_subblock(it, at, e);
    if (err < 0)
        (void)inode_store(it->tree, it->ino, was); /* this cannot fail: the first store has made
                                                    * the page this tree's own */
    return err;
}

/* 1: the block at `at` has no extent, so its subblock extents override the base; 0: it has one; or
 * -errno. */
static int is_upon_base(const struct items *it, const struct inode *in, uint64_t at)
{
    struct block b;
    int err = block_load(it, in, at, &b);

    return err < 0 ? err : !b.own;
}

/* Remove one subblock extent from `from` on; its bytes before `from` stay. */
static int cut_one(const struct items *it, const struct subblock *u, uint64_t from)
{
    struct extent e = u->e;

    if (u->at >= from)
        return tree_del(it->tree, key_make(it->ino, ITEM_SUBBLOCK, u->at));
    if (u->at + e.valid <= from)
        return 0;
    e.valid = (uint32_t)(from - u->at);
    return put_subblock(it, u->at, &e);
}

int subblocks_punch(const struct items *it, const struct inode *in, uint64_t from, uint64_t end,
                    bool base)
{
    uint64_t pos = from;
    struct subblock u;
    int err;

    while ((err = subblock_next(it, in, pos, end, &u)) == 0) {
        int cut = base ? is_upon_base(it, in, u.at) : 1;
        if (cut > 0)
            cut = cut_one(it, &u, from);
        if (cut < 0)
            return cut;
        pos = pages_end(&u);
    }
    return err == -ENOENT ? 0 : err;
}

int subblocks_cut(struct state *p, const struct items *it, const struct inode *in, uint64_t from)
{
    struct key_range r = range_of_items(it->ino, ITEM_SUBBLOCK, pages_around(from, 0).end);
    int err = subblocks_punch(it, in, from, from, false);

    if (err < 0 || !(in->flags & INODE_SUBBLOCKS))
        return err;
    return items_cut(p, it->tree, r);
}
