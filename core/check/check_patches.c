// SPDX-License-Identifier: Apache-2.0
/*
 * check_patches: do the patches of a file lie where they may: over stored bytes of their grain, one
 * behind the other, and at most as many in a grain as a reader has room for? Do its maps of holes
 * name only pages that are stored as a whole? It is not checked that these pages are zeros.
 */
#include "check_impl.h"
#include "vfs_grain.h"

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

/* The number of bytes that are stored in the grain at `at`. */
static uint64_t stored_at(struct check *c, uint64_t root, const struct inode *in, uint64_t ino,
                          uint64_t at)
{
    struct finding_extent f = {.k = key_make(ino, ITEM_EXTENT, at)};

    if (in->flags & INODE_EXTENTS)
        (void)check_scan(c, root, f.k, take_extent, &f, NULL);
    return f.found ? f.bytes : base_bytes(in, at);
}

void check_patch(struct check *c, uint64_t root, const struct inode *in, struct key k,
                 const void *val, size_t len, struct check_patches *s)
{
    struct extent e;

    if (patch_decode(k, val, len, &e) < 0)
        return;
    if (s->count++ == 0 || grain_start(k.lo) != s->at) {
        s->at = grain_start(k.lo);
        s->in_grain = 0;
        s->stored = stored_at(c, root, in, key_ino(k), s->at);
    }
    if (k.lo < s->end)
        s->why = "its patches overlap";
    else if (k.lo + e.valid > s->at + s->stored)
        s->why = "it has a patch upon what is not stored";
    else if (++s->in_grain > PATCHES_MAX)
        s->why = "it has more patches in a grain than there may be";
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
    s->bytes += (uint64_t)__builtin_popcount(map) * PATCH_PAGE;
    stored = stored_at(c, root, in, key_ino(k), k.lo) / PATCH_PAGE;
    if (stored < EXTENT_GRAIN / PATCH_PAGE && map >> stored)
        s->why = "it has a hole within what is not stored";
}
