// SPDX-License-Identifier: Apache-2.0
/* Claims of image.h. */
#include "image.h"

#include "bytes.h"
#include "id.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NAMED(s) .name = s, .name_len = sizeof s - 1
#define HAS(s) .data = s, .len = sizeof s - 1

static const struct image_record samples[] = {
    {.type = IMAGE_INODE,
     .number = 1,
     .mode = S_IFDIR | 0755,
     .implied = true,
     .uid = 7,
     .gid = 8,
     .mtime = -5},
    {.type = IMAGE_CONTENT, .number = 1, .length = 5, HAS("hello")},
    {.type = IMAGE_INODE, .number = 2, .mode = S_IFREG | 04644, .size = 5, .content = 1},
    {.type = IMAGE_ENTRY, .parent = 1, .number = 2, NAMED("\xff name")},
    {.type = IMAGE_XATTR, .number = 2, NAMED("user.empty")},
    {.type = IMAGE_XATTR, .number = 2, NAMED("user.some"), HAS("\0value")},
    {.type = IMAGE_INODE, .number = 3, .mode = S_IFLNK | 0777, .size = 4, HAS("/etc")},
    {.type = IMAGE_ENTRY, .parent = 1, .number = 3, NAMED("...")},
    {.type = IMAGE_INODE, .number = 4, .mode = S_IFCHR | 0600, .several = true, .rdev = 0x103},
    {.type = IMAGE_CONTENT, .number = 2, .length = 1 << 20, .offset = 9, .sparse = true, HAS("a")},
    {.type = IMAGE_CONTENT, .number = 2, .length = 1 << 20, .offset = 99, .sparse = true, HAS("b")},
    {.type = IMAGE_REMOVE, .parent = 1, NAMED("gone")},
    {.type = IMAGE_OPAQUE, .number = 1},
    {.type = IMAGE_INODE, .number = 2, .mode = S_IFREG | 0600, .size = 1 << 20, .content = 2},
    {.type = IMAGE_END, .number = 14},
};
#define SAMPLES (sizeof samples / sizeof *samples)

struct made {
    uint8_t bytes[4096];
    size_t len;
    size_t at[SAMPLES + 1]; /* where each record begins */
};

static void make(struct made *m)
{
    struct image_stream s;

    image_begin(&s, m->bytes);
    m->len = IMAGE_HEAD;
    for (size_t i = 0; i < SAMPLES; i++) {
        m->at[i] = m->len;
        m->len += image_put(&s, &samples[i], m->bytes + m->len);
        if (samples[i].len)
            memcpy(m->bytes + m->len, samples[i].data, samples[i].len);
        m->len += samples[i].len;
    }
    m->at[SAMPLES] = m->len;
}

/* Reads all; returns how many records, and the error at the end. */
static size_t read_all(const uint8_t *bytes, size_t len, int *ret_err)
{
    struct image_stream s;
    struct image_record r;
    size_t at = IMAGE_HEAD, used, n = 0;

    *ret_err = image_open(&s, bytes, len);
    while (*ret_err == 0 && (*ret_err = image_next(&s, bytes + at, len - at, &used, &r)) == 0) {
        at += used;
        n++;
    }
    return n;
}

static bool same(const struct image_record *a, const struct image_record *b)
{
    return a->type == b->type && a->number == b->number && a->parent == b->parent &&
           a->length == b->length && a->offset == b->offset && a->sparse == b->sparse &&
           a->mode == b->mode && a->implied == b->implied && a->several == b->several &&
           a->uid == b->uid && a->gid == b->gid && a->rdev == b->rdev &&
           a->mtime == b->mtime && a->size == b->size && a->content == b->content &&
           a->name_len == b->name_len && a->len == b->len &&
           (!a->len || memcmp(a->data, b->data, a->len) == 0) &&
           (!a->name_len || memcmp(a->name, b->name, a->name_len) == 0);
}

Test(image, records_come_back_as_they_were)
{
    struct image_stream s;
    struct image_record r;
    struct made m;
    size_t at = IMAGE_HEAD, used;

    make(&m);
    cr_assert_eq(image_open(&s, m.bytes, m.len), 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        cr_assert_eq(image_next(&s, m.bytes + at, m.len - at, &used, &r), 0, "record %zu", i);
        cr_assert(same(&r, &samples[i]), "record %zu", i);
        at += used;
    }
    cr_assert_eq(at, m.len);
    cr_assert_eq(image_next(&s, m.bytes, m.len, &used, &r), -ENOENT);
}

/* ---- what one store sends to another ---- */

static const uint8_t digest[SHA256_LEN] = "a digest has thirty-two bytes..";

static const struct image_record sent[] = {
    {.type = IMAGE_BASE, .digest = digest, HAS("main@a..b")},
    {.type = IMAGE_INODE, .number = 1, .mode = S_IFDIR | 0755},
    {.type = IMAGE_FIND, .parent = 1, .number = 2, NAMED("dir")},
    {.type = IMAGE_FIND, .parent = 2, .number = 3, NAMED("file")},
    {.type = IMAGE_INODE, .number = 4, .mode = S_IFREG | 0600},
    {.type = IMAGE_SHARE, .number = 4, .content = 3},
    {.type = IMAGE_CLEAR, .number = 3},
    {.type = IMAGE_PATCH, .number = 3, .offset = 7, HAS("bytes")},
    {.type = IMAGE_UNLINK, .parent = 2, .number = 3, NAMED("file")},
    {.type = IMAGE_REMOVE, .parent = 1, NAMED("gone")},
    {.type = IMAGE_ENTRY, .parent = 1, .number = 3, NAMED("moved")},
    {.type = IMAGE_ENTRY, .parent = 1, .number = 4, NAMED("new")},
    {.type = IMAGE_DIGEST, .digest = digest},
    {.type = IMAGE_END, .number = 13},
};
#define SENT (sizeof sent / sizeof *sent)

/* Reads a record behind the first `before` of those; returns the error. */
static int read_behind(size_t before, const struct image_record *r)
{
    uint8_t buf[IMAGE_FIXED_MAX + 100], bytes[2 * IMAGE_FIXED_MAX];
    struct image_stream s, any = {.sent = true, .inodes = 9, .contents = 9, .found = 8};
    struct image_record got;
    size_t n, used;
    uint64_t sum;

    image_begin(&s, bytes);
    for (size_t i = 0; i < before; i++)
        (void)image_put(&s, &sent[i], bytes);
    /* `any` is a stream in which it may stand */
    any.records = r->type == IMAGE_BASE ? 0 : r->type == IMAGE_END ? r->number : 1;
    any.digested = r->type == IMAGE_END;
    any.sent = r->type != IMAGE_OPAQUE;
    if (r->type == IMAGE_END)
        any.inodes = s.inodes, any.contents = s.contents;
    if (r->type == IMAGE_FIND)
        any.inodes = r->number - 1, any.found = any.inodes - 1;
    n = image_put(&any, r, buf);
    if (r->len)
        memcpy(buf + n, r->data, r->len);
    sum = id_checksum(buf + 16, n - 16, id_checksum(buf, 8, s.sum));
    put_le64(buf + 8, r->len ? id_checksum(buf + n, r->len, sum) : sum);
    return image_next(&s, buf, n + r->len, &used, &got);
}

Test(image, what_is_sent_comes_back_as_it_was)
{
    struct image_stream s, t;
    struct image_record r;
    uint8_t buf[4096];
    size_t n, used;

    image_begin(&s, buf);
    t = s;
    for (size_t i = 0; i < SENT; i++) {
        n = image_put(&s, &sent[i], buf);
        if (sent[i].len)
            memcpy(buf + n, sent[i].data, sent[i].len);
        cr_assert_eq(image_next(&t, buf, n + sent[i].len, &used, &r), 0, "record %zu", i);
        cr_assert(same(&r, &sent[i]), "record %zu", i);
        cr_assert(!sent[i].digest || memcmp(r.digest, digest, SHA256_LEN) == 0, "record %zu", i);
    }
    cr_assert(t.ended && t.found == 2 && t.inodes == 4);
}

Test(image, a_record_of_what_is_sent_stands_only_where_it_may)
{
    for (size_t i = 0; i < SENT; i++)
        cr_assert_eq(read_behind(i, &sent[i]), 0, "record %zu is in its place", i);
    cr_assert_eq(read_behind(1, &sent[0]), -EUCLEAN, "a second base");
    for (size_t i = 2; i + 2 < SENT; i++)
        if (sent[i].type > IMAGE_END)
            cr_assert_eq(read_behind(0, &sent[i]), -EUCLEAN, "record %zu, and no base", i);
    cr_assert_eq(
        read_behind(
            5, &(struct image_record){.type = IMAGE_FIND, .parent = 1, .number = 5, NAMED("late")}),
        -EUCLEAN, "behind a new inode");
    cr_assert_eq(
        read_behind(
            4, &(struct image_record){.type = IMAGE_FIND, .parent = 1, .number = 6, NAMED("far")}),
        -EUCLEAN, "a number is left out");
    for (size_t i = 6; i <= 8; i++) { /* CLEAR, PATCH, UNLINK of an inode that is new */
        struct image_record r = sent[i];
        r.number = 4;
        cr_assert_eq(read_behind(6, &r), -EUCLEAN, "record %zu of a new inode", i);
    }
    cr_assert_eq(read_behind(6, &(struct image_record){.type = IMAGE_OPAQUE, .number = 1}),
                 -EUCLEAN);
    cr_assert_eq(read_behind(12, &sent[13]), -EUCLEAN, "an end without a digest");
    cr_assert_eq(read_behind(13, &sent[11]), -EUCLEAN, "a name behind the digest");
    cr_assert_eq(read_behind(13, &sent[12]), -EUCLEAN, "a second digest");
}

Test(image, the_rest_of_a_stream_says_where_it_begins)
{
    uint8_t head[IMAGE_REST_HEAD];
    uint64_t bytes, sum;

    image_put_rest(123456, UINT64_C(0xfedcba9876543210), head);
    cr_assert(image_get_rest(head, &bytes, &sum));
    cr_assert(bytes == 123456 && sum == UINT64_C(0xfedcba9876543210));
    head[3] ^= 1;
    cr_assert(!image_get_rest(head, &bytes, &sum));
}

Test(image, a_stream_that_is_cut_anywhere_asks_for_more)
{
    struct made m;
    int err;

    make(&m);
    for (size_t len = 0; len < m.len; len++) {
        read_all(m.bytes, len, &err);
        cr_assert_eq(err, -EAGAIN, "cut at %zu: %d", len, err);
    }
}

Test(image, a_byte_that_changed_anywhere_is_found_in_its_record)
{
    struct made m;
    size_t record = 0;
    int err;

    make(&m);
    for (size_t at = IMAGE_HEAD; at < m.len; at++) {
        while (at >= m.at[record + 1])
            record++;
        m.bytes[at] ^= 0x10;
        cr_assert_eq(read_all(m.bytes, m.len, &err), record, "byte %zu", at);
        cr_assert(err == -EUCLEAN || err == -EAGAIN, "byte %zu: %d", at, err);
        m.bytes[at] ^= 0x10;
    }
}

Test(image, a_record_that_is_lost_repeated_or_moved_is_found)
{
    struct made m, bad;
    size_t n;
    int err;

    make(&m);
    for (size_t i = 0; i + 1 < SAMPLES; i++) {
        n = m.at[i + 1] - m.at[i];
        bad = m; /* lost */
        memmove(bad.bytes + m.at[i], m.bytes + m.at[i + 1], m.len - m.at[i + 1]);
        cr_assert_eq(read_all(bad.bytes, m.len - n, &err), i, "record %zu is lost", i);
        cr_assert_eq(err, -EUCLEAN);
        bad = m; /* repeated */
        memmove(bad.bytes + m.at[i + 1] + n, m.bytes + m.at[i + 1], m.len - m.at[i + 1]);
        memcpy(bad.bytes + m.at[i + 1], m.bytes + m.at[i], n);
        cr_assert_eq(read_all(bad.bytes, m.len + n, &err), i + 1, "record %zu comes twice", i);
        cr_assert_eq(err, -EUCLEAN);
    }
}

Test(image, a_newer_version_is_told_from_damage)
{
    struct image_stream s;
    uint8_t head[IMAGE_HEAD];

    image_begin(&s, head);
    put_le32(head + 8, 2);
    cr_assert_eq(image_open(&s, head, sizeof head), -EUCLEAN);
    put_le64(head + 16, id_checksum(head, 16, 0));
    cr_assert_eq(image_open(&s, head, sizeof head), -EPROTO);
}

Test(image, names_are_bytes_that_stay_in_their_directory)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "/a"};
    char longest[257];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(!image_is_name(bad[i], strlen(bad[i])), "'%s'", bad[i]);
    cr_assert(!image_is_name("a\0b", 3));
    memset(longest, '\xfe', sizeof longest);
    cr_assert(image_is_name(longest, 255));
    cr_assert(!image_is_name(longest, 256));
    cr_assert(image_is_name("...", 3) && image_is_name(" ", 1) && image_is_name(".a", 2));
}

/* ---- records that no writer makes, with right sums ---- */

/* Puts the record behind a root and a content of 5 bytes; returns the error of reading it. */
static int read_forged(const struct image_record *r, void (*spoil)(uint8_t *record))
{
    static uint8_t buf[IMAGE_FIXED_MAX + 8192];
    struct image_stream s, t;
    struct image_record got;
    uint8_t head[IMAGE_FIXED_MAX];
    size_t n, used;
    uint64_t sum;

    image_begin(&s, head);
    (void)image_put(&s, &samples[0], head);
    (void)image_put(&s, &samples[1], head);
    t = s;
    n = image_put(&s, r, buf);
    if (r->len)
        memcpy(buf + n, r->data, r->len);
    spoil(buf);
    sum = id_checksum(buf + 16, n - 16, id_checksum(buf, 8, t.sum));
    put_le64(buf + 8, r->len ? id_checksum(buf + n, r->len, sum) : sum);
    return image_next(&t, buf, n + r->len, &used, &got);
}

static void spoil_nothing(uint8_t *b)
{
    (void)b;
}
static void number_0(uint8_t *b)
{
    put_le64(b + 16, 0);
}
static void number_9(uint8_t *b)
{
    put_le64(b + 16, 9);
}
static void type_0(uint8_t *b)
{
    put_le32(b + 4, 0);
}
static void type_8(uint8_t *b)
{
    put_le32(b + 4, 8);
}
static void second_1(uint8_t *b) /* the second field of 8 bytes */
{
    put_le64(b + 24, 1);
}
static void second_9(uint8_t *b)
{
    put_le64(b + 24, 9);
}
static void no_type(uint8_t *b)
{
    put_le32(b + 24, 0644);
}
static void mode_bit(uint8_t *b)
{
    put_le32(b + 24, S_IFREG | 01000000);
}
static void rdev_1(uint8_t *b)
{
    put_le32(b + 36, 1);
}
static void size_minus_1(uint8_t *b)
{
    put_le64(b + 48, UINT64_MAX);
}
static void content_2(uint8_t *b)
{
    put_le64(b + 56, 2);
}
static void name_slash(uint8_t *b)
{
    b[32] = '/';
}
static void name_dots(uint8_t *b)
{
    b[32] = b[33] = '.';
}
static void name_nul(uint8_t *b)
{
    b[33] = 0;
}
static void xattr_name_0(uint8_t *b)
{
    b[24] = 0;
}
static void flag_2(uint8_t *b)
{
    put_le32(b + 40, 2);
}
static void offset_5(uint8_t *b)
{
    put_le64(b + 32, 5);
}
static void length_0(uint8_t *b)
{
    put_le64(b + 24, 0);
}
static void implied(uint8_t *b)
{
    b[26] |= 1;
}
static void several(uint8_t *b)
{
    b[26] |= 2;
}
static void target_nul(uint8_t *b)
{
    b[64] = 0;
}

Test(image, what_no_writer_makes_is_refused_though_its_sum_is_right)
{
    static const struct image_record file = {
        .type = IMAGE_INODE, .number = 2, .mode = S_IFREG | 0644, .size = 5, .content = 1};
    static const struct image_record link = {
        .type = IMAGE_INODE, .number = 2, .mode = S_IFLNK, .size = 3, HAS("abc")};
    static const struct image_record xattr = {.type = IMAGE_XATTR, .number = 1, NAMED("user.a")};
    static const struct image_record content = {
        .type = IMAGE_CONTENT, .number = 2, .length = 6, HAS("other")};
    static const struct image_record again = {
        .type = IMAGE_INODE, .number = 1, .mode = S_IFDIR | 0700};
    static const struct image_record removed = {
        .type = IMAGE_REMOVE, .parent = 1, NAMED("12345678ab")};
    static const struct image_record end = {.type = IMAGE_END, .number = 2};
    static const struct {
        const struct image_record *r;
        void (*spoil)(uint8_t *record);
    } forged[] = {
        {&file, number_0},    {&file, number_9},    {&file, type_0},        {&file, type_8},
        {&file, no_type},     {&file, mode_bit},    {&file, rdev_1},        {&file, size_minus_1},
        {&file, content_2},   {&xattr, number_0},   {&xattr, number_9},     {&xattr, xattr_name_0},
        {&content, number_0}, {&content, number_9}, {&content, flag_2},     {&content, offset_5},
        {&content, length_0}, {&again, rdev_1},     {&link, target_nul},    {&link, size_minus_1},
        {&removed, number_0}, {&removed, number_9}, {&removed, name_slash}, {&removed, name_nul},
        {&end, number_9},     {&end, second_9},     {&file, implied},     {&link, implied},
        {&again, several},
    };

    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        cr_assert_eq(read_forged(forged[i].r, spoil_nothing), 0, "%zu", i);
        cr_assert_eq(read_forged(forged[i].r, forged[i].spoil), -EUCLEAN, "%zu", i);
    }
}

Test(image, an_entry_names_an_inode_that_came_before_and_is_not_the_root)
{
    static uint8_t buf[IMAGE_FIXED_MAX];
    static void (*const spoils[])(uint8_t *) = {number_0,   number_9,  second_1, second_9,
                                                name_slash, name_dots, name_nul};
    static const struct image_record two = {
        .type = IMAGE_INODE, .number = 2, .mode = S_IFDIR | 0755};
    static const struct image_record entry = {
        .type = IMAGE_ENTRY, .parent = 1, .number = 2, NAMED("ab")};
    struct image_stream s, t;
    struct image_record got;
    size_t n, used;

    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        image_begin(&s, buf);
        (void)image_put(&s, &samples[0], buf);
        (void)image_put(&s, &two, buf);
        t = s;
        n = image_put(&s, &entry, buf);
        spoils[i](buf);
        put_le64(buf + 8, id_checksum(buf + 16, n - 16, id_checksum(buf, 8, t.sum)));
        cr_assert_eq(image_next(&t, buf, n, &used, &got), -EUCLEAN, "%zu", i);
    }
}
