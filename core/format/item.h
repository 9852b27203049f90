// SPDX-License-Identifier: Apache-2.0
/*
 * item: the values of tree items: inodes, directory entries, extents, extended attributes. Pure
 * codecs that check all bounds.
 *
 * Decoders return 0, or -EUCLEAN and leave their output untouched. An item names at most one
 * object, and item_object() finds it in an item of any type. So the tree counts references without
 * knowing the types.
 */
#pragma once

#include "key.h"
#include "name_hash.h"
#include "page.h"
#include <stddef.h>

#define EXTENT_BLOCK (128u * 1024) /* bytes of a file that one extent item stands for */
#define ITEM_NAME_MAX 255
#define ITEM_SYMLINK_PIECE 2000 /* the most bytes of a target in one item */
#define OBJECT_NUMBER_MAX ((UINT64_C(1) << 58) - 1)

enum inode_flags {
    INODE_EXTENTS = 1 << 0, /* extent items replace parts of the object */
    INODE_XATTRS = 1 << 1,  /* it may have extended attributes; without the flag it has none */
    /* with INODE_EXTENTS: it may have subblock extents; without it it has none */
    INODE_SUBBLOCKS = 1 << 2,
    INODE_HOLES = 1 << 3, /* it may have maps of holes; without the flag it has none */
};

struct inode {
    uint32_t mode, nlink, uid, gid, rdev, flags;
    uint64_t size;   /* bytes; of a directory: the number of entries */
    uint64_t object; /* object number of the content; 0: none (empty, or not a regular file) */
    uint64_t valid;  /* bytes of the object that the file has; behind them it has zeros */
    uint64_t stored; /* with INODE_EXTENTS or INODE_HOLES: bytes that are no holes; else unused */
    uint64_t parent; /* of a directory: inode number of the parent */
    /* ns since the epoch. btime never changes: by it two trees know whether a number is one file
     * (diff/delta.h). */
    int64_t atime, mtime, ctime, btime;
};

/* How many bytes of the file its object and its extents have. The rest is holes. */
static inline uint64_t inode_stored(const struct inode *in)
{
    return in->flags & (INODE_EXTENTS | INODE_HOLES) ? in->stored : in->valid;
}

/* The st_blocks of stat(2), for any file but a directory. */
static inline uint64_t inode_st_blocks(const struct inode *in)
{
    return (inode_stored(in) + 511) / 512;
}

#define INODE_ITEM_MAX 96
/* Encodes the inode and returns the length. Fields with their usual value take no room (FORMAT.md,
 * "Inode item"). */
size_t inode_encode(const struct inode *in, uint8_t out[INODE_ITEM_MAX]);
int inode_decode(const void *val, size_t len, struct inode *ret);

struct dirent_item {
    uint64_t ino;
    unsigned type; /* DT_REG and the like, of <dirent.h> */
    size_t name_len;
    const char *name; /* borrowed from the value; not NUL-terminated */
};
#define DIRENT_ITEM_MAX (7 + ITEM_NAME_MAX)
size_t dirent_encode(uint64_t ino, unsigned type, const char *name, size_t name_len,
                     uint8_t out[DIRENT_ITEM_MAX]);
int dirent_decode(const void *val, size_t len, struct dirent_item *ret);
/* Only its inode number, for who looks through many; 0: it has none. The rest of the item is not
 * looked at, and may be damaged. */
static inline uint64_t dirent_ino(const void *val, size_t len)
{
    return len < 8 ? 0 : get_le64(val) & ((UINT64_C(1) << 48) - 1);
}

struct extent {
    uint64_t object; /* 0: a hole, whatever the base of the file has there; `valid` is 0 then */
    uint32_t valid;  /* bytes of the object that the file has, 0 … EXTENT_BLOCK; then zeros */
};
#define EXTENT_ITEM_LEN 12
void extent_encode(const struct extent *e, uint8_t out[EXTENT_ITEM_LEN]);
int extent_decode(const void *val, size_t len, struct extent *ret);

/* A subblock extent has `valid` bytes of an object, 1 … SUBBLOCK_MAX. They replace as many bytes of
 * the file, from the offset in the key of the subblock extent on. A subblock extent lies in one
 * block. It is encoded as an extent. */
#define FILE_PAGE 4096u
#define SUBBLOCK_MAX (32u * 1024)
int subblock_decode(struct key k, const void *val, size_t len, struct extent *ret);

/* A map of holes, of a block that is stored whole. Bit n: page n of the block is a hole, and its
 * bytes in the object are zeros. A map is not 0. */
#define HOLES_ITEM_LEN 4
void holes_encode(uint32_t map, uint8_t out[HOLES_ITEM_LEN]);
int holes_decode(struct key k, const void *val, size_t len, uint32_t *ret);

/* An extended attribute: its name, and its value if both fit into a quarter of a page, else the
 * object that has the value. */
#define XATTR_NAME_MAX 255
#define XATTR_VALUE_MAX 65536
#define XATTR_ITEM_MAX PAGE_VALUE_MAX
struct xattr_item {
    size_t name_len;
    const char *name;  /* borrowed from the item; not NUL-terminated */
    uint64_t object;   /* has the value; 0: the value is inline */
    size_t len;        /* bytes of the value */
    const void *value; /* if it is inline: borrowed from the item */
};
/* Is a value of `len` bytes stored inline, beside a name of `name_len` bytes? */
bool xattr_is_inline(size_t name_len, size_t len);
/* Encodes an attribute and returns the length. The name has 1 … XATTR_NAME_MAX bytes without NUL.
 * `object` must be set if and only if the value is not inline. */
size_t xattr_encode(const struct xattr_item *x, uint8_t out[XATTR_ITEM_MAX]);
int xattr_decode(const void *val, size_t len, struct xattr_item *ret);

/* Is the item a counter? A counter is among the directory entries or the extended attributes, at
 * the index NAME_COUNTER of a hash. Its value, at least 1, is how many names have this hash and are
 * stored under a hash of a higher level. dirent_decode refuses a counter. */
static inline bool item_is_counter(struct key k)
{
    return (key_type(k) == ITEM_DIRENT || key_type(k) == ITEM_XATTR) &&
           k.lo % NAME_PLACES == NAME_COUNTER;
}
#define COUNTER_ITEM_LEN 8
void counter_encode(uint64_t count, uint8_t out[COUNTER_ITEM_LEN]);
int counter_decode(const void *val, size_t len, uint64_t *ret);

/* The name of a directory entry or an extended attribute; *ret_name is borrowed from the item.
 * -EUCLEAN: the item is damaged, of another type, or a counter. */
int item_name(struct key k, const void *val, size_t len, const char **ret_name, size_t *ret_len);

/* How much the inodes of a tree take. Sums and differences are exact modulo 2^64. */
struct usage {
    uint64_t inodes; /* of all types */
    uint64_t bytes;  /* 512 for each block (inode_st_blocks); 0 for a directory */
};
struct usage inode_usage(const struct inode *in);
/* How much one item takes: nothing, unless it is an inode that decodes. */
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

/* The object that an item names; 0: none. The item must decode. */
uint64_t item_object(struct key k, const void *val, size_t len);
/* Writes another object number, of the same content, into an item. Its length stays. */
void item_set_object(struct key k, void *val, size_t len, uint64_t object);
/* Does the item decode as the type in its key? 0 or -EUCLEAN. For the offline check. */
int item_check(struct key k, const void *val, size_t len);
