// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes an item has, it is refused, or written again it is the same bytes; and the object
 * it names can be asked for and changed in any case. Input: item type, 8 bytes of key, the value.
 */
#include "item.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_inode(const uint8_t *val, size_t len)
{
    uint8_t again[INODE_ITEM_MAX];
    struct inode in;

    if (inode_decode(val, len, &in) < 0)
        return;
    MUST(in.object <= OBJECT_NUMBER_MAX && in.parent <= KEY_INO_MAX);
    MUST(inode_encode(&in, again) == len && memcmp(again, val, len) == 0);
    MUST(item_object(key_make(1, ITEM_INODE, 0), val, len) == in.object);
}

static void check_dirent(const uint8_t *val, size_t len)
{
    uint8_t again[DIRENT_ITEM_MAX];
    struct dirent_item d;

    if (dirent_decode(val, len, &d) < 0)
        return;
    MUST(d.ino > 0 && d.ino <= KEY_INO_MAX && d.name_len > 0 && d.name_len <= ITEM_NAME_MAX);
    MUST(!memchr(d.name, '/', d.name_len) && !memchr(d.name, 0, d.name_len));
    MUST(dirent_encode(d.ino, d.type, d.name, d.name_len, again) == len);
    MUST(memcmp(again, val, len) == 0);
}

static void check_extent(const uint8_t *val, size_t len)
{
    uint8_t again[EXTENT_ITEM_LEN];
    struct extent e;

    if (extent_decode(val, len, &e) < 0)
        return;
    MUST(e.object <= OBJECT_NUMBER_MAX && e.valid <= EXTENT_BLOCK && (e.object || !e.valid));
    MUST(item_object(key_make(1, ITEM_EXTENT, 0), val, len) == e.object);
    extent_encode(&e, again);
    MUST(len == EXTENT_ITEM_LEN && memcmp(again, val, len) == 0);
}

static void check_subblock(const uint8_t *val, size_t len)
{
    struct key k = key_make(1, ITEM_SUBBLOCK, len > 9 ? (uint64_t)val[9] * FILE_PAGE : 0);
    uint8_t again[EXTENT_ITEM_LEN];
    struct extent e;

    if (subblock_decode(k, val, len, &e) < 0)
        return;
    MUST(e.object > 0 && e.object <= OBJECT_NUMBER_MAX && e.valid > 0 && e.valid <= SUBBLOCK_MAX);
    MUST(k.lo % EXTENT_BLOCK + e.valid <= EXTENT_BLOCK && item_check(k, val, len) == 0);
    MUST(item_object(k, val, len) == e.object);
    extent_encode(&e, again);
    MUST(len == EXTENT_ITEM_LEN && memcmp(again, val, len) == 0);
}

static void check_holes(const uint8_t *val, size_t len)
{
    struct key k = key_make(1, ITEM_HOLES, len > 4 ? (uint64_t)val[4] * FILE_PAGE : 0);
    uint8_t again[HOLES_ITEM_LEN];
    uint32_t map;

    if (holes_decode(k, val, len, &map) < 0)
        return;
    MUST(map && k.lo % EXTENT_BLOCK == 0 && item_check(k, val, len) == 0);
    MUST(item_object(k, val, len) == 0);
    holes_encode(map, again);
    MUST(len == HOLES_ITEM_LEN && memcmp(again, val, len) == 0);
}

static void check_xattr(const uint8_t *val, size_t len)
{
    uint8_t again[XATTR_ITEM_MAX];
    struct xattr_item x;

    if (xattr_decode(val, len, &x) < 0)
        return;
    MUST(x.name_len > 0 && x.name_len <= XATTR_NAME_MAX && !memchr(x.name, 0, x.name_len));
    MUST(x.len <= XATTR_VALUE_MAX && x.object <= OBJECT_NUMBER_MAX);
    MUST(xattr_is_inline(x.name_len, x.len) == (x.object == 0));
    MUST(xattr_encode(&x, again) == len && memcmp(again, val, len) == 0);
    MUST(item_object(key_make(1, ITEM_XATTR, 0), val, len) == x.object);
}

static void check_counter(struct key k, const uint8_t *val, size_t len)
{
    uint8_t again[COUNTER_ITEM_LEN];
    struct dirent_item d;
    uint64_t n;

    if (counter_decode(val, len, &n) < 0)
        return;
    counter_encode(n, again);
    MUST(len == COUNTER_ITEM_LEN && memcmp(again, val, len) == 0 && n > 0);
    MUST(dirent_decode(val, len, &d) < 0);
    MUST(!item_is_counter(k) || (item_check(k, val, len) == 0) == (k.lo >> 62 == 0));
    MUST(!item_is_counter(k) || item_object(k, val, len) == 0);
}

static void check_name(struct key k, const uint8_t *val, size_t len)
{
    const char *name;
    size_t n;

    if (item_name(k, val, len, &name, &n) < 0)
        return;
    MUST(n > 0 && n <= ITEM_NAME_MAX && !item_is_counter(k));
    MUST((const uint8_t *)name >= val && (const uint8_t *)name + n <= val + len);
}

static void check_object(struct key k, const uint8_t *val, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    uint64_t named = item_object(k, val, len);

    if (!copy)
        return;
    memcpy(copy, val, len);
    item_set_object(k, copy, len, 12345);
    MUST(!named || item_object(k, copy, len) == 12345);
    MUST(named || item_object(k, copy, len) == 0);
    item_set_object(k, copy, len, named);
    MUST(!named || memcmp(copy, val, len) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct key k;

    if (len < 9)
        return 0;
    k = (struct key){(uint64_t)1 << 6 | (data[0] & 7), get_le64(data + 1)};
    data += 9;
    len -= 9;
    check_inode(data, len);
    check_dirent(data, len);
    check_extent(data, len);
    check_subblock(data, len);
    check_holes(data, len);
    check_xattr(data, len);
    check_counter(k, data, len);
    check_name(k, data, len);
    check_object(k, data, len);
    if (item_check(k, data, len) == 0)
        MUST(key_type(k) >= ITEM_INODE && key_type(k) <= ITEM_HOLES && len > 0);
    return 0;
}
