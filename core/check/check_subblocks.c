// SPDX-License-Identifier: Apache-2.0
/*
 * check_subblocks: do the subblock extents of a file lie where they may: over stored bytes of their
 * block, one behind the other, and at most as many in a block as a reader has room for? Do its maps
 * of holes name only pages that are stored as a whole? It is not checked that these pages are
 * zeros.
 */
#include "check_impl.h"
#include "vfs_block.h"

/* A look for the extent at the key `k`. */
struct finding_extent {
    struct key k;
    bool found;
    uint64_t bytes;
};

/* Called for the first item at or behind the key; ends the scan. */
static int take_extent(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct finding_extent *f = ctx;
    struct extent e;

    f->found = key_compare(k, f->k) == 0 && extent_decode(val, len, &e) == 0;
    f->bytes = f->found ? e.valid : 0;
    return 1;
}

/* The number of bytes that are stored in the block at `at`. */
static uint64_t stored_at(struct check *c, uint64_t root, const struct inode *in, uint64_t ino,
                          uint64_t at)
{
    struct finding_extent f = {.k = key_make(ino, ITEM_EXTENT, at)};

    if (in->flags & INODE_EXTENTS)
        (void)check_scan(c, root, f.k, take_extent, &f, NULL);
    return f.found ? f.bytes : base_bytes(in, at);
}

void check_subblock(struct check *c, uint64_t root, const struct inode *in, struct key k,
                    const void *val, size_t len, struct check_subblocks *s)
{
    struct extent e;

    if (subblock_decode(k, val, len, &e) < 0)
        return;
    if (s->count++ == 0 || block_start(k.lo) != s->at) {
        s->at = block_start(k.lo);
        s->in_block = 0;
        s->stored = stored_at(c, root, in, key_ino(k), s->at);
    }
    if (k.lo < s->end)
        s->why = "its subblock extents overlap";
    else if (k.lo + e.valid > s->at + s->stored)
        s->why = "it has a subblock extent upon what is not stored";
    else if (++s->in_block > SUBBLOCKS_MAX)
        s->why = "it has more subblock extents in a block than there may be";
    s->end = pages_around(k.lo, e.valid).end;
}

void check_holes(struct check *c, uint64_t root, const struct inode *in, struct key k,
                 const void *val, size_t len, struct check_holes *s)
{
    uint64_t stored;
    uint32_t map;

    if (holes_decode(k, val, len, &map) < 0)
        return;
    s->count++;
    s->bytes += (uint64_t)__builtin_popcount(map) * FILE_PAGE;
    stored = stored_at(c, root, in, key_ino(k), k.lo) / FILE_PAGE;
    if (stored < EXTENT_BLOCK / FILE_PAGE && map >> stored)
        s->why = "it has a hole within what is not stored";
}
