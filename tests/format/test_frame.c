// SPDX-License-Identifier: Apache-2.0
/* Claims of frame.h. */
#include "frame.h"

#include <criterion/criterion.h>
#include <errno.h>

/* ---- operations ---- */

static const uint8_t data[] = "the bytes of an operation";

static const struct op samples[] = {
    {.kind = OP_PUT, .ns = 7, .key = {0x123456789abc, 5}, .data = data, .len = sizeof data},
    {.kind = OP_PUT, .ns = OP_NS_ORPHANS, .key = {0xffffffffffff, UINT64_MAX}, .data = data},
    {.kind = OP_DEL, .ns = UINT32_MAX, .key = {64, 0}},
    {.kind = OP_CONTENT_NEW, .number = OBJECT_NUMBER_MAX, .a = 1, .b = UINT64_MAX},
    {.kind = OP_CONTENT_WRITE, .number = 3, .a = 4096, .data = data, .len = 1},
    {.kind = OP_RANGE_COPY, .ns = 1, .key = {64, 0}, .end = {64, 9}, .a = 3, .b = 4},
    {.kind = OP_CONTENT_TRUNCATE, .number = 9, .a = 10},
    {.kind = OP_CONTENT_SLOT, .number = 9, .a = 1},
    {.kind = OP_CONTENT_CANCEL, .number = 9},
    {.kind = OP_NS_PUT, .ns = 2, .data = data, .len = 5},
    {.kind = OP_NS_BRANCH, .ns = 3, .number = 2, .data = data, .len = 5},
    {.kind = OP_NS_DROP, .ns = 3},
    {.kind = OP_PIN, .number = 77},
    {.kind = OP_UNPIN, .number = 77},
    {.kind = OP_SETTING, .a = (uint64_t)-1, .data = data, .len = 9},
    {.kind = OP_RANGE_DEL, .ns = 7, .key = {64, 5}, .end = {127, UINT64_MAX}},
    {.kind = OP_REQUEST, .a = UINT64_MAX},
    {.kind = OP_INO_RUN, .ns = 7, .a = 2, .b = 1026},
    {.kind = OP_NS_SETTING, .ns = 7, .data = data, .len = 9},
    {.kind = OP_HISTORY, .data = data, .len = 9},
    {.kind = OP_NS_TAKE, .ns = 7, .number = 9},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static size_t encode_all(uint8_t *out)
{
    size_t at = 0;

    for (size_t i = 0; i < SAMPLES; i++) {
        size_t head = op_encode(&samples[i], out + at);

        cr_assert_leq(head, OP_HEAD_MAX);
        memcpy(out + at + head, data, samples[i].len);
        at += head + samples[i].len;
    }
    return at;
}

static bool same(const struct op *a, const struct op *b)
{
    return a->kind == b->kind && a->ns == b->ns && a->key.hi == b->key.hi &&
           a->key.lo == b->key.lo && a->end.hi == b->end.hi && a->end.lo == b->end.lo &&
           a->number == b->number && a->a == b->a && a->b == b->b && a->len == b->len &&
           (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

Test(frame, operations_come_back_as_they_were)
{
    uint8_t buf[2048];
    size_t len = encode_all(buf), at = 0;
    struct op op;

    for (size_t i = 0; i < SAMPLES; i++) {
        cr_assert_eq(op_next(buf, len, &at, &op), 0);
        cr_assert(same(&op, &samples[i]), "operation %zu", i);
    }
    cr_assert_eq(op_next(buf, len, &at, &op), -ENOENT);
}

Test(frame, there_is_a_sample_and_a_name_of_every_kind)
{
    for (unsigned kind = OP_PUT; kind < OP_KIND_END; kind++) {
        bool seen = false;

        for (size_t i = 0; i < SAMPLES; i++)
            seen = seen || samples[i].kind == kind;
        cr_assert(seen, "kind %u", kind);
        cr_assert_not_null(op_kind_name((enum op_kind)kind));
    }
    cr_assert_null(op_kind_name((enum op_kind)0));
    cr_assert_null(op_kind_name(OP_KIND_END));
}

Test(frame, an_operation_cut_short_is_damage_and_moves_nothing)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t buf[OP_HEAD_MAX + sizeof data];
        size_t len = op_encode(&samples[i], buf) + samples[i].len;

        for (size_t cut = 1; cut < len; cut++) {
            uint8_t *exact = malloc(cut);
            size_t at = 0;
            struct op op = {.number = 5};

            memcpy(exact, buf, cut);
            cr_assert_eq(op_next(exact, cut, &at, &op), -EUCLEAN, "%zu at %zu", i, cut);
            cr_assert(at == 0 && op.number == 5);
            free(exact);
        }
    }
}

Test(frame, unknown_kinds_and_numbers_beyond_the_last_are_damage)
{
    uint8_t buf[OP_HEAD_MAX];
    struct op op = {.kind = OP_PIN, .number = OBJECT_NUMBER_MAX + 1};
    size_t at = 0, len = op_encode(&op, buf);

    cr_assert_eq(op_next(buf, len, &at, &op), -EUCLEAN);
    buf[0] = 0;
    cr_assert_eq(op_next(buf, len, &at, &op), -EUCLEAN);
    buf[0] = OP_KIND_END;
    cr_assert_eq(op_next(buf, len, &at, &op), -EUCLEAN);
    at = len + 1;
    cr_assert_eq(op_next(buf, len, &at, &op), -EUCLEAN);
}

Test(frame, a_range_of_nothing_or_of_two_inodes_is_damage)
{
    static const struct key ends[] = {{64, 5}, {64, 4}, {0, 9}, {128, 0}};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct op op = {.kind = OP_RANGE_DEL, .ns = 1, .key = {64, 5}, .end = ends[i]};
        uint8_t buf[OP_HEAD_MAX];
        size_t at = 0, len = op_encode(&op, buf);

        cr_assert_eq(op_next(buf, len, &at, &op), -EUCLEAN, "%zu", i);
    }
}

/* ---- segments ---- */

static struct segment_head head(void)
{
    struct segment_head h = {.serial = 5, .epoch = 3, .seq = 100, .size = 1 << 20, .salt = 99};

    memset(h.incarnation, 'i', sizeof h.incarnation);
    return h;
}

Test(frame, a_segment_head_comes_back_as_it_was)
{
    struct segment_head h = head(), out;
    uint8_t buf[SEGMENT_HEAD];

    segment_head_encode(&h, buf);
    cr_assert_eq(segment_head_decode(buf, &out), 0);
    cr_assert(out.serial == 5 && out.epoch == 3 && out.seq == 100 && out.size == 1 << 20);
    cr_assert(out.salt == 99 && memcmp(out.incarnation, h.incarnation, 32) == 0);
}

Test(frame, a_segment_head_survives_the_loss_of_any_sector)
{
    struct segment_head h = head(), out;

    for (unsigned sector = 0; sector < SEGMENT_HEAD / 512; sector++) {
        uint8_t buf[SEGMENT_HEAD];

        segment_head_encode(&h, buf);
        memset(buf + sector * 512, 0xee, 512);
        cr_assert_eq(segment_head_decode(buf, &out), 0);
        cr_assert_eq(out.serial, 5);
    }
}

Test(frame, a_segment_head_that_is_none_says_why)
{
    struct segment_head h = head(), out = {.serial = 1};
    uint8_t buf[SEGMENT_HEAD] = {0};

    cr_assert_eq(segment_head_decode(buf, &out), -ENOENT);
    segment_head_encode(&h, buf);
    for (unsigned at = 0; at < 96; at++) {
        uint8_t bad[SEGMENT_HEAD];

        memcpy(bad, buf, sizeof bad);
        bad[at] ^= 1;
        bad[2048 + at] ^= 1;
        cr_assert_eq(segment_head_decode(bad, &out), -EUCLEAN, "byte %u", at);
    }
    h.size = SEGMENT_HEAD - 8;
    segment_head_encode(&h, buf);
    cr_assert_eq(segment_head_decode(buf, &out), -EUCLEAN);
    cr_assert_eq(out.serial, 1);
}

/* ---- frames ---- */

#define SEED 77
#define PLACE 4096

static size_t seal(uint8_t *buf, const char *payload)
{
    struct frame_head h = {FRAME_CHANGE, (uint32_t)strlen(payload), 4, 1000, 123456789};

    memcpy(buf + FRAME_HEAD, payload, h.len);
    frame_seal(buf, &h, SEED, PLACE);
    return frame_size(h.len);
}

Test(frame, a_frame_comes_back_as_it_was)
{
    _Alignas(8) uint8_t buf[128];
    struct frame_head out;
    size_t size = seal(buf, "payload");

    cr_assert_eq(size % 8, 0);
    cr_assert_eq(frame_decode(buf, size, SEED, PLACE, &out), 0);
    cr_assert(out.kind == FRAME_CHANGE && out.len == 7 && out.ns == 4);
    cr_assert(out.seq == 1000 && out.time == 123456789);
}

Test(frame, no_bit_of_head_or_payload_can_change)
{
    _Alignas(8) uint8_t buf[128];
    struct frame_head out;
    size_t size = seal(buf, "payload");

    for (unsigned bit = 0; bit < (FRAME_HEAD + 7) * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(frame_decode(buf, size, SEED, PLACE, &out), -EUCLEAN, "bit %u", bit);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(frame, a_frame_of_another_segment_or_place_does_not_pass)
{
    _Alignas(8) uint8_t buf[128];
    struct segment_head a = head(), b = head();
    struct frame_head out;
    size_t size = seal(buf, "payload");

    cr_assert_eq(frame_decode(buf, size, SEED + 1, PLACE, &out), -EUCLEAN);
    cr_assert_eq(frame_decode(buf, size, SEED, PLACE + 8, &out), -EUCLEAN);
    b.serial++;
    cr_assert_neq(segment_seed(&a), segment_seed(&b));
    b = a, b.epoch++;
    cr_assert_neq(segment_seed(&a), segment_seed(&b));
    b = a, b.salt++;
    cr_assert_neq(segment_seed(&a), segment_seed(&b));
}

Test(frame, a_frame_that_does_not_fit_is_not_read)
{
    struct frame_head out;

    for (size_t room = 0; room < frame_size(7); room++) {
        _Alignas(8) uint8_t buf[128];
        uint8_t *exact = malloc(room + 1);

        seal(buf, "payload");
        memcpy(exact, buf, room);
        cr_assert_eq(frame_decode(exact, room, SEED, PLACE, &out), -EUCLEAN);
        free(exact);
    }
}

Test(frame, zeros_are_no_frame)
{
    uint8_t buf[64] = {0};
    struct frame_head out;

    cr_assert_eq(frame_decode(buf, sizeof buf, SEED, PLACE, &out), -EUCLEAN);
    cr_assert_eq(frame_decode(buf, sizeof buf, 0, 0, &out), -EUCLEAN);
}
