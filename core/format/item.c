// SPDX-License-Identifier: Apache-2.0
/*
 * item: see the header. An inode is encoded as a map of the fields that are present, and these
 * fields: those that differ from their usual value. An object number is always at OBJECT_AT, so
 * that the tree finds it without decoding the rest.
 */
#include "item.h"
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

/* Inode item: map 2, mode 2, [object 8], then in this order the fields whose bit is set. */
enum {
    HAS_OBJECT = 1 << 0,
    HAS_NLINK = 1 << 1,   /* 4: nlink ≠ 1 */
    HAS_UID = 1 << 2,     /* 4: ≠ 0 */
    HAS_GID = 1 << 3,     /* 4: ≠ 0 */
    HAS_SIZE4 = 1 << 4,   /* 4: 0 < size < 2^32 */
    HAS_SIZE8 = 1 << 5,   /* 8: larger */
    HAS_VALID = 1 << 6,   /* 8: valid ≠ size */
    HAS_PARENT = 1 << 7,  /* 8 */
    HAS_RDEV = 1 << 8,    /* 4 */
    HAS_ATIME = 1 << 9,   /* 8: ≠ mtime */
    HAS_CTIME = 1 << 10,  /* 8: ≠ mtime */
    HAS_BTIME = 1 << 11,  /* 8: ≠ ctime */
    HAS_FLAGS = 1 << 12,  /* 4 */
    HAS_STORED = 1 << 13, /* 8: with INODE_EXTENTS or INODE_HOLES, stored ≠ valid */
    HAS_ALL = (1 << 14) - 1,
};
#define OBJECT_AT 4

/* The map of the fields that differ from their usual value, and so are stored. */
static unsigned inode_map(const struct inode *in)
{
    unsigned m = 0;
    uint64_t valid = in->object ? in->size : 0;

    m |= in->object ? HAS_OBJECT : 0u;
    m |= in->nlink != 1 ? HAS_NLINK : 0u;
    m |= in->uid ? HAS_UID : 0u;
    m |= in->gid ? HAS_GID : 0u;
    m |= in->size > UINT32_MAX ? HAS_SIZE8 : in->size ? HAS_SIZE4 : 0u;
    m |= in->valid != valid ? HAS_VALID : 0u;
    m |= in->parent ? HAS_PARENT : 0u;
    m |= in->rdev ? HAS_RDEV : 0u;
    m |= in->atime != in->mtime ? HAS_ATIME : 0u;
    m |= in->ctime != in->mtime ? HAS_CTIME : 0u;
    m |= in->btime != in->ctime ? HAS_BTIME : 0u;
    m |= in->flags ? HAS_FLAGS : 0u;
    m |= inode_stored(in) != in->valid ? HAS_STORED : 0u;
    return m;
}

size_t inode_encode(const struct inode *in, uint8_t out[INODE_ITEM_MAX])
{
    unsigned m = inode_map(in);
    uint8_t *p = out + OBJECT_AT;

    put_le16(out, (uint16_t)m);
    put_le16(out + 2, (uint16_t)in->mode);
    p = m & HAS_OBJECT ? append_le64(p, in->object) : p;
    p = append_le64(p, (uint64_t)in->mtime);
    p = m & HAS_NLINK ? append_le32(p, in->nlink) : p;
    p = m & HAS_UID ? append_le32(p, in->uid) : p;
    p = m & HAS_GID ? append_le32(p, in->gid) : p;
    p = m & HAS_SIZE4 ? append_le32(p, (uint32_t)in->size) : p;
    p = m & HAS_SIZE8 ? append_le64(p, in->size) : p;
    p = m & HAS_VALID ? append_le64(p, in->valid) : p;
    p = m & HAS_PARENT ? append_le64(p, in->parent) : p;
    p = m & HAS_RDEV ? append_le32(p, in->rdev) : p;
    p = m & HAS_ATIME ? append_le64(p, (uint64_t)in->atime) : p;
    p = m & HAS_CTIME ? append_le64(p, (uint64_t)in->ctime) : p;
    p = m & HAS_BTIME ? append_le64(p, (uint64_t)in->btime) : p;
    p = m & HAS_FLAGS ? append_le32(p, in->flags) : p;
    p = m & HAS_STORED ? append_le64(p, in->stored) : p;
    return (size_t)(p - out);
}

int inode_decode(const void *val, size_t len, struct inode *ret)
{
    struct field_reader r = {val, (const uint8_t *)val + len, false};
    struct inode in = {0};
    unsigned m = (unsigned)field_number(&r, 2);

    in.mode = (uint32_t)field_number(&r, 2);
    in.object = m & HAS_OBJECT ? field_number(&r, 8) : 0;
    in.mtime = (int64_t)field_number(&r, 8);
    in.nlink = m & HAS_NLINK ? (uint32_t)field_number(&r, 4) : 1;
    in.uid = m & HAS_UID ? (uint32_t)field_number(&r, 4) : 0;
    in.gid = m & HAS_GID ? (uint32_t)field_number(&r, 4) : 0;
    in.size = m & HAS_SIZE4 ? field_number(&r, 4) : 0;
    in.size = m & HAS_SIZE8 ? field_number(&r, 8) : in.size;
    in.valid = m & HAS_VALID ? field_number(&r, 8) : in.object ? in.size : 0;
    in.parent = m & HAS_PARENT ? field_number(&r, 8) : 0;
    in.rdev = m & HAS_RDEV ? (uint32_t)field_number(&r, 4) : 0;
    in.atime = m & HAS_ATIME ? (int64_t)field_number(&r, 8) : in.mtime;
    in.ctime = m & HAS_CTIME ? (int64_t)field_number(&r, 8) : in.mtime;
    in.btime = m & HAS_BTIME ? (int64_t)field_number(&r, 8) : in.ctime;
    in.flags = m & HAS_FLAGS ? (uint32_t)field_number(&r, 4) : 0;
    in.stored = m & HAS_STORED ? field_number(&r, 8) : in.valid;
    if (r.over || r.p != r.end || m & ~(unsigned)HAS_ALL)
        return -EUCLEAN;
    if (in.object > OBJECT_NUMBER_MAX || in.parent > KEY_INO_MAX)
        return -EUCLEAN;
    if (inode_map(&in) != m) /* each inode has one encoding only */
        return -EUCLEAN;
    *ret = in;
    return 0;
}

size_t dirent_encode(uint64_t ino, unsigned type, const char *name, size_t name_len,
                     uint8_t out[DIRENT_ITEM_MAX])
{
    uint8_t t[8];
    put_le64(t, ino);
    memcpy(out, t, 6);
    out[6] = (uint8_t)type;
    memcpy(out + 7, name, name_len);
    return 7 + name_len;
}

/* A name has at least one byte, and neither a slash nor a NUL. */
int dirent_decode(const void *val, size_t len, struct dirent_item *ret)
{
    const uint8_t *v = val;
    uint8_t t[8] = {0};

    if (len < 8 || len > DIRENT_ITEM_MAX || v[6] > DT_WHT)
        return -EUCLEAN;
    if (memchr(v + 7, '/', len - 7) || memchr(v + 7, 0, len - 7))
        return -EUCLEAN;
    memcpy(t, v, 6);
    if (get_le64(t) == 0 || get_le64(t) > KEY_INO_MAX)
        return -EUCLEAN;
    *ret = (struct dirent_item){get_le64(t), v[6], len - 7, (const char *)v + 7};
    return 0;
}

void extent_encode(const struct extent *e, uint8_t out[EXTENT_ITEM_LEN])
{
    put_le64(out, e->object);
    put_le32(out + 8, e->valid);
}

int extent_decode(const void *val, size_t len, struct extent *ret)
{
    const uint8_t *v = val;

    if (len != EXTENT_ITEM_LEN || get_le32(v + 8) > EXTENT_BLOCK)
        return -EUCLEAN;
    if (get_le64(v) > OBJECT_NUMBER_MAX || (get_le64(v) == 0 && get_le32(v + 8) != 0))
        return -EUCLEAN;
    *ret = (struct extent){get_le64(v), get_le32(v + 8)};
    return 0;
}

int subblock_decode(struct key k, const void *val, size_t len, struct extent *ret)
{
    struct extent e;
    int err = extent_decode(val, len, &e);

    if (err < 0)
        return err;
    if (k.lo % FILE_PAGE || e.valid == 0 || e.valid > SUBBLOCK_MAX)
        return -EUCLEAN;
    if (k.lo / EXTENT_BLOCK != (k.lo + e.valid - 1) / EXTENT_BLOCK)
        return -EUCLEAN;
    *ret = e;
    return 0;
}

void holes_encode(uint32_t map, uint8_t out[HOLES_ITEM_LEN])
{
    put_le32(out, map);
}

int holes_decode(struct key k, const void *val, size_t len, uint32_t *ret)
{
    if (len != HOLES_ITEM_LEN || k.lo % EXTENT_BLOCK || get_le32(val) == 0)
        return -EUCLEAN;
    *ret = get_le32(val);
    return 0;
}

/* Extended attribute item: length of the name 1, form 1, then by form. */
enum {
    XATTR_INLINE = 0, /* name, value */
    XATTR_OBJECT = 1, /* object 8, length of the value 4, name */
};
#define XATTR_HEAD 2
#define XATTR_OBJECT_HEAD (XATTR_HEAD + 12)

bool xattr_is_inline(size_t name_len, size_t len)
{
    return len <= XATTR_ITEM_MAX - XATTR_HEAD - name_len;
}

size_t xattr_encode(const struct xattr_item *x, uint8_t out[XATTR_ITEM_MAX])
{
    size_t head = x->object ? XATTR_OBJECT_HEAD : XATTR_HEAD;

    out[0] = (uint8_t)x->name_len;
    out[1] = x->object ? XATTR_OBJECT : XATTR_INLINE;
    memcpy(out + head, x->name, x->name_len);
    if (x->object) {
        put_le64(out + XATTR_HEAD, x->object);
        put_le32(out + XATTR_HEAD + 8, (uint32_t)x->len);
        return head + x->name_len;
    }
    if (x->len)
        memcpy(out + head + x->name_len, x->value, x->len);
    return head + x->name_len + x->len;
}

/* Decodes an attribute whose value is an object. A value that would fit inline is refused: each
 * attribute has one encoding only. */
static int xattr_decode_object(const uint8_t *v, size_t len, struct xattr_item *x)
{
    if (len != XATTR_OBJECT_HEAD + x->name_len)
        return -EUCLEAN;
    x->object = get_le64(v + XATTR_HEAD);
    x->len = get_le32(v + XATTR_HEAD + 8);
    x->name = (const char *)v + XATTR_OBJECT_HEAD;
    if (x->object == 0 || x->object > OBJECT_NUMBER_MAX)
        return -EUCLEAN;
    return x->len > XATTR_VALUE_MAX || xattr_is_inline(x->name_len, x->len) ? -EUCLEAN : 0;
}

int xattr_decode(const void *val, size_t len, struct xattr_item *ret)
{
    const uint8_t *v = val;
    struct xattr_item x = {0};
    int err = 0;

    if (len < XATTR_HEAD || len > XATTR_ITEM_MAX || v[0] == 0 || v[1] > XATTR_OBJECT)
        return -EUCLEAN;
    x.name_len = v[0];
    if (v[1] == XATTR_OBJECT) {
        err = xattr_decode_object(v, len, &x);
    } else if (len < XATTR_HEAD + x.name_len) {
        err = -EUCLEAN;
    } else {
        x.name = (const char *)v + XATTR_HEAD;
        x.value = v + XATTR_HEAD + x.name_len;
        x.len = len - XATTR_HEAD - x.name_len;
    }
    if (err < 0 || memchr(x.name, 0, x.name_len))
        return -EUCLEAN;
    *ret = x;
    return 0;
}

void counter_encode(uint64_t count, uint8_t out[COUNTER_ITEM_LEN])
{
    put_le64(out, count);
}

int counter_decode(const void *val, size_t len, uint64_t *ret)
{
    if (len != COUNTER_ITEM_LEN || get_le64(val) == 0 || get_le64(val) > KEY_INO_MAX)
        return -EUCLEAN;
    *ret = get_le64(val);
    return 0;
}

int item_name(struct key k, const void *val, size_t len, const char **ret_name, size_t *ret_len)
{
    struct dirent_item d;
    struct xattr_item x;
    int err = -EUCLEAN;

    if (item_is_counter(k))
        return err;
    if (key_type(k) == ITEM_DIRENT) {
        err = dirent_decode(val, len, &d);
        if (err < 0)
            return err;
        *ret_name = d.name;
        *ret_len = d.name_len;
    } else if (key_type(k) == ITEM_XATTR) {
        err = xattr_decode(val, len, &x);
        if (err < 0)
            return err;
        *ret_name = x.name;
        *ret_len = x.name_len;
    }
    return err;
}

/* Where the item has its object number; NULL: it has none. */
static const uint8_t *object_at(struct key k, const uint8_t *val, size_t len)
{
    if (key_type(k) == ITEM_INODE)
        return len >= OBJECT_AT + 8 && get_le16(val) & HAS_OBJECT ? val + OBJECT_AT : NULL;
    if (key_type(k) == ITEM_EXTENT || key_type(k) == ITEM_SUBBLOCK)
        return len == EXTENT_ITEM_LEN ? val : NULL;
    if (key_type(k) == ITEM_XATTR && !item_is_counter(k))
        return len > XATTR_OBJECT_HEAD && val[1] == XATTR_OBJECT ? val + XATTR_HEAD : NULL;
    return NULL;
}

uint64_t item_object(struct key k, const void *val, size_t len)
{
    const uint8_t *at = object_at(k, val, len);
    return at ? get_le64(at) : 0;
}

struct usage inode_usage(const struct inode *in)
{
    return (struct usage){.inodes = 1, .bytes = S_ISDIR(in->mode) ? 0 : inode_st_blocks(in) * 512};
}

struct usage item_usage(struct key k, const void *val, size_t len)
{
    struct inode in;

    if (key_type(k) != ITEM_INODE || inode_decode(val, len, &in) < 0)
        return (struct usage){0};
    return inode_usage(&in);
}

void item_set_object(struct key k, void *val, size_t len, uint64_t object)
{
    uint8_t *v = val;
    const uint8_t *at = object_at(k, v, len);
    if (at && get_le64(at)) /* a hole stays a hole */
        put_le64(v + (at - v), object);
}

int item_check(struct key k, const void *val, size_t len)
{
    struct inode in;
    struct dirent_item d;
    struct extent e;
    struct xattr_item x;
    uint64_t count;
    uint32_t map;

    if (item_is_counter(k))
        return k.lo >> 62 ? -EUCLEAN : counter_decode(val, len, &count);
    switch (key_type(k)) {
    case ITEM_INODE:
        return k.lo ? -EUCLEAN : inode_decode(val, len, &in);
    case ITEM_SYMLINK:
        return len == 0 || len > ITEM_SYMLINK_PIECE ? -EUCLEAN : 0;
    case ITEM_DIRENT:
        return k.lo >> 62 ? -EUCLEAN : dirent_decode(val, len, &d);
    case ITEM_EXTENT:
        return k.lo % EXTENT_BLOCK ? -EUCLEAN : extent_decode(val, len, &e);
    case ITEM_SUBBLOCK:
        return subblock_decode(k, val, len, &e);
    case ITEM_HOLES:
        return holes_decode(k, val, len, &map);
    case ITEM_XATTR:
        return k.lo >> 62 ? -EUCLEAN : xattr_decode(val, len, &x);
    default:
        return -EUCLEAN;
    }
}
