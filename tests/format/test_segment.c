// SPDX-License-Identifier: Apache-2.0
/* Claims of segment.h. */
#include "segment.h"

#include "bytes.h"
#include "fault.h"
#include "node.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 400

/* An item with the bytes that it borrows. */
struct made {
    struct segment_item item;
    uint8_t val[PAGE_VALUE_MAX];
    char name[ITEM_NAME_MAX];
};

/* ---- random items ---- */

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return (fault_random(seed) >> 11) % n;
}

static size_t random_name(uint64_t *seed, char name[ITEM_NAME_MAX])
{
    size_t len = 1 + (size_t)below(seed, ITEM_NAME_MAX);

    for (size_t i = 0; i < len; i++)
        name[i] = (char)('0' + below(seed, 78)); /* no dot, no slash, no NUL */
    return len;
}

static void random_content(uint64_t *seed, struct made *m)
{
    struct segment_content *c = &m->item.content;

    m->item.has_content = true;
    for (size_t i = 0; i < ID_LEN; i++)
        c->id.b[i] = (uint8_t)fault_random(seed);
    c->size = 1 + below(seed, 1 << 20);
    if (below(seed, 3) == 0) /* it is lost */
        return;
    c->in_pack = below(seed, 2);
    c->size = 1 + below(seed, c->in_pack ? 1 << 20 : UINT64_C(1) << 44);
    c->where = 1 + (fault_random(seed) >> 1);
    c->offset = c->in_pack ? 32 + 8 * (uint32_t)below(seed, 1 << 20) : 0;
}

static void random_inode(uint64_t *seed, struct made *m)
{
    struct inode in = {.mode = 0100644, .nlink = 1, .size = below(seed, 9), .atime = 3};

    in.mtime = (int64_t)fault_random(seed);
    if (below(seed, 2)) {
        in.object = SEGMENT_OBJECT;
        in.valid = 1;
        random_content(seed, m);
    }
    m->item.len = inode_encode(&in, m->val);
}

static void random_extent(uint64_t *seed, struct made *m)
{
    struct extent e = {SEGMENT_OBJECT, 1 + (uint32_t)below(seed, FILE_PAGE)};

    if (m->item.type == ITEM_EXTENT && below(seed, 2))
        e = (struct extent){0};
    else
        random_content(seed, m);
    extent_encode(&e, m->val);
    m->item.len = EXTENT_ITEM_LEN;
}

static void random_xattr(uint64_t *seed, struct made *m)
{
    static const char zeros[64];
    struct xattr_item x = {.name = m->name, .name_len = random_name(seed, m->name)};

    x.len = (size_t)below(seed, sizeof zeros);
    x.value = zeros;
    if (below(seed, 2)) {
        x.object = SEGMENT_OBJECT;
        x.len = XATTR_VALUE_MAX;
        random_content(seed, m);
    }
    m->item.len = xattr_encode(&x, m->val);
}

static void random_value(uint64_t *seed, struct made *m)
{
    struct segment_item *i = &m->item;

    i->val = m->val;
    switch (i->type) {
    case ITEM_INODE:
        random_inode(seed, m);
        break;
    case ITEM_SYMLINK:
        i->len = 1 + (size_t)below(seed, ITEM_SYMLINK_PIECE);
        memset(m->val, 's', i->len);
        break;
    case ITEM_DIRENT:
        i->len = dirent_encode(1 + below(seed, KEY_INO_MAX), DT_REG, m->name,
                               random_name(seed, m->name), m->val);
        break;
    case ITEM_XATTR:
        random_xattr(seed, m);
        break;
    case ITEM_HOLES:
        holes_encode(1 + (uint32_t)below(seed, UINT32_MAX), m->val);
        i->len = HOLES_ITEM_LEN;
        break;
    default:
        random_extent(seed, m);
    }
}

static uint64_t random_rest(uint64_t *seed, enum item_type type)
{
    switch (type) {
    case ITEM_SYMLINK:
        return below(seed, 3);
    case ITEM_EXTENT:
    case ITEM_HOLES:
        return below(seed, 1 << 20) * EXTENT_BLOCK;
    case ITEM_SUBBLOCK:
        return below(seed, 1 << 20) * FILE_PAGE;
    default:
        return 0;
    }
}

static void random_item(uint64_t *seed, bool may_be_gone, struct made *m)
{
    struct segment_item *i = &m->item;

    memset(m, 0, sizeof *m);
    i->type = (enum item_type)(ITEM_INODE + below(seed, ITEM_HOLES));
    i->ino = 1 + below(seed, KEY_INO_MAX);
    i->rest = random_rest(seed, i->type);
    i->gone = may_be_gone && below(seed, 3) == 0;
    if (!i->gone) {
        random_value(seed, m);
    } else if (i->type == ITEM_DIRENT || i->type == ITEM_XATTR) {
        i->name = m->name;
        i->name_len = random_name(seed, m->name);
    }
}

/* ---- items come back ---- */

static void assert_same(const struct segment_item *a, const struct segment_item *b)
{
    cr_assert(a->gone == b->gone && a->type == b->type && a->ino == b->ino && a->rest == b->rest);
    cr_assert(a->len == b->len && a->has_content == b->has_content);
    cr_assert(a->len == 0 || memcmp(a->val, b->val, a->len) == 0);
    cr_assert(id_equal(&a->content.id, &b->content.id) && a->content.size == b->content.size);
    cr_assert(a->content.in_pack == b->content.in_pack && a->content.where == b->content.where);
    cr_assert_eq(a->content.offset, b->content.offset);
}

/* The name of an item that was put is in its value. */
static void assert_name(const struct made *m, const struct segment_item *got)
{
    size_t len = got->type == ITEM_DIRENT || got->type == ITEM_XATTR ? strnlen(m->name, 255) : 0;

    cr_assert_eq(got->name_len, len);
    cr_assert(len ? memcmp(got->name, m->name, len) == 0 : !got->name);
}

Test(segment, items_come_back_one_behind_the_other)
{
    static struct made made[ITEMS];
    static uint8_t buf[ITEMS * SEGMENT_ITEM_MAX];
    struct segment_item got;
    uint64_t seed = 11;
    size_t len = 0, at = 0, n;

    for (size_t i = 0; i < ITEMS; i++) {
        random_item(&seed, true, &made[i]);
        n = segment_item_encode(&made[i].item, buf + len);
        cr_assert(n >= SEGMENT_ITEM_MIN && n <= SEGMENT_ITEM_MAX);
        cr_assert_eq(segment_item_size(buf + len), n, "item %zu", i);
        len += n;
    }
    for (size_t i = 0; i < ITEMS; i++) {
        cr_assert_eq(segment_item_next(buf, len, &at, &got), 0, "item %zu", i);
        assert_same(&got, &made[i].item);
        assert_name(&made[i], &got);
    }
    cr_assert_eq(at, len);
    cr_assert_eq(segment_item_next(buf, len, &at, &got), -ENOENT);
}

Test(segment, the_smallest_and_the_largest_item_have_the_lengths_of_the_header)
{
    static uint8_t buf[SEGMENT_ITEM_MAX], val[PAGE_VALUE_MAX], value[PAGE_VALUE_MAX];
    struct segment_item i = {.gone = true, .type = ITEM_INODE, .ino = KEY_INO_MAX};
    struct xattr_item x = {.name = "n", .name_len = 1, .value = value};

    cr_assert_eq(segment_item_encode(&i, buf), SEGMENT_ITEM_MIN);
    x.len = XATTR_ITEM_MAX - 3;
    i = (struct segment_item){.type = ITEM_XATTR, .ino = 1, .val = val};
    i.len = xattr_encode(&x, val);
    cr_assert_eq(segment_item_encode(&i, buf), SEGMENT_ITEM_MAX);
}

/* Decodes bytes that are alone in their memory, so that a read behind them is seen. */
static int decode_alone(const uint8_t *buf, size_t len, struct segment_item *ret)
{
    uint8_t *copy = malloc(len ? len : 1), again[SEGMENT_ITEM_MAX];
    size_t at = 0;
    int err;

    cr_assert_not_null(copy);
    memcpy(copy, buf, len);
    err = segment_item_next(copy, len, &at, ret);
    cr_assert_eq(at == 0, err < 0);
    if (err == 0) /* an item has one encoding only */
        cr_assert(segment_item_encode(ret, again) == at && memcmp(copy, again, at) == 0);
    free(copy);
    return err;
}

Test(segment, an_item_that_is_cut_off_is_refused_and_one_that_changed_is_refused_or_another)
{
    uint64_t seed = 12;
    uint8_t buf[SEGMENT_ITEM_MAX];
    struct segment_item got;
    struct made m;
    size_t len;

    for (int turn = 0; turn < 200; turn++) {
        random_item(&seed, true, &m);
        len = segment_item_encode(&m.item, buf);
        for (size_t n = 1; n < len; n++)
            cr_assert_eq(decode_alone(buf, n, &got), -EUCLEAN, "%zu of %zu bytes", n, len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            buf[bit / 8] = (uint8_t)(buf[bit / 8] ^ 1 << bit % 8);
            int err = decode_alone(buf, len, &got);

            cr_assert(err == 0 || err == -EUCLEAN, "bit %zu: %d", bit, err);
            buf[bit / 8] = (uint8_t)(buf[bit / 8] ^ 1 << bit % 8);
        }
    }
}

/* ---- items that no writer makes ---- */

static struct segment_item sample(enum item_type type, const void *val, size_t len)
{
    struct segment_item i = {.type = type, .ino = 7, .val = val, .len = len};

    i.has_content = type == ITEM_SUBBLOCK;
    i.content = (struct segment_content){.size = 9, .in_pack = true, .where = 5, .offset = 40};
    if (!i.has_content)
        i.content = (struct segment_content){0};
    return i;
}

/* The error of decoding the item after `width` bytes at `at` became `value`. */
static int spoiled(const struct segment_item *i, size_t at, size_t width, uint64_t value)
{
    uint8_t buf[SEGMENT_ITEM_MAX + 8], v[8];
    struct segment_item got;
    size_t len = segment_item_encode(i, buf);

    put_le64(v, value);
    memcpy(buf + at, v, width);
    return decode_alone(buf, len, &got);
}

Test(segment, fields_of_an_item_out_of_their_range_are_refused)
{
    static const uint8_t map[] = {1, 0, 0, 0}, sub[] = {1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0};
    struct segment_item holes = sample(ITEM_HOLES, map, sizeof map);
    struct segment_item extent = sample(ITEM_SUBBLOCK, sub, sizeof sub);
    struct segment_item gone = {.gone = true, .type = ITEM_EXTENT, .ino = 7}, inode;
    struct segment_item lost = extent;
    uint8_t val[INODE_ITEM_MAX];
    const struct {
        const struct segment_item *i;
        size_t at, width;
        uint64_t good, bad;
    } fields[] = {
        {&inode, 2, 1, ITEM_INODE, ITEM_INODE + 64}, /* type: 6 bits alone go into a key */
        {&holes, 2, 1, ITEM_HOLES, 0},
        {&holes, 3, 1, 0, 1}, /* flags */
        {&holes, 3, 1, 0, 4}, /* in a pack, without a content */
        {&holes, 3, 1, 0, 8},
        {&holes, 4, 8, KEY_INO_MAX, KEY_INO_MAX + 1},
        {&holes, 4, 8, 1, 0},
        {&holes, 12, 8, EXTENT_BLOCK, FILE_PAGE}, /* rest */
        {&gone, 12, 8, EXTENT_BLOCK, FILE_PAGE},
        {&holes, 20, 4, 5, 0}, /* the map */
        {&extent, 3, 1, 6, 2}, /* in a file, with an offset */
        {&lost, 3, 1, 2, 6},   /* lost, and in a pack */
        {&lost, 52, 4, 0, 8},  /* lost, with an offset */
        {&lost, 36, 8, UINT64_C(1) << 44, 0},
        {&lost, 36, 8, UINT64_C(1) << 44, (UINT64_C(1) << 44) + 1},
        {&extent, 12, 8, FILE_PAGE, 512},
        {&extent, 36, 8, 1 << 20, 0}, /* size */
        {&extent, 36, 8, 1 << 20, (1 << 20) + 1},
        {&extent, 44, 8, UINT64_MAX, 0}, /* number: in a pack, and nowhere */
        {&extent, 52, 4, 32, 24},        /* offset */
        {&extent, 52, 4, 32, 33},
        {&extent, 56, 8, SEGMENT_OBJECT, SEGMENT_OBJECT + 1}, /* the value */
        {&extent, 56, 8, SEGMENT_OBJECT, 0},
    };

    lost.content = (struct segment_content){.size = 9};
    inode = sample(ITEM_INODE, val, inode_encode(&(struct inode){.nlink = 1}, val));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        cr_assert_eq(spoiled(fields[i].i, fields[i].at, fields[i].width, fields[i].good), 0, "%zu",
                     i);
        cr_assert_eq(spoiled(fields[i].i, fields[i].at, fields[i].width, fields[i].bad), -EUCLEAN,
                     "%zu", i);
    }
}

Test(segment, an_item_names_an_object_if_and_only_if_it_has_a_content)
{
    static const uint8_t sub[] = {1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0}, hole[12];
    struct segment_item i = sample(ITEM_SUBBLOCK, sub, sizeof sub), got;
    uint8_t buf[SEGMENT_ITEM_MAX];
    size_t len;

    i.type = ITEM_EXTENT;
    len = segment_item_encode(&i, buf);
    cr_assert_eq(decode_alone(buf, len, &got), 0);
    memcpy(buf + len - sizeof hole, hole, sizeof hole);
    cr_assert_eq(decode_alone(buf, len, &got), -EUCLEAN, "a content that nothing names");
    i = sample(ITEM_EXTENT, hole, sizeof hole);
    len = segment_item_encode(&i, buf);
    cr_assert_eq(decode_alone(buf, len, &got), 0);
    memcpy(buf + len - sizeof sub, sub, sizeof sub);
    cr_assert_eq(decode_alone(buf, len, &got), -EUCLEAN, "an object that is nowhere");
}

/* Decodes an item of that type with this name instead of one of the same length. */
static int named(enum item_type type, bool gone, const char *name, size_t len)
{
    uint8_t buf[SEGMENT_ITEM_MAX], val[PAGE_VALUE_MAX];
    struct segment_item i = {.gone = gone, .type = type, .ino = 7}, got;
    char usual[ITEM_NAME_MAX];
    struct xattr_item x = {.name = usual, .name_len = len};

    memset(usual, 'n', sizeof usual);
    i.name = gone ? usual : NULL;
    i.name_len = gone ? len : 0;
    i.val = gone ? NULL : val;
    if (!gone)
        i.len =
            type == ITEM_XATTR ? xattr_encode(&x, val) : dirent_encode(9, DT_REG, usual, len, val);
    size_t n = segment_item_encode(&i, buf);

    cr_assert_eq(decode_alone(buf, n, &got), 0);
    memcpy(buf + n - len, name, len);
    return decode_alone(buf, n, &got);
}

Test(segment, names_of_files_stay_in_their_directory)
{
    for (int gone = 0; gone < 2; gone++) {
        cr_assert_eq(named(ITEM_DIRENT, gone, "...", 3), 0);
        cr_assert_eq(named(ITEM_DIRENT, gone, ".", 1), -EUCLEAN);
        cr_assert_eq(named(ITEM_DIRENT, gone, "..", 2), -EUCLEAN);
        cr_assert_eq(named(ITEM_DIRENT, gone, "a/b", 3), -EUCLEAN);
        cr_assert_eq(named(ITEM_DIRENT, gone, "a\0b", 3), -EUCLEAN);
        cr_assert_eq(named(ITEM_XATTR, gone, "a/b", 3), 0);
        cr_assert_eq(named(ITEM_XATTR, gone, "..", 2), 0);
        cr_assert_eq(named(ITEM_XATTR, gone, "a\0b", 3), -EUCLEAN);
    }
}

Test(segment, an_item_that_is_gone_has_a_name_if_its_type_has_one_and_nothing_else)
{
    static const struct segment_item entry = {
        .gone = true, .type = ITEM_DIRENT, .ino = 7, .name = "n", .name_len = 1};
    static const enum item_type others[] = {ITEM_INODE, ITEM_SYMLINK, ITEM_HOLES};
    uint8_t buf[SEGMENT_ITEM_MAX + 1];
    struct segment_item i, got;
    size_t len = segment_item_encode(&entry, buf);

    put_le16(buf, (uint16_t)(len - 1));
    cr_assert_eq(decode_alone(buf, len - 1, &got), -EUCLEAN, "no name");
    for (size_t n = 0; n < sizeof others / sizeof *others; n++) {
        i = (struct segment_item){.gone = true, .type = others[n], .ino = 7};
        len = segment_item_encode(&i, buf);
        put_le16(buf, (uint16_t)(len + 1));
        buf[len] = 'n';
        cr_assert_eq(decode_alone(buf, len + 1, &got), -EUCLEAN, "type %d", others[n]);
    }
}

Test(segment, the_length_of_an_item_is_in_bounds_or_damage)
{
    uint8_t buf[SEGMENT_ITEM_PEEK];
    size_t size;

    for (unsigned n = 0; n <= UINT16_MAX; n++) {
        put_le16(buf, (uint16_t)n);
        size = segment_item_size(buf);
        cr_assert_eq(size, n < SEGMENT_ITEM_MIN || n > SEGMENT_ITEM_MAX ? 0 : n);
    }
}

/* ---- the state sum ---- */

static void sum_all(const struct made *made, size_t n, size_t first, uint8_t *state)
{
    memset(state, 0, SEGMENT_STATE_LEN);
    for (size_t i = 0; i < n; i++)
        segment_state_add(state, &made[(first + i) % n].item);
}

Test(segment, the_state_sum_does_not_depend_on_the_order_and_ends_at_zero_again)
{
    static struct made made[ITEMS];
    static const uint8_t zeros[SEGMENT_STATE_LEN];
    uint8_t a[SEGMENT_STATE_LEN], b[SEGMENT_STATE_LEN];
    uint64_t seed = 13;

    for (size_t i = 0; i < ITEMS; i++)
        random_item(&seed, false, &made[i]);
    sum_all(made, ITEMS, 0, a);
    for (size_t first = 1; first < ITEMS; first += 37) {
        sum_all(made, ITEMS, first, b);
        cr_assert_arr_eq(a, b, sizeof a);
    }
    cr_assert_arr_neq(a, zeros, sizeof a);
    for (size_t i = 0; i < ITEMS; i++) {
        segment_state_take(b, &made[(i * 7) % ITEMS].item); /* 7 and 400 have no common divisor */
        cr_assert_eq(memcmp(b, zeros, sizeof b) == 0, i == ITEMS - 1, "item %zu", i);
    }
}

static void sum_one(const struct segment_item *i, uint8_t state[SEGMENT_STATE_LEN])
{
    memset(state, 0, SEGMENT_STATE_LEN);
    segment_state_add(state, i);
}

Test(segment, the_sum_carries_from_its_low_half_to_its_high_half_and_back)
{
    static const uint8_t map[] = {1, 0, 0, 0}, zeros[SEGMENT_STATE_LEN];
    struct segment_item i = sample(ITEM_HOLES, map, sizeof map);
    uint8_t one[SEGMENT_STATE_LEN], state[SEGMENT_STATE_LEN];

    sum_one(&i, one);
    put_le64(state, 0 - get_le64(one)); /* what is missing to 2^128 */
    put_le64(state + 8, ~get_le64(one + 8));
    segment_state_add(state, &i);
    cr_assert_arr_eq(state, zeros, sizeof state);
    segment_state_take(state, &i);
    cr_assert_eq(get_le64(state), 0 - get_le64(one));
    cr_assert_eq(get_le64(state + 8), ~get_le64(one + 8));
}

Test(segment, the_sum_sees_all_of_an_item_but_the_place_of_its_content)
{
    static const uint8_t sub[] = {1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0};
    static const uint8_t other[] = {1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0};
    const struct segment_item i = sample(ITEM_SUBBLOCK, sub, sizeof sub);
    struct segment_item all[6];
    uint8_t a[SEGMENT_STATE_LEN], b[SEGMENT_STATE_LEN];

    for (size_t n = 0; n < 6; n++)
        all[n] = i;
    all[0].type = ITEM_EXTENT;
    all[1].ino++;
    all[2].rest = FILE_PAGE;
    all[3].val = other;
    all[4].content.id.b[15] = 1;
    all[5].content.size++;
    sum_one(&i, a);
    for (size_t n = 0; n < 6; n++) {
        sum_one(&all[n], b);
        cr_assert_arr_neq(a, b, sizeof a, "%zu", n);
    }
    all[0] = i;
    all[0].content.in_pack = false;
    all[0].content.offset = 0;
    for (uint64_t where = 0; where < 78; where += 77) { /* 0: it is lost */
        all[0].content.where = where;
        sum_one(&all[0], b);
        cr_assert_arr_eq(a, b, sizeof a);
    }
}

Test(segment, the_sum_of_an_item_is_that_of_the_format)
{
    static const uint8_t sub[] = {1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0};
    static const uint8_t text[2 + 8 + 8 + ID_LEN + 8 + sizeof sub] = {
        [0] = ITEM_SUBBLOCK, [1] = 1, [2] = 7, [34] = 9, [42] = 1, [50] = 9};
    const struct segment_item i = sample(ITEM_SUBBLOCK, sub, sizeof sub);
    uint8_t state[SEGMENT_STATE_LEN];
    uint64_t sum[2];

    sum_one(&i, state);
    id_checksum_128(text, sizeof text, sum);
    cr_assert_eq(get_le64(state), sum[0]);
    cr_assert_eq(get_le64(state + 8), sum[1]);
}

/* ---- fronts ---- */

#define HEAD 192
#define SECTION 132 /* bytes of a section of kind CHANGE before its name */
#define SUM 8

static struct segment_section sections[] = {
    {.kind = SECTION_CHANGE,
     .is = {3, 1, 70, 1000},
     .state = {1, 2, 0xff},
     .name = "project",
     .frozen = true,
     .own_ino = KEY_INO_MAX + 1,
     .inodes = 7,
     .bytes = 512,
     .lost = 3,
     .items = 2,
     .len = 2 * SEGMENT_ITEM_MIN},
    {.kind = SECTION_GONE, .is = {4, 2, 71, -1}, .name = "old", .offset = 2 * SEGMENT_ITEM_MIN},
    {.kind = SECTION_CHANGE,
     .is = {VFS_NS_MAX, UINT32_MAX, UINT64_MAX, INT64_MAX},
     .from = {3, 1, 60, 900},
     .from_at = {2, 8},
     .name = "b",
     .inodes = UINT64_MAX,
     .bytes = UINT64_MAX,
     .items = 1,
     .offset = 2 * SEGMENT_ITEM_MIN,
     .len = 13},
};
static struct segment_name names[] = {
    {.ns = 1, .generation = 9, .seq = 5, .at = {1, UINT64_MAX}, .name = "first"},
    {.ns = 3, .generation = 1, .seq = 70, .at = {2, 9}, .name = "project"},
    {.ns = VFS_NS_MAX, .seq = UINT64_MAX, .at = {2, 9}, .name = "b"},
};
static const struct segment_front usual = {
    .head = {.lineage = 1,
             .at = {2, 9},
             .token = {5},
             .before = {2, 8},
             .before_sum = {6},
             .time = -3,
             .seq = 72,
             .packs_below = 10,
             .retain_seen = 11,
             .sections = 3,
             .names = 3,
             .has_names = true,
             .items_len = 2 * SEGMENT_ITEM_MIN + 13,
             .items_sum = {7}},
    .sections = sections,
    .names = names,
};

/* The bytes of the segment, with zeros as items if it has no body; the caller frees them. */
static uint8_t *encode(const struct segment_front *f, size_t *ret_len)
{
    struct strbuf out = STRBUF_INIT;
    uint8_t *bytes;

    cr_assert_eq(segment_front_encode(f, &out), 0);
    for (uint64_t i = 0; !f->head.has_body && i < f->head.items_len; i++)
        strbuf_add(&out, "", 1);
    bytes = (uint8_t *)strbuf_detach(&out, ret_len);
    cr_assert_not_null(bytes);
    return bytes;
}

/* Decodes; what was decoded is encoded again, and must be the same front. */
static int decode_front(const uint8_t *bytes, size_t len)
{
    struct segment_front f = {.head.seq = 99};
    size_t used = 99;
    uint8_t *copy = malloc(len ? len : 1);
    struct strbuf again = STRBUF_INIT;
    int err;

    cr_assert_not_null(copy);
    memcpy(copy, bytes, len);
    err = segment_front_decode(copy, len, &f, &used);
    free(copy);
    if (err < 0) {
        cr_assert(f.head.seq == 99 && used == 99 && !f.sections && !f.names);
        return err;
    }
    cr_assert_eq(segment_front_encode(&f, &again), 0);
    cr_assert(again.len == used && used <= len && memcmp(again.s, bytes, used) == 0);
    strbuf_release(&again);
    segment_front_release(&f);
    segment_front_release(&f);
    return 0;
}

static int round_trip(const struct segment_front *f)
{
    size_t len;
    uint8_t *bytes = encode(f, &len);
    int err = decode_front(bytes, len);

    free(bytes);
    return err;
}

static void assert_same_section(const struct segment_section *a, const struct segment_section *b)
{
    cr_assert(a->kind == b->kind && a->frozen == b->frozen && a->own_ino == b->own_ino);
    cr_assert(a->is.ns == b->is.ns && a->is.generation == b->is.generation);
    cr_assert(a->is.seq == b->is.seq && a->is.since == b->is.since);
    cr_assert(a->from.ns == b->from.ns && a->from.generation == b->from.generation);
    cr_assert(a->from.seq == b->from.seq && a->from.since == b->from.since);
    cr_assert_eq(segment_pos_compare(a->from_at, b->from_at), 0);
    cr_assert_arr_eq(a->state, b->state, SEGMENT_STATE_LEN);
    cr_assert_str_eq(a->name, b->name);
    cr_assert(a->inodes == b->inodes && a->bytes == b->bytes && a->items == b->items);
    cr_assert_eq(a->lost, b->lost);
    cr_assert(a->offset == b->offset && a->len == b->len);
}

static void assert_same_head(const struct front_head *a, const struct front_head *b)
{
    cr_assert(a->lineage == b->lineage && a->time == b->time && a->seq == b->seq);
    cr_assert_eq(segment_pos_compare(a->at, b->at), 0);
    cr_assert_eq(segment_pos_compare(a->before, b->before), 0);
    cr_assert_arr_eq(a->token, b->token, SEGMENT_TOKEN_LEN);
    cr_assert_arr_eq(a->before_sum, b->before_sum, SHA256_LEN);
    cr_assert(a->packs_below == b->packs_below && a->retain_seen == b->retain_seen);
    cr_assert(a->sections == b->sections && a->names == b->names);
    cr_assert(a->has_names == b->has_names && a->has_body == b->has_body);
    cr_assert_eq(a->items_len, b->items_len);
    cr_assert_arr_eq(a->items_sum, b->items_sum, SHA256_LEN);
}

Test(segment, a_front_comes_back_with_all_its_fields)
{
    struct segment_front f;
    size_t len, used;
    uint8_t *bytes = encode(&usual, &len);

    cr_assert_eq(segment_front_decode(bytes, len, &f, &used), 0);
    cr_assert_eq(used, len - usual.head.items_len);
    assert_same_head(&f.head, &usual.head);
    for (size_t i = 0; i < 3; i++) {
        assert_same_section(&f.sections[i], &sections[i]);
        cr_assert(f.names[i].ns == names[i].ns && f.names[i].generation == names[i].generation);
        cr_assert_eq(f.names[i].seq, names[i].seq);
        cr_assert_eq(segment_pos_compare(f.names[i].at, names[i].at), 0);
        cr_assert_str_eq(f.names[i].name, names[i].name);
    }
    segment_front_release(&f);
    free(bytes);
}

Test(segment, a_front_is_added_behind_what_a_buffer_has)
{
    struct strbuf out = STRBUF_INIT;
    struct segment_front f;
    size_t used;

    strbuf_adds(&out, "before");
    cr_assert_eq(segment_front_encode(&usual, &out), 0);
    strbuf_add(&out, (char[2 * SEGMENT_ITEM_MIN + 13]){0}, usual.head.items_len);
    cr_assert_eq(segment_front_decode(out.s + 6, out.len - 6, &f, &used), 0);
    segment_front_release(&f);
    strbuf_release(&out);
    out.most = 100;
    cr_assert_eq(segment_front_encode(&usual, &out), -E2BIG);
    strbuf_release(&out);
}

Test(segment, fronts_without_sections_names_or_items_come_back)
{
    struct segment_front f = usual;
    static struct segment_section long_name;

    f.head.names = 0; /* the root has no namespace */
    cr_assert_eq(round_trip(&f), 0);
    f.head.has_names = false;
    cr_assert_eq(round_trip(&f), 0);
    f.head.has_body = true;
    cr_assert_eq(round_trip(&f), 0);
    f.head.sections = 0;
    f.head.has_body = false;
    f.head.items_len = 0;
    cr_assert_eq(round_trip(&f), 0);
    f.head.before = (struct segment_pos){0};
    memset(f.head.before_sum, 0, sizeof f.head.before_sum);
    cr_assert_eq(round_trip(&f), 0);
    long_name = (struct segment_section){.kind = SECTION_GONE, .is.ns = 1};
    memset(long_name.name, '\xff', SECTION_NAME_MAX);
    f.sections = &long_name;
    f.head.sections = 1;
    cr_assert_eq(round_trip(&f), 0);
}

Test(segment, a_front_that_is_cut_off_or_changed_anywhere_is_damage)
{
    size_t len, front;
    uint8_t *bytes = encode(&usual, &len);

    front = len - (size_t)usual.head.items_len;
    for (size_t n = 0; n < len; n++)
        cr_assert_eq(decode_front(bytes, n), -EUCLEAN, "%zu bytes", n);
    for (size_t bit = 0; bit < 8 * front; bit++) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
        cr_assert_eq(decode_front(bytes, len), -EUCLEAN, "bit %zu", bit);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    bytes = realloc(bytes, len + 1);
    cr_assert_not_null(bytes);
    bytes[len] = 0;
    cr_assert_eq(decode_front(bytes, len + 1), -EUCLEAN, "a byte too many");
    free(bytes);
}

/* Makes the checksum fit. */
static void seal(uint8_t *bytes, size_t front)
{
    put_le64(bytes + front - SUM, id_checksum(bytes, front - SUM, 0));
}

Test(segment, a_changed_bit_with_a_right_checksum_is_refused_or_another_front)
{
    size_t len, front;
    uint8_t *bytes = encode(&usual, &len);
    int err;

    front = len - (size_t)usual.head.items_len;
    for (size_t bit = 0; bit < 8 * (front - SUM); bit++) {
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
        seal(bytes, front);
        err = decode_front(bytes, len);
        cr_assert(err == 0 || err == -EUCLEAN || err == -EPROTO, "bit %zu: %d", bit, err);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    free(bytes);
}

/* The error of decoding a front after `width` bytes at `at` became `value`. */
static int spoiled_other(const struct segment_front *f, size_t at, size_t width, uint64_t value)
{
    size_t len, front;
    uint8_t *bytes = encode(f, &len), v[8];
    int err;

    front = len - (f->head.has_body ? 0 : (size_t)f->head.items_len);
    put_le64(v, value);
    memcpy(bytes + at, v, width);
    seal(bytes, front);
    err = decode_front(bytes, len);
    free(bytes);
    return err;
}

static int spoiled_front(size_t at, size_t width, uint64_t value)
{
    return spoiled_other(&usual, at, width, value);
}

#define GONE (HEAD + SECTION + 7)         /* where the second section begins, */
#define BRANCH (GONE + 28 + 3)            /* the third one, */
#define FIRST_NAME (BRANCH + SECTION + 1) /* and the names */

Test(segment, fields_of_a_front_out_of_their_range_are_refused)
{
    static const struct {
        size_t at, width;
        uint64_t good, bad;
    } fields[] = {
        {12, 4, 1, 5},          /* flags: an unknown one */
        {12, 4, 1, 0},          /* names that should not be there */
        {12, 4, 1, 3},          /* a body, and items */
        {24, 4, UINT32_MAX, 0}, /* lineage */
        {28, 4, 0, 1},
        {32, 8, 2, 0}, /* its place */
        {40, 8, UINT64_MAX, 0},
        {40, 8, 9, 8}, /* not behind the one before it */
        {56, 8, 1, 9},
        {56, 8, 1, 0},  /* half a place */
        {64, 1, 1, 0},  /* one before it, without its hash */
        {144, 4, 3, 2}, /* sections */
        {144, 4, 3, UINT32_MAX},
        {148, 4, 3, 2}, /* names */
        {148, 4, 3, UINT32_MAX},
        {152, 8, 37, 36}, /* bytes of all items */
        {152, 8, 37, 38},
        {HEAD, 1, SECTION_CHANGE, 0},
        {HEAD, 1, SECTION_CHANGE, SECTION_GONE},
        {HEAD, 1, SECTION_CHANGE, 3},
        {HEAD + 1, 1, 0, 2}, /* flags */
        {HEAD + 2, 1, 7, 6}, /* length of the name */
        {HEAD + 2, 1, 7, 255},
        {HEAD + 3, 1, 0, 1},
        {HEAD + 4, 4, 1, 0}, /* ns */
        {HEAD + 4, 4, VFS_NS_MAX, VFS_NS_MAX + 1},
        {HEAD + 28, 4, 0, 1}, /* from, which is in no segment */
        {HEAD + 32, 4, 0, 1}, /* a generation of an empty tree */
        {HEAD + 36, 8, 0, 1},
        {HEAD + 44, 8, 0, 1},
        {HEAD + 52, 8, 0, 1},                             /* a segment that nothing is in */
        {HEAD + 84, 8, KEY_INO_MAX + 1, KEY_INO_MAX + 2}, /* own_ino */
        {HEAD + 92, 8, 0, UINT64_MAX},                    /* inodes not counted, but bytes */
        {HEAD + 116, 8, 2, 3},                            /* too many items for their bytes */
        {HEAD + 116, 8, 2, 0},                            /* too few */
        {HEAD + 124, 8, 24, 25},                          /* bytes of them */
        {HEAD + 124, 8, 24, UINT64_MAX - 12},
        {HEAD + SECTION + 1, 1, '.', '/'},
        {HEAD + SECTION + 1, 1, '.', 0},
        {GONE, 1, SECTION_GONE, 3},
        {GONE + 1, 1, 0, 1},                 /* frozen, and gone */
        {BRANCH + 28, 4, 5, VFS_NS_MAX + 1}, /* from */
        {BRANCH + 52, 8, 2, 0},              /* its segment */
        {BRANCH + 52, 8, 1, 3},
        {BRANCH + 60, 8, 8, 9},
        {BRANCH + 60, 8, 8, 0},
        {BRANCH + SECTION, 1, '-', '.'}, /* the name "." */
        {FIRST_NAME, 4, 2, 0},           /* ns */
        {FIRST_NAME, 4, 2, 3},           /* that of the next one */
        {FIRST_NAME, 4, 2, 4},           /* not ascending */
        {FIRST_NAME + 16, 8, 1, 0},      /* its segment */
        {FIRST_NAME + 16, 8, 1, 3},      /* one that is not there yet */
        {FIRST_NAME + 24, 8, 1, 0},
        {FIRST_NAME + 32, 1, 5, 4}, /* length */
        {FIRST_NAME + 32, 1, 5, 0},
        {FIRST_NAME + 33, 1, '.', '/'},
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        cr_assert_eq(spoiled_front(fields[i].at, fields[i].width, fields[i].good), 0, "%zu", i);
        cr_assert_eq(spoiled_front(fields[i].at, fields[i].width, fields[i].bad), -EUCLEAN, "%zu",
                     i);
    }
}

Test(segment, the_first_segment_has_a_place_and_its_namespaces_have_numbers)
{
    static struct segment_section gone = {.kind = SECTION_GONE, .is.ns = 1, .name = "n"};
    const struct segment_front first = {.head = {.lineage = 1, .at = {3, 4}, .sections = 1},
                                        .sections = &gone};

    cr_assert_eq(spoiled_other(&first, 32, 8, 1), 0);
    cr_assert_eq(spoiled_other(&first, 32, 8, 0), -EUCLEAN);
    cr_assert_eq(spoiled_other(&first, 40, 8, 0), -EUCLEAN);
    cr_assert_eq(spoiled_other(&first, HEAD + 4, 4, 2), 0);
    cr_assert_eq(spoiled_other(&first, HEAD + 4, 4, 0), -EUCLEAN);
}

Test(segment, a_body_has_the_items_of_the_sections_and_no_others)
{
    struct segment_front f = usual;

    f.head.has_body = true;
    cr_assert_eq(spoiled_other(&f, 152, 8, 37), 0);
    cr_assert_eq(spoiled_other(&f, 152, 8, 38), -EUCLEAN);
    f.head = (struct front_head){.lineage = 1, .at = {3, 4}};
    cr_assert_eq(spoiled_other(&f, 12, 4, 0), 0);
    cr_assert_eq(spoiled_other(&f, 12, 4, 2), -EUCLEAN, "a body without a byte");
}

Test(segment, bytes_of_items_that_overflow_are_refused)
{
    const uint64_t half = UINT64_C(1) << 63;
    size_t len, front;
    uint8_t *bytes = encode(&usual, &len);

    front = len - (size_t)usual.head.items_len;
    put_le64(bytes + HEAD + 108, half / 20); /* both sections together have 37 again */
    put_le64(bytes + HEAD + 116, half);
    put_le64(bytes + BRANCH + 108, half / 20);
    put_le64(bytes + BRANCH + 116, half + 37);
    seal(bytes, front);
    cr_assert_eq(decode_front(bytes, len), -EUCLEAN);
    free(bytes);
}

Test(segment, many_sections_in_a_short_front_take_no_memory)
{
    cr_assert_eq(spoiled_front(144, 8, UINT64_MAX), -EUCLEAN);
}

Test(segment, a_newer_version_is_told_from_damage)
{
    cr_assert_eq(spoiled_front(8, 4, 1), 0);
    cr_assert_eq(spoiled_front(8, 4, 2), -EPROTO);
    cr_assert_eq(spoiled_front(8, 4, 0), -EUCLEAN);
    cr_assert_eq(spoiled_front(0, 1, 'X'), -EUCLEAN);
}

Test(segment, a_front_that_says_it_is_longer_or_shorter_than_it_is_is_damage)
{
    size_t len, front;
    uint8_t *bytes = encode(&usual, &len);
    const uint64_t lengths[] = {0, HEAD + SUM - 1, HEAD + SUM, 1 + (uint64_t)len, UINT64_MAX};

    front = len - (size_t)usual.head.items_len;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_le64(bytes + 16, lengths[i]);
        seal(bytes, lengths[i] >= HEAD + SUM && lengths[i] <= len ? (size_t)lengths[i] : front);
        cr_assert_eq(decode_front(bytes, len), -EUCLEAN, "%zu", i);
    }
    free(bytes);
}

Test(segment, a_segment_with_a_body_has_no_items_of_its_own)
{
    struct segment_front f = usual;
    size_t len;
    uint8_t *bytes;

    f.head.has_body = true;
    bytes = encode(&f, &len);
    cr_assert_eq(decode_front(bytes, len), 0);
    bytes = realloc(bytes, len + 1);
    cr_assert_not_null(bytes);
    bytes[len] = 0;
    cr_assert_eq(decode_front(bytes, len + 1), -EUCLEAN);
    put_le64(bytes + 152, 0);
    seal(bytes, len);
    cr_assert_eq(decode_front(bytes, len), -EUCLEAN);
    free(bytes);
}

Test(segment, places_are_ordered_by_epoch_and_then_by_serial)
{
    static const struct segment_pos p[] = {{1, 1}, {1, 9}, {2, 1}, {2, UINT64_MAX}};

    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++) {
            int c = segment_pos_compare(p[a], p[b]);

            cr_assert(a < b ? c < 0 : a > b ? c > 0 : c == 0);
        }
}
