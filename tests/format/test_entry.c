// SPDX-License-Identifier: Apache-2.0
/* Claims of entry.h. */
#include "entry.h"

#include "bytes.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* One of each kind, every field at its largest. */
static const struct entry kinds[] = {
    {.kind = ENTRY_NONE, .count = UINT32_MAX, .id = {{1, 2, 3}}},
    {.kind = ENTRY_NEW, .count = 3},
    {.kind = ENTRY_SLOT, .count = 1, .size = UINT64_MAX},
    {.kind = ENTRY_HELD, .count = 3, .size = 131072},
    {.kind = ENTRY_PACK,
     .count = 7,
     .size = UINT32_MAX,
     .id = {{9}},
     .where = (UINT64_C(1) << 40) - 1,
     .offset = UINT32_MAX},
    {.kind = ENTRY_PACK, .size = 1, .id = {{9}}, .where = UINT64_C(1) << 40, .offset = 8},
    {.kind = ENTRY_PACK, .id = {{9}}, .where = UINT64_MAX, .offset = UINT32_MAX},
    {.kind = ENTRY_PACK, .size = UINT32_MAX, .id = {{9}}, .where = 1, .stored = UINT32_MAX - 1},
    {.kind = ENTRY_PACK, .size = 7, .id = {{9}}, .where = 1, .stored = 7, .pinned = true},
    {.kind = ENTRY_PACK,
     .id = {{9}},
     .where = UINT64_MAX,
     .shard = 3,
     .day = 2,
     .created = 1,
     .stored = ENTRY_AT_REST},
    {.kind = ENTRY_FILE, .size = UINT64_MAX, .id = {{8}}, .where = UINT64_MAX},
    {.kind = ENTRY_FILE, .size = 1, .id = {{8}}, .where = 1, .day = UINT16_MAX},
    {.kind = ENTRY_FILE,
     .count = 9,
     .id = {{8}},
     .where = UINT64_MAX,
     .shard = UINT16_MAX,
     .created = UINT64_MAX},
    {.kind = ENTRY_PACK,
     .id = {{9}},
     .where = UINT64_MAX,
     .offset = UINT32_MAX,
     .shard = 1,
     .day = 1,
     .created = 1},
    {.kind = ENTRY_ALIAS, .count = 2, .where = (UINT64_C(1) << 58) - 1},
    {.kind = ENTRY_ABSENT,
     .count = UINT32_MAX,
     .size = UINT64_MAX,
     .archive = UINT16_MAX,
     .sha256 = {[0] = 1, [31] = 255}},
    {.kind = ENTRY_ABSENT, .count = 1},
    {.kind = ENTRY_NEW, .count = 1, .pinned = true},
    {.kind = ENTRY_SLOT, .count = 1, .pinned = true},
    {.kind = ENTRY_ALIAS, .count = 1, .where = 3, .pinned = true},
    {.kind = ENTRY_PACK, .id = {{9}}, .where = 1, .shard = 1, .day = 1, .pinned = true},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static uint8_t buf[ENTRY_MAX + 1];

Test(entry, every_kind_comes_back)
{
    for (size_t i = 0; i < KINDS; i++) {
        const struct entry *in = &kinds[i];
        struct entry e;
        size_t len = entry_encode(in, buf);
        cr_assert_leq(len, ENTRY_MAX);
        cr_assert_eq(entry_decode(buf, len, &e), 0);
        cr_assert(e.kind == in->kind && e.count == in->count && e.size == in->size);
        cr_assert(e.where == in->where && e.offset == in->offset && id_equal(&e.id, &in->id));
        cr_assert(e.shard == in->shard && e.day == in->day && e.pinned == in->pinned &&
                  e.created == in->created);
        cr_assert_eq(e.stored, in->stored);
        cr_assert(e.archive == in->archive && !memcmp(e.sha256, in->sha256, SHA256_LEN));
    }
}

Test(entry, a_wrong_length_is_refused_and_nothing_is_given)
{
    struct entry e = {.count = 77};
    for (size_t i = 0; i < KINDS; i++) {
        size_t len = entry_encode(&kinds[i], buf);
        for (size_t n = 0; n <= ENTRY_MAX + 1; n++)
            cr_assert(n == len || (kinds[i].kind == ENTRY_PACK && (n == len - 3 || n == len + 3)) ||
                      entry_decode(buf, n, &e) == -EUCLEAN);
        cr_assert_eq(e.count, 77);
    }
}

Test(entry, a_pack_number_takes_five_bytes_and_eight_only_where_it_must)
{
    struct entry e = {.kind = ENTRY_PACK, .count = 1, .size = 9, .offset = 16};

    e.where = (UINT64_C(1) << 40) - 1;
    cr_assert_eq(entry_encode(&e, buf), 34);
    e.where++;
    cr_assert_eq(entry_encode(&e, buf), 37);
    memset(buf + 25, 0, 8); /* the number: one that has five */
    buf[25] = 7;
    cr_assert_eq(entry_decode(buf, 37, &e), -EUCLEAN);
}

Test(entry, a_payload_longer_than_its_content_is_refused)
{
    struct entry e = {.kind = ENTRY_PACK, .size = 9, .id = {{9}}, .where = 1, .stored = 9}, out;

    cr_assert_eq(entry_decode(buf, entry_encode(&e, buf), &out), 0);
    cr_assert(!entry_is_compressed(&out) && entry_payload(&out) == 9);
    e.stored = 8;
    cr_assert_eq(entry_decode(buf, entry_encode(&e, buf), &out), 0);
    cr_assert(entry_is_compressed(&out) && entry_payload(&out) == 8);
    e.stored = 10;
    cr_assert_eq(entry_decode(buf, entry_encode(&e, buf), &out), -EUCLEAN);
    e.stored = 8;
    put_le32(buf + entry_encode(&e, buf) - 4, 0);
    cr_assert_eq(entry_decode(buf, 38, &out), -EUCLEAN, "it would have another form");
}

Test(entry, what_was_tried_is_no_other_place_and_what_is_compressed_is)
{
    struct entry a = {.kind = ENTRY_PACK, .size = 9, .id = {{9}}, .where = 1}, b = a;

    b.stored = 9;
    cr_assert(entry_same_place(&a, &b));
    b.stored = ENTRY_AT_REST;
    cr_assert(entry_same_place(&a, &b));
    b.stored = 8;
    cr_assert(!entry_same_place(&a, &b));
}

Test(entry, an_unknown_kind_is_refused)
{
    struct entry e;
    memset(buf, 0, sizeof buf);
    for (unsigned kind = ENTRY_ABSENT + 1; kind < 256; kind++) {
        if ((kind & 0x1f) == ENTRY_PACK || (kind & 0x1f) == ENTRY_FILE ||
            (kind & 0xdf) <= ENTRY_ABSENT) /* pinned */
            continue;
        buf[0] = (uint8_t)kind;
        for (size_t n = 0; n <= ENTRY_MAX; n++)
            cr_assert_eq(entry_decode(buf, n, &e), -EUCLEAN);
    }
}

Test(entry, a_place_or_target_of_number_zero_is_refused)
{
    struct entry e;
    for (size_t i = 4; i < KINDS; i++) {
        struct entry none = kinds[i];
        if (none.kind == ENTRY_ABSENT || entry_is_unsealed(&none))
            continue;
        none.where = 0;
        cr_assert_eq(entry_decode(buf, entry_encode(&none, buf), &e), -EUCLEAN);
    }
}

Test(entry, sealed_is_what_has_a_place_of_its_own)
{
    for (size_t i = 0; i < KINDS; i++)
        cr_assert_eq(entry_is_sealed(&kinds[i]),
                     kinds[i].kind == ENTRY_PACK || kinds[i].kind == ENTRY_FILE);
}

Test(entry, an_absent_one_is_named_by_its_sha256_and_has_no_place)
{
    struct entry a = {.kind = ENTRY_ABSENT, .size = 9, .sha256 = {[0] = 0x0f, [31] = 0xa0}}, b = a;
    char text[ENTRY_SHA256_TEXT];

    cr_assert_eq(entry_encode(&a, buf), 47);
    buf[0] |= 0x40;
    cr_assert_eq(entry_decode(buf, 47, &b), -EUCLEAN);
    cr_assert_eq(entry_decode(buf, 49, &b), -EUCLEAN);
    cr_assert(!entry_has_place(&a) && !entry_is_sealed(&a) && !entry_is_unsealed(&a));
    entry_sha256_text(&a, text);
    cr_assert_str_eq(text, "sha256:0f00000000000000000000000000000000000000000000000000000000000"
                           "0a0");
    cr_assert(entry_same_place(&a, &b));
    b.sha256[31]++;
    cr_assert(!entry_same_place(&a, &b));
}

Test(entry, a_day_and_a_shard_are_written_only_where_there_is_one)
{
    struct entry e = {.kind = ENTRY_FILE, .where = 1, .id = {{8}}};

    cr_assert_eq(entry_encode(&e, buf), 37);
    e.day = 1;
    cr_assert_eq(entry_encode(&e, buf), 39);
    buf[37] = 0; /* the day */
    cr_assert_eq(entry_decode(buf, 39, &e), -EUCLEAN);
    e.shard = 256;
    cr_assert_eq(entry_encode(&e, buf), 49);
    buf[40] = 0; /* the shard */
    cr_assert_eq(entry_decode(buf, 49, &e), -EUCLEAN);
    e.day = 0;
    cr_assert_eq(entry_encode(&e, buf), 47);
    e.shard = 0;
    e.created = 5; /* of one at home it means nothing */
    cr_assert_eq(entry_encode(&e, buf), 37);
    cr_assert_eq(entry_decode(buf, 37, &e), 0);
    cr_assert_eq(e.created, 0);
}

Test(entry, what_is_not_sealed_has_neither_day_nor_shard)
{
    struct entry e = {.kind = ENTRY_ALIAS, .where = 1, .day = 5, .shard = 5};

    cr_assert_eq(entry_encode(&e, buf), 13);
    cr_assert(!entry_is_ghost(&e));
    buf[0] |= 0x40;
    cr_assert_eq(entry_decode(buf, 13, &e), -EUCLEAN);
    cr_assert_eq(entry_decode(buf, 15, &e), -EUCLEAN);
}

Test(entry, places_are_the_same_whatever_the_count_the_day_and_the_time)
{
    const struct entry a = {
        .kind = ENTRY_PACK, .size = 1, .id = {{9}}, .where = 2, .offset = 8, .shard = 3};
    struct entry b = a;

    b.count = 7;
    b.day = 8;
    b.created = 9;
    cr_assert(entry_same_place(&a, &b));
    b = a, b.shard = 0;
    cr_assert(!entry_same_place(&a, &b));
    b = a, b.where++;
    cr_assert(!entry_same_place(&a, &b));
    b = a, b.offset = 16;
    cr_assert(!entry_same_place(&a, &b));
    b = a, b.kind = ENTRY_FILE;
    cr_assert(!entry_same_place(&a, &b));
    b = a, b.size = 2;
    cr_assert(!entry_same_place(&a, &b));
    b = a, b.id.b[15] = 1;
    cr_assert(!entry_same_place(&a, &b));
}

Test(entry, a_row_of_a_ghost_comes_back_and_any_other_is_refused)
{
    struct ghost_row in = {UINT16_MAX, UINT64_MAX - 1}, out = {7, 7};
    uint8_t row[GHOST_ROW_LEN + 1] = {0};

    cr_assert_eq(ghost_row_decode(row, GHOST_ROW_LEN, &out), -EUCLEAN, "shard 0");
    ghost_row_encode(&in, row);
    for (size_t n = 0; n <= GHOST_ROW_LEN + 1; n++)
        cr_assert(n == GHOST_ROW_LEN || ghost_row_decode(row, n, &out) == -EUCLEAN);
    cr_assert_eq(out.shard, 7);
    cr_assert_eq(ghost_row_decode(row, GHOST_ROW_LEN, &out), 0);
    cr_assert(out.shard == in.shard && out.size == in.size);
}
