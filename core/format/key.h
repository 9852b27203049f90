// SPDX-License-Identifier: Apache-2.0
/*
 * key: the key of a tree item: inode number (42 bit), item type (6 bit), and a rest of 64 bits.
 *
 * On a page a key has 14 bytes, big-endian, so that its bytes sort as the key does. `hi` is
 * inode ‖ type.
 */
#pragma once

#include "bytes.h"
#include <stdbool.h>

#define KEY_LEN 14
#define KEY_INO_MAX ((UINT64_C(1) << 42) - 1)

enum item_type {
    ITEM_INODE = 1,    /* the attributes; the rest is 0 */
    ITEM_SYMLINK = 2,  /* the n-th piece of the target; the rest is n */
    ITEM_DIRENT = 3,   /* rest: 55 bits of the name's hash ‖ 7 bits of index (name_hash.h) */
    ITEM_EXTENT = 4,   /* rest: the file offset, a multiple of EXTENT_BLOCK */
    ITEM_XATTR = 5,    /* rest: as that of a directory entry */
    ITEM_SUBBLOCK = 6, /* rest: the file offset, a multiple of FILE_PAGE */
    ITEM_HOLES = 7,    /* rest: as that of an extent */
};

struct key {
    uint64_t hi; /* 48 bits: inode number ‖ type */
    uint64_t lo; /* the rest */
};

static inline struct key key_make(uint64_t ino, enum item_type type, uint64_t rest)
{
    return (struct key){ino << 6 | type, rest};
}
static inline uint64_t key_ino(struct key k)
{
    return k.hi >> 6;
}
static inline unsigned key_type(struct key k)
{
    return (unsigned)(k.hi & 63);
}
static inline int key_compare(struct key a, struct key b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}
static inline void key_encode(struct key k, uint8_t *out)
{
    put_be64(out, k.hi << 16); /* the last two of these bytes are those of the rest */
    put_be64(out + 6, k.lo);
}
static inline struct key key_decode(const uint8_t *in)
{
    return (struct key){get_be64(in) >> 16, get_be64(in + 6)};
}
