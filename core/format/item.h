// SPDX-License-Identifier: Apache-2.0
/*
 * item: the values of tree items: inodes, directory entries, extents, extended attributes. Pure
 * codecs, checked bounds.
 *
 * Decoders: 0 or -EUCLEAN, output untouched then. Every item names at most one object, and
 * item_object() finds it for any type, so that the tree can count without knowing the rest.
 */
#pragma once

#include "key.h"
#include "name_hash.h"
#include "page.h"
#include <stddef.h>

#define EXTENT_GRAIN (128u * 1024) /* bytes of a file one extent item stands for */
#define ITEM_NAME_MAX 255
#define ITEM_SYMLINK_PIECE 2000 /* bytes of a target in one item */
#define OBJECT_NUMBER_MAX ((UINT64_C(1) << 58) - 1)

enum inode_flags {
    INODE_EXTENTS = 1 << 0, /* extent items override parts of the object */
    INODE_XATTRS = 1 << 1,  /* there may be extended attributes; without it there is none */
    INODE_PATCHES = 1 << 2, /* with INODE_EXTENTS: there may be patches; without it there is none */
    INODE_HOLES = 1 << 3, /* there may be maps of holes; without it there is none */
};

struct inode {
    uint32_t mode, nlink, uid, gid, rdev, flags;
    uint64_t size;   /* bytes; directories: number of entries */
    uint64_t object; /* object number of the content; 0: none (empty, or not a file) */
    uint64_t valid;  /* bytes of the object that belong to the file; beyond them: zeros */
    uint64_t stored; /* with INODE_EXTENTS or _HOLES: bytes that are not holes; else not looked at */
    uint64_t parent; /* directories: inode number of the parent */
    int64_t atime, mtime, ctime, btime; /* ns since the epoch */
};

/* Bytes of the file that its object and its extents have: the rest is holes. */
static inline uint64_t inode_stored(const struct inode *in)
{
    return in->flags & (INODE_EXTENTS | INODE_HOLES) ? in->stored : in->valid;
}

/* What stat(2) tells of a file, but a directory, in st_blocks. */
static inline uint64_t inode_blocks(const struct inode *in)
{
    return (inode_stored(in) + 511) / 512;
}

#define INODE_ITEM_MAX 96
/* Fields with their usual value take no room: FORMAT.md, "Inode item". Returns the length. */
size_t inode_encode(const struct inode *in, uint8_t out[INODE_ITEM_MAX]);
int inode_decode(const void *val, size_t len, struct inode *ret);

struct dirent_item {
    uint64_t ino;
    unsigned type; /* DT_REG, … of <dirent.h> */
    size_t name_len;
    const char *name; /* points into the value; not NUL-terminated */
};
#define DIRENT_ITEM_MAX (7 + ITEM_NAME_MAX)
size_t dirent_encode(uint64_t ino, unsigned type, const char *name, size_t name_len,
                     uint8_t out[DIRENT_ITEM_MAX]);
int dirent_decode(const void *val, size_t len, struct dirent_item *ret);

struct extent {
    uint64_t object; /* 0: a hole, whatever the file's base has there; `valid` is 0 then */
    uint32_t valid;  /* bytes of the object that count, 0 … EXTENT_GRAIN; the rest is zeros */
};
#define EXTENT_ITEM_LEN 12
void extent_encode(const struct extent *e, uint8_t out[EXTENT_ITEM_LEN]);
int extent_decode(const void *val, size_t len, struct extent *ret);

/* A patch: `valid` bytes of an object, 1 … PATCH_MAX. They take the place of as many bytes of the
 * file, from the offset in the patch's key on. A patch lies in one grain. It is encoded as an
 * extent. */
#define PATCH_PAGE 4096u
#define PATCH_MAX (32u * 1024)
int patch_decode(struct key k, const void *val, size_t len, struct extent *ret);

/* A map of holes: bit n says that page n of the grain, which is stored whole, has only zeros that are no
 * data. It is not 0. */
#define HOLES_ITEM_LEN 4
void holes_encode(uint32_t map, uint8_t out[HOLES_ITEM_LEN]);
int holes_decode(struct key k, const void *val, size_t len, uint32_t *ret);

/* An extended attribute: its name, and its value where that fits into a page's quarter, else the
 * object that holds it. */
#define XATTR_NAME_MAX 255
#define XATTR_VALUE_MAX 65536
#define XATTR_ITEM_MAX PAGE_VALUE_MAX
struct xattr_item {
    size_t name_len;
    const char *name;  /* points into the item; not NUL-terminated */
    uint64_t object;   /* 0: inline */
    size_t len;        /* bytes of the value */
    const void *value; /* inline: points into the item */
};
/* Does a value of `len` bytes stand inline beside that name? */
bool xattr_is_inline(size_t name_len, size_t len);
/* Name 1 … XATTR_NAME_MAX bytes without NUL; `object` exactly if it is not inline. */
size_t xattr_encode(const struct xattr_item *x, uint8_t out[XATTR_ITEM_MAX]);
int xattr_decode(const void *val, size_t len, struct xattr_item *ret);

/* Is this a counter? It stands among directory entries or extended attributes, at the index
 * NAME_COUNTER of a hash. Its value is how many names have that hash and are kept under a hash of a
 * higher level: at least 1. dirent_decode refuses a counter. */
static inline bool item_is_counter(struct key k)
{
    return (key_type(k) == ITEM_DIRENT || key_type(k) == ITEM_XATTR) &&
           k.lo % NAME_PLACES == NAME_COUNTER;
}
#define COUNTER_ITEM_LEN 8
void counter_encode(uint64_t count, uint8_t out[COUNTER_ITEM_LEN]);
int counter_decode(const void *val, size_t len, uint64_t *ret);

/* The name of a directory entry or an extended attribute; it points into the item. -EUCLEAN: the
 * item is damaged, of another type, or a counter. */
int item_name(struct key k, const void *val, size_t len, const char **ret_name, size_t *ret_len);

/* What the inodes of a tree take. Sums of it are exact modulo 2^64, also of differences. */
struct usage {
    uint64_t inodes; /* of all types */
    uint64_t bytes;  /* 512 for each block (inode_blocks); directories have none */
};
/* That of one item: only inodes that decode have any. */
struct usage item_usage(struct key k, const void *val, size_t len);
static inline void usage_add(struct usage *u, struct usage more)
{
    u->inodes += more.inodes;
    u->bytes += more.bytes;
}
static inline void usage_take(struct usage *u, struct usage less)
{
    u->inodes -= less.inodes;
    u->bytes -= less.bytes;
}
static inline bool usage_is(struct usage a, struct usage b)
{
    return a.inodes == b.inodes && a.bytes == b.bytes;
}

/* The object an item names, 0 if none. The item must decode. */
uint64_t item_object(struct key k, const void *val, size_t len);
/* Write another object number, of the same content, into an item; its length stays. */
void item_set_object(struct key k, void *val, size_t len, uint64_t object);
/* Does the item decode as the type that its key says? 0 or -EUCLEAN. For check. */
int item_check(struct key k, const void *val, size_t len);
