// SPDX-License-Identifier: Apache-2.0
/* Claims of item.h. */
#include "fault.h"
#include "item.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>

static uint8_t buf[INODE_ITEM_MAX + 8];

static size_t round_trip(const struct inode *in)
{
    struct inode out;
    size_t len = inode_encode(in, buf);
    cr_assert_leq(len, INODE_ITEM_MAX);
    cr_assert_eq(inode_decode(buf, len, &out), 0);
    cr_assert(in->mode == out.mode && in->nlink == out.nlink && in->uid == out.uid);
    cr_assert(in->gid == out.gid && in->rdev == out.rdev && in->flags == out.flags);
    cr_assert(in->size == out.size && in->object == out.object && in->valid == out.valid);
    cr_assert(in->parent == out.parent && in->atime == out.atime && in->mtime == out.mtime);
    cr_assert(in->ctime == out.ctime && in->btime == out.btime);
    cr_assert_eq(inode_stored(in), inode_stored(&out));
    return len;
}

static struct inode usual(void)
{
    return (struct inode){.mode = 0100644,
                          .nlink = 1,
                          .size = 100,
                          .valid = 100,
                          .object = 5,
                          .atime = 9,
                          .mtime = 9,
                          .ctime = 9,
                          .btime = 9};
}

static struct inode random_inode(uint64_t *seed)
{
    struct inode in = usual();
    uint64_t r = fault_random(seed);
    in.mode = r & 1 ? (uint32_t)(r >> 40 & 0xffff) : in.mode;
    in.nlink = r & 2 ? (uint32_t)(r >> 33) : 1;
    in.uid = r & 4 ? (uint32_t)(r >> 31) : 0;
    in.gid = r & 8 ? (uint32_t)(r >> 29) : 0;
    in.rdev = r & 16 ? (uint32_t)(r >> 30) : 0;
    in.flags = r & 32 ? (uint32_t)(r >> 32) : 0;
    in.stored = r >> 5;
    in.size = r & 64 ? r >> (r >> 58) : 0;
    in.object = r & 128 ? r >> 6 : 0;
    in.valid = r & 256 ? r >> 7 : in.object ? in.size : 0;
    in.parent = r & 512 ? r >> 22 : 0;
    in.atime = r & 1024 ? (int64_t)r : in.atime;
    in.mtime = r & 2048 ? -(int64_t)(r >> 1) : in.mtime;
    in.ctime = r & 4096 ? INT64_MIN : in.ctime;
    in.btime = r & 8192 ? INT64_MAX : in.btime;
    return in;
}

Test(item, a_usual_inode_comes_back_and_is_small)
{
    struct inode in = usual();
    cr_assert_eq(round_trip(&in), 24);
}

Test(item, inodes_of_all_kinds_come_back)
{
    uint64_t seed = 3;
    for (int i = 0; i < 200000; i++) {
        struct inode in = random_inode(&seed);
        round_trip(&in);
    }
}

Test(item, sizes_at_the_edges_come_back)
{
    uint64_t sizes[] = {0, 1, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        struct inode in = usual();
        in.size = sizes[i];
        round_trip(&in);
        in.valid = in.size;
        round_trip(&in);
        in.object = in.valid = 0;
        round_trip(&in);
    }
}

Test(item, an_inode_cut_off_or_with_more_behind_it_is_refused_and_nothing_is_given)
{
    uint64_t seed = 9;
    struct inode out = {.mode = 1};
    for (int i = 0; i < 2000; i++) {
        struct inode in = random_inode(&seed);
        size_t len = inode_encode(&in, buf);
        for (size_t cut = 0; cut < len; cut++)
            cr_assert_eq(inode_decode(buf, cut, &out), -EUCLEAN);
        cr_assert_eq(inode_decode(buf, len + 1, &out), -EUCLEAN);
        cr_assert_eq(out.mode, 1);
    }
}

Test(item, an_inode_has_one_encoding_and_no_unknown_field)
{
    struct inode out;
    struct inode in = usual();
    size_t len = inode_encode(&in, buf);
    put_le16(buf, (uint16_t)(get_le16(buf) | 1u << 13));
    cr_assert_eq(inode_decode(buf, len, &out), -EUCLEAN);
    in.object = 0;
    in.valid = 3;
    len = inode_encode(&in, buf);
    put_le64(buf + len - 8, 0); /* `valid` written though it is the usual one */
    cr_assert_eq(inode_decode(buf, len, &out), -EUCLEAN);
}

Test(item, numbers_out_of_range_are_refused)
{
    struct inode out, in = usual();
    in.object = OBJECT_NUMBER_MAX + 1;
    cr_assert_eq(inode_decode(buf, inode_encode(&in, buf), &out), -EUCLEAN);
    in = usual();
    in.parent = KEY_INO_MAX + 1;
    cr_assert_eq(inode_decode(buf, inode_encode(&in, buf), &out), -EUCLEAN);
}

/* ---- entries, extents ---- */

static uint8_t entry[DIRENT_ITEM_MAX + 1];

Test(item, a_directory_entry_comes_back_with_names_of_every_length)
{
    char name[ITEM_NAME_MAX];
    struct dirent_item d;
    memset(name, 'n', sizeof name);
    for (size_t n = 1; n <= ITEM_NAME_MAX; n++) {
        size_t len = dirent_encode(KEY_INO_MAX, DT_LNK, name, n, entry);
        cr_assert_eq(dirent_decode(entry, len, &d), 0);
        cr_assert(d.ino == KEY_INO_MAX && d.type == DT_LNK && d.name_len == n);
        cr_assert_arr_eq(d.name, name, n);
    }
}

static int decode(uint64_t ino, unsigned type, const char *name, size_t len)
{
    struct dirent_item d;
    return dirent_decode(entry, dirent_encode(ino, type, name, len, entry), &d);
}

Test(item, a_directory_entry_that_cannot_be_is_refused)
{
    struct dirent_item d;
    cr_assert_eq(decode(1, DT_REG, "ok", 2), 0);
    cr_assert_eq(decode(0, DT_REG, "ok", 2), -EUCLEAN);
    cr_assert_eq(decode(KEY_INO_MAX + 1, DT_REG, "ok", 2), -EUCLEAN);
    cr_assert_eq(decode(1, 15, "ok", 2), -EUCLEAN);
    cr_assert_eq(decode(1, DT_REG, "", 0), -EUCLEAN);
    cr_assert_eq(decode(1, DT_REG, "a/b", 3), -EUCLEAN);
    cr_assert_eq(decode(1, DT_REG, "a\0b", 3), -EUCLEAN);
    memset(entry + 7, 'n', sizeof entry - 7);
    cr_assert_eq(dirent_decode(entry, DIRENT_ITEM_MAX + 1, &d), -EUCLEAN);
}

Test(item, an_extent_comes_back_and_one_that_cannot_be_is_refused)
{
    struct extent e, in = {OBJECT_NUMBER_MAX, EXTENT_BLOCK};
    extent_encode(&in, buf);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN, &e), 0);
    cr_assert(e.object == in.object && e.valid == in.valid);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN - 1, &e), -EUCLEAN);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN + 1, &e), -EUCLEAN);
    extent_encode(&(struct extent){OBJECT_NUMBER_MAX + 1, 1}, buf);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN, &e), -EUCLEAN);
    extent_encode(&(struct extent){1, EXTENT_BLOCK + 1}, buf);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN, &e), -EUCLEAN);
}

Test(item, a_subblock_comes_back_and_one_that_cannot_be_is_refused)
{
    struct key k = key_make(1, ITEM_SUBBLOCK, 3 * FILE_PAGE);
    struct extent e, in = {7, SUBBLOCK_MAX};
    extent_encode(&in, buf);
    cr_assert_eq(subblock_decode(k, buf, EXTENT_ITEM_LEN, &e), 0);
    cr_assert(e.object == 7 && e.valid == SUBBLOCK_MAX);
    cr_assert_eq(item_check(k, buf, EXTENT_ITEM_LEN), 0);
    cr_assert_eq(item_object(k, buf, EXTENT_ITEM_LEN), 7);
    item_set_object(k, buf, EXTENT_ITEM_LEN, 8);
    cr_assert_eq(item_object(k, buf, EXTENT_ITEM_LEN), 8);
    cr_assert_eq(subblock_decode(k, buf, EXTENT_ITEM_LEN - 1, &e), -EUCLEAN);
    k.lo++;
    cr_assert_eq(subblock_decode(k, buf, EXTENT_ITEM_LEN, &e), -EUCLEAN, "not at a page");
    k.lo = EXTENT_BLOCK - FILE_PAGE;
    cr_assert_eq(item_check(k, buf, EXTENT_ITEM_LEN), -EUCLEAN, "into the next block");
    extent_encode(&(struct extent){7, FILE_PAGE}, buf);
    cr_assert_eq(item_check(k, buf, EXTENT_ITEM_LEN), 0);
    k.lo = 0;
    extent_encode(&(struct extent){7, SUBBLOCK_MAX + 1}, buf);
    cr_assert_eq(subblock_decode(k, buf, EXTENT_ITEM_LEN, &e), -EUCLEAN);
    extent_encode(&(struct extent){7, 0}, buf);
    cr_assert_eq(subblock_decode(k, buf, EXTENT_ITEM_LEN, &e), -EUCLEAN, "of nothing");
    extent_encode(&(struct extent){0, 0}, buf);
    cr_assert_eq(subblock_decode(k, buf, EXTENT_ITEM_LEN, &e), -EUCLEAN, "no hole");
}

Test(item, a_hole_is_an_extent_without_an_object_and_stays_one)
{
    struct key k = key_make(1, ITEM_EXTENT, 0);
    struct extent e = {5, 5};
    extent_encode(&(struct extent){0, 0}, buf);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN, &e), 0);
    cr_assert(e.object == 0 && e.valid == 0);
    item_set_object(k, buf, EXTENT_ITEM_LEN, 7);
    cr_assert_eq(item_object(k, buf, EXTENT_ITEM_LEN), 0);
    extent_encode(&(struct extent){0, 1}, buf);
    cr_assert_eq(extent_decode(buf, EXTENT_ITEM_LEN, &e), -EUCLEAN);
}

Test(item, a_map_of_holes_has_one_and_stands_where_a_block_begins)
{
    struct key k = key_make(1, ITEM_HOLES, 3 * EXTENT_BLOCK);
    uint32_t map = 5;
    holes_encode(UINT32_MAX, buf);
    cr_assert_eq(holes_decode(k, buf, HOLES_ITEM_LEN, &map), 0);
    cr_assert_eq(map, UINT32_MAX);
    cr_assert_eq(item_check(k, buf, HOLES_ITEM_LEN), 0);
    cr_assert_eq(item_object(k, buf, HOLES_ITEM_LEN), 0);
    cr_assert_eq(holes_decode(k, buf, HOLES_ITEM_LEN - 1, &map), -EUCLEAN);
    cr_assert_eq(holes_decode(k, buf, HOLES_ITEM_LEN + 1, &map), -EUCLEAN);
    k.lo += FILE_PAGE;
    cr_assert_eq(item_check(k, buf, HOLES_ITEM_LEN), -EUCLEAN);
    k.lo -= FILE_PAGE;
    holes_encode(0, buf);
    cr_assert_eq(item_check(k, buf, HOLES_ITEM_LEN), -EUCLEAN);
}

Test(item, bytes_stored_are_told_only_where_extents_or_holes_are)
{
    struct inode in = usual(), out;
    in.stored = 7;
    cr_assert_eq(inode_decode(buf, inode_encode(&in, buf), &out), 0);
    cr_assert_eq(inode_stored(&out), 100);
    in.flags = INODE_EXTENTS;
    size_t len = inode_encode(&in, buf);
    cr_assert_eq(inode_decode(buf, len, &out), 0);
    cr_assert_eq(inode_stored(&out), 7);
    put_le32(buf + len - 12, 2); /* another flag: then nobody may tell them */
    cr_assert_eq(inode_decode(buf, len, &out), -EUCLEAN);
    put_le32(buf + len - 12, INODE_HOLES);
    cr_assert_eq(inode_decode(buf, len, &out), 0);
    cr_assert_eq(inode_stored(&out), 7);
    put_le32(buf + len - 12, INODE_EXTENTS);
    put_le64(buf + len - 8, in.valid); /* what goes without saying */
    cr_assert_eq(inode_decode(buf, len, &out), -EUCLEAN);
}

/* ---- extended attributes ---- */

static uint8_t attr[XATTR_ITEM_MAX + 1];
static char name[XATTR_NAME_MAX];
static uint8_t value[XATTR_ITEM_MAX];

static size_t make_attr(size_t name_len, size_t len, uint64_t object)
{
    struct xattr_item x = {name_len, name, object, len, value};

    memset(name, 'n', sizeof name);
    memset(value, 'v', sizeof value);
    return xattr_encode(&x, attr);
}

Test(item, an_attribute_comes_back_inline_or_as_an_object_whichever_its_lengths_ask_for)
{
    for (size_t n = 1; n <= XATTR_NAME_MAX; n++) {
        size_t most = XATTR_ITEM_MAX - 2 - n, lens[] = {0, 1, most, most + 1, XATTR_VALUE_MAX};
        cr_assert(xattr_is_inline(n, most) && !xattr_is_inline(n, most + 1));
        for (size_t i = 0; i < 5; i++) {
            struct xattr_item x;
            uint64_t object = xattr_is_inline(n, lens[i]) ? 0 : OBJECT_NUMBER_MAX;
            size_t len = make_attr(n, lens[i], object);
            cr_assert_eq(xattr_decode(attr, len, &x), 0);
            cr_assert(x.name_len == n && x.len == lens[i] && x.object == object);
            cr_assert_arr_eq(x.name, name, n);
            cr_assert(object || !memcmp(x.value, value, x.len));
        }
    }
}

Test(item, an_attribute_that_cannot_be_is_refused)
{
    struct xattr_item x = {.len = 77};
    size_t len = make_attr(3, 5000, 7);
    cr_assert_eq(xattr_decode(attr, len - 1, &x), -EUCLEAN);
    cr_assert_eq(xattr_decode(attr, len + 1, &x), -EUCLEAN);
    attr[len - 1] = 0; /* in the name */
    cr_assert_eq(xattr_decode(attr, len, &x), -EUCLEAN);
    cr_assert_eq(xattr_decode(attr, make_attr(3, 5, 7), &x), -EUCLEAN); /* it would stand inline */
    cr_assert_eq(xattr_decode(attr, make_attr(3, XATTR_VALUE_MAX + 1, 7), &x), -EUCLEAN);
    cr_assert_eq(xattr_decode(attr, make_attr(3, 5000, OBJECT_NUMBER_MAX + 1), &x), -EUCLEAN);
    len = make_attr(3, 5000, 7);
    put_le64(attr + 2, 0);
    cr_assert_eq(xattr_decode(attr, len, &x), -EUCLEAN);
    len = make_attr(3, 5, 0);
    attr[1] = 2; /* an unknown form */
    cr_assert_eq(xattr_decode(attr, len, &x), -EUCLEAN);
    make_attr(3, 0, 0);
    cr_assert_eq(xattr_decode(attr, 5, &x), 0);
    cr_assert_eq(xattr_decode(attr, 4, &x), -EUCLEAN);
    cr_assert_eq(xattr_decode(attr, 1, &x), -EUCLEAN);
    attr[0] = 0;
    x.len = 77;
    cr_assert_eq(xattr_decode(attr, 5, &x), -EUCLEAN);
    make_attr(3, XATTR_ITEM_MAX - 5, 0);
    cr_assert_eq(xattr_decode(attr, XATTR_ITEM_MAX + 1, &x), -EUCLEAN);
    cr_assert_eq(x.len, 77); /* and nothing is given */
}

Test(item, entries_and_attributes_have_names_others_have_none)
{
    const char *n;
    size_t len;
    uint8_t dirent[DIRENT_ITEM_MAX];
    struct key d = key_make(1, ITEM_DIRENT, 0), a = key_make(1, ITEM_XATTR, 0);
    cr_assert_eq(item_name(d, dirent, dirent_encode(1, DT_REG, "ab", 2, dirent), &n, &len), 0);
    cr_assert(len == 2 && !memcmp(n, "ab", 2));
    cr_assert_eq(item_name(a, attr, make_attr(3, 5, 0), &n, &len), 0);
    cr_assert(len == 3 && !memcmp(n, "nnn", 3));
    cr_assert_eq(item_name(a, attr, 1, &n, &len), -EUCLEAN);
    cr_assert_eq(item_name(key_make(1, ITEM_SYMLINK, 0), "x", 1, &n, &len), -EUCLEAN);
}

/* ---- counters ---- */

Test(item, a_counter_stands_at_its_index_and_nothing_else_does)
{
    static const enum item_type types[] = {ITEM_DIRENT, ITEM_XATTR};
    size_t elen = dirent_encode(1, DT_REG, "a", 1, entry), alen = make_attr(3, 5, 0), len;
    struct dirent_item d;
    const char *n;
    uint64_t count;

    counter_encode(173, buf);
    cr_assert_eq(counter_decode(buf, COUNTER_ITEM_LEN, &count), 0);
    cr_assert_eq(count, 173);
    cr_assert_eq(dirent_decode(buf, COUNTER_ITEM_LEN, &d), -EUCLEAN);
    for (size_t i = 0; i < 2; i++) {
        struct key k = key_make(1, types[i], 5 * NAME_PLACES + NAME_COUNTER);
        cr_assert(item_is_counter(k));
        cr_assert_eq(item_check(k, buf, COUNTER_ITEM_LEN), 0);
        cr_assert_eq(item_object(k, buf, COUNTER_ITEM_LEN), 0);
        cr_assert_eq(item_name(k, buf, COUNTER_ITEM_LEN, &n, &len), -EUCLEAN);
        cr_assert_eq(item_check(k, entry, elen), -EUCLEAN);
        cr_assert_eq(item_check(k, attr, alen), -EUCLEAN);
        k.lo--;
        cr_assert_not(item_is_counter(k));
        cr_assert_eq(item_check(k, buf, COUNTER_ITEM_LEN), -EUCLEAN);
        k.lo = (UINT64_C(1) << 62) + NAME_COUNTER;
        cr_assert_eq(item_check(k, buf, COUNTER_ITEM_LEN), -EUCLEAN);
    }
    cr_assert_not(item_is_counter(key_make(1, ITEM_SYMLINK, NAME_COUNTER)));
}

Test(item, a_counter_of_nothing_or_of_more_than_there_can_be_is_none)
{
    uint64_t count = 42;

    counter_encode(KEY_INO_MAX, buf);
    cr_assert_eq(counter_decode(buf, COUNTER_ITEM_LEN, &count), 0);
    cr_assert_eq(count, KEY_INO_MAX);
    cr_assert_eq(counter_decode(buf, COUNTER_ITEM_LEN - 1, &count), -EUCLEAN);
    cr_assert_eq(counter_decode(buf, COUNTER_ITEM_LEN + 1, &count), -EUCLEAN);
    counter_encode(KEY_INO_MAX + 1, buf);
    cr_assert_eq(counter_decode(buf, COUNTER_ITEM_LEN, &count), -EUCLEAN);
    counter_encode(0, buf);
    cr_assert_eq(counter_decode(buf, COUNTER_ITEM_LEN, &count), -EUCLEAN);
    cr_assert_eq(count, KEY_INO_MAX);
}

/* ---- any item ---- */

Test(item, the_object_of_an_item_is_found_and_changed_in_place)
{
    struct key i = key_make(1, ITEM_INODE, 0), x = key_make(1, ITEM_EXTENT, 0);
    struct key a = key_make(1, ITEM_XATTR, 0);
    struct inode in = usual();
    size_t len = inode_encode(&in, buf);
    cr_assert_eq(item_object(i, buf, len), 5);
    item_set_object(i, buf, len, 6);
    cr_assert_eq(inode_decode(buf, len, &in), 0);
    cr_assert_eq(in.object, 6);
    extent_encode(&(struct extent){7, 1}, buf);
    item_set_object(x, buf, EXTENT_ITEM_LEN, 8);
    cr_assert_eq(item_object(x, buf, EXTENT_ITEM_LEN), 8);
    cr_assert_eq(item_object(key_make(1, ITEM_SYMLINK, 0), buf, EXTENT_ITEM_LEN), 0);
    in.object = 0;
    cr_assert_eq(item_object(i, buf, inode_encode(&in, buf)), 0);
    len = make_attr(3, 5000, 7);
    cr_assert_eq(item_object(a, attr, len), 7);
    item_set_object(a, attr, len, 9);
    cr_assert_eq(item_object(a, attr, len), 9);
    cr_assert_eq(item_object(a, attr, make_attr(3, 50, 0)), 0);
}

Test(item, check_knows_what_may_stand_under_a_key)
{
    struct inode in = usual();
    size_t len = inode_encode(&in, buf), elen = dirent_encode(1, DT_REG, "a", 1, entry);
    cr_assert_eq(item_check(key_make(1, ITEM_INODE, 0), buf, len), 0);
    cr_assert_eq(item_check(key_make(1, ITEM_INODE, 1), buf, len), -EUCLEAN);
    cr_assert_eq(item_check(key_make(1, ITEM_DIRENT, 1), entry, elen), 0);
    cr_assert_eq(item_check(key_make(1, ITEM_DIRENT, UINT64_C(1) << 62), entry, elen), -EUCLEAN);
    cr_assert_eq(item_check(key_make(1, ITEM_SYMLINK, 0), "x", 1), 0);
    cr_assert_eq(item_check(key_make(1, ITEM_SYMLINK, 0), "", 0), -EUCLEAN);
    cr_assert_eq(item_check(key_make(1, (enum item_type)7, 0), "x", 1), -EUCLEAN);
    len = make_attr(3, 5, 0);
    cr_assert_eq(item_check(key_make(1, ITEM_XATTR, 1), attr, len), 0);
    cr_assert_eq(item_check(key_make(1, ITEM_XATTR, UINT64_C(1) << 62), attr, len), -EUCLEAN);
    extent_encode(&(struct extent){7, 1}, buf);
    cr_assert_eq(item_check(key_make(1, ITEM_EXTENT, EXTENT_BLOCK), buf, EXTENT_ITEM_LEN), 0);
    cr_assert_eq(item_check(key_make(1, ITEM_EXTENT, 1), buf, EXTENT_ITEM_LEN), -EUCLEAN);
}
