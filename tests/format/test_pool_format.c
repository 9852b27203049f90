// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_format.h. */
#include "pool_format.h"

#include "bytes.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NODE 7

/* ---- numbers, keys, records ---- */

static const struct entry packed = {.kind = ENTRY_PACK,
                                    .count = 9,
                                    .size = 1000,
                                    .id = {{1, 2, 3, 4, 5, 6, 7, 8, 9}},
                                    .where = (UINT64_C(7) << 52) + 1,
                                    .offset = 4096};
static const struct entry filed = {
    .kind = ENTRY_FILE, .size = UINT64_C(1) << 40, .id = {{0xff, 8}}, .where = UINT64_MAX};

Test(pool_format, a_number_is_made_of_node_life_and_sequence)
{
    uint64_t n = pool_number(POOL_NODE_MAX, POOL_INCARNATION_MAX, UINT32_MAX);

    cr_assert_eq(n, UINT64_MAX);
    n = pool_number(5, 9, 11);
    cr_assert(pool_number_node(n) == 5 && pool_number_incarnation(n) == 9 && (uint32_t)n == 11);
}

Test(pool_format, keys_sort_as_ids_do_and_differ_with_every_part_of_the_place)
{
    struct entry e[5] = {packed, packed, packed, packed, packed};

    e[1].where++;
    e[2].offset += 8;
    e[3].kind = ENTRY_FILE;
    e[4].id.b[15]++;
    struct id first = pool_key(&e[0]);

    cr_assert_arr_eq(first.b, packed.id.b, 8);
    for (int i = 1; i < 5; i++) {
        struct id key = pool_key(&e[i]);

        cr_assert(!id_equal(&key, &first), "part %d", i);
        cr_assert_arr_eq(key.b, first.b, 8);
    }
    e[0].count++;
    e[0].size++;
    struct id same = pool_key(&e[0]);

    cr_assert(id_equal(&same, &first));
}

Test(pool_format, a_record_comes_back_as_the_entry_it_was_made_of)
{
    const struct entry *all[] = {&packed, &filed};

    for (int i = 0; i < 2; i++) {
        uint8_t b[POOL_RECORD_LEN];
        struct pool_record r, back;
        struct entry e;

        pool_record_make(all[i], i == 1, &r);
        pool_record_encode(&r, b);
        cr_assert_eq(pool_record_decode(b, &back), 0);
        cr_assert_eq(memcmp(&r, &back, sizeof r), 0);
        cr_assert_eq((back.flags & POOL_PINNED) != 0, i == 1);
        pool_record_entry(&back, &e);
        cr_assert(e.kind == all[i]->kind && e.size == all[i]->size && e.where == all[i]->where);
        cr_assert(e.offset == all[i]->offset && id_equal(&e.id, &all[i]->id) && e.count == 0);
    }
}

Test(pool_format, a_record_with_one_bit_changed_in_key_id_or_place_is_refused)
{
    uint8_t b[POOL_RECORD_LEN];
    struct pool_record r;

    pool_record_make(&packed, false, &r);
    pool_record_encode(&r, b);
    for (unsigned bit = 0; bit < POOL_RECORD_LEN * 8; bit++) {
        bool harmless = (bit >= 32 * 8 && bit < 36 * 8) /* its size, below 4 GiB */ ||
                        bit == 44 * 8 + 1 || bit == 44 * 8 + 2 /* known flags */;

        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(pool_record_decode(b, &r), harmless ? 0 : -EUCLEAN, "bit %u", bit);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(pool_format, marks_and_index_records_come_back)
{
    struct pool_mark m = {{{1}}, INT64_MIN, UINT32_MAX}, m2;
    struct pool_indexed x = {{{2}}, 0xfffffff8u, UINT32_MAX}, x2;
    uint8_t b[POOL_MARK_LEN];

    pool_mark_encode(&m, b);
    cr_assert_eq(pool_mark_decode(b, &m2), 0);
    cr_assert(id_equal(&m.key, &m2.key) && m.since == m2.since && m.mark == m2.mark);
    b[31] = 1;
    cr_assert_eq(pool_mark_decode(b, &m2), -EUCLEAN);
    pool_indexed_encode(&x, b);
    cr_assert_eq(pool_indexed_decode(b, &x2), 0);
    cr_assert(id_equal(&x.id, &x2.id) && x.offset == x2.offset && x.len == x2.len);
    b[16] |= 1;
    cr_assert_eq(pool_indexed_decode(b, &x2), -EUCLEAN, "no record begins there");
}

/* ---- bodies ---- */

Test(pool_format, a_body_has_as_many_blocks_as_its_records_need)
{
    for (enum pool_body_kind kind = POOL_BODY_BASE; kind < POOL_BODY_KINDS; kind++) {
        size_t n = pool_body_per_block(kind);
        struct pool_body b = {.kind = kind};

        cr_assert_leq(POOL_BLOCK_HEAD + n * pool_body_record_len(kind), POOL_BLOCK);
        cr_assert_eq(pool_body_size(&b), POOL_BLOCK);
        b.count = n + 1;
        cr_assert_eq(pool_body_size(&b), 3 * POOL_BLOCK);
        cr_assert(pool_block_count(&b, 0) == n && pool_block_count(&b, 1) == 1);
        cr_assert_eq(pool_block_count(&b, 2), 0);
    }
}

static struct pool_body body(uint8_t out[POOL_BLOCK])
{
    struct pool_body b = {POOL_BODY_DELTA, NODE, 10, 4, 100, 77, 0};

    pool_body_encode(&b, out);
    return b;
}

Test(pool_format, a_body_comes_back_and_no_changed_byte_does)
{
    uint8_t bytes[POOL_BLOCK];
    struct pool_body b = body(bytes), r;

    cr_assert_eq(pool_body_decode(bytes, POOL_BODY_DELTA, NODE, &r), 0);
    cr_assert(r.serial == 10 && r.extra == 4 && r.count == 100 && r.chain == 77 && r.sum == b.sum);
    for (unsigned i = 0; i < POOL_BLOCK; i++) {
        bytes[i] ^= 0x10;
        cr_assert_eq(pool_body_decode(bytes, POOL_BODY_DELTA, NODE, &r), -EUCLEAN, "byte %u", i);
        bytes[i] ^= 0x10;
    }
}

Test(pool_format, a_body_of_another_kind_or_owner_is_refused)
{
    uint8_t bytes[POOL_BLOCK];
    struct pool_body r;

    body(bytes);
    cr_assert_eq(pool_body_decode(bytes, POOL_BODY_BASE, NODE, &r), -EUCLEAN);
    cr_assert_eq(pool_body_decode(bytes, POOL_BODY_DELTA, NODE + 1, &r), -EUCLEAN);
}

Test(pool_format, a_block_is_good_in_its_place_alone)
{
    uint8_t head[POOL_BLOCK], block[POOL_BLOCK];
    struct pool_body b = body(head), other = b;
    uint64_t sum, read;

    memset(block, 0xaa, sizeof block);
    sum = pool_block_seal(block, &b, 1, 15);
    cr_assert_eq(pool_block_check(block, &b, 1, &read), 0);
    cr_assert_eq(read, sum);
    cr_assert_eq(pool_block_check(block, &b, 0, NULL), -EUCLEAN);
    other.serial++;
    cr_assert_eq(pool_block_check(block, &other, 1, NULL), -EUCLEAN);
    other = b;
    other.owner++;
    cr_assert_eq(pool_block_check(block, &other, 1, NULL), -EUCLEAN);
    other = b;
    other.count++;
    cr_assert_eq(pool_block_check(block, &other, 1, NULL), -EUCLEAN, "one record is missing");
    block[POOL_BLOCK - 1] ^= 1;
    cr_assert_eq(pool_block_check(block, &b, 1, NULL), -EUCLEAN);
}

Test(pool_format, a_chain_tells_the_order)
{
    cr_assert_neq(pool_chain(pool_chain(0, 1), 2), pool_chain(pool_chain(0, 2), 1));
}

/* ---- heads ---- */

static const struct pool_head head = {.node = NODE,
                                      .incarnation = 3,
                                      .serial = 20,
                                      .ack = 5,
                                      .time = -1,
                                      .active = 10,
                                      .pinned = 2,
                                      .base = {18, 11, 1},
                                      .delta = {20, 3, 2}};

static int decode_head(const struct pool_head *h, struct pool_head *ret)
{
    uint8_t b[POOL_HEAD_LEN];

    pool_head_encode(h, b);
    return pool_head_decode(b, sizeof b, NODE, ret);
}

Test(pool_format, a_head_comes_back_and_no_changed_byte_does)
{
    uint8_t b[POOL_HEAD_LEN];
    struct pool_head r;

    cr_assert_eq(decode_head(&head, &r), 0);
    cr_assert_eq(memcmp(&r, &head, sizeof r), 0);
    pool_head_encode(&head, b);
    cr_assert_eq(pool_head_decode(b, sizeof b, NODE + 1, &r), -EUCLEAN);
    for (unsigned i = 0; i < sizeof b; i++) {
        cr_assert_eq(pool_head_decode(b, i, NODE, &r), -EUCLEAN);
        b[i] ^= 0x40;
        cr_assert_eq(pool_head_decode(b, sizeof b, NODE, &r), -EUCLEAN, "byte %u", i);
        b[i] ^= 0x40;
    }
}

Test(pool_format, a_head_that_cannot_be_is_refused)
{
    struct pool_head bad[8], r;

    for (int i = 0; i < 8; i++)
        bad[i] = head;
    bad[0].serial = 0;
    bad[1].base.serial = 21;
    bad[2].delta.serial = 18;
    bad[3].base = (struct pool_part){0};
    bad[4].delta = (struct pool_part){.count = 1};
    bad[5].active = 13;
    bad[6].active = UINT64_MAX;
    bad[7].base.count = UINT64_MAX;
    for (int i = 0; i < 8; i++)
        cr_assert_eq(decode_head(&bad[i], &r), -EUCLEAN, "%d", i);
}

/* ---- newer versions ---- */

Test(pool_format, what_a_newer_version_wrote_is_told_apart_from_damage)
{
    uint8_t b[POOL_HEAD_LEN], block[POOL_BLOCK];
    struct pool_head h;
    struct pool_body r;

    pool_head_encode(&head, b);
    b[12] = 2;
    cr_assert_eq(pool_head_decode(b, sizeof b, NODE, &h), -EUCLEAN, "the sum is wrong, too");
    put_le64(b, id_checksum(b + 8, sizeof b - 8, NODE));
    cr_assert_eq(pool_head_decode(b, sizeof b, NODE, &h), -EPROTO);
    body(block);
    block[12] = 2;
    put_le64(block, id_checksum(block + 8, sizeof block - 8, POOL_BODY_DELTA));
    cr_assert_eq(pool_body_decode(block, POOL_BODY_DELTA, NODE, &r), -EPROTO);
}

/* ---- texts ---- */

static const struct pool_who who = {.node = NODE,
                                    .incarnation = 12,
                                    .token = {0, 1, 0xfe},
                                    .when = INT64_C(1700000000000000000),
                                    .label = "acme/models"};

static void identity_comes_back(const struct pool_identity *i, const char *begin)
{
    char text[POOL_TEXT_MAX];
    struct pool_identity r;
    size_t len = pool_identity_encode(i, text);

    cr_assert_eq(strlen(text), len);
    cr_assert_eq(strncmp(text, begin, strlen(begin)), 0);
    cr_assert_eq(pool_identity_decode(text, len, &r), 0);
    cr_assert_arr_eq(r.id, i->id, sizeof r.id);
    cr_assert(id_key_equal(&r.key, &i->key));
}

Test(pool_format, an_identity_comes_back)
{
    struct pool_identity i = {.id = {1, 2, 0xff}, .key.veiled = true};

    memset(i.key.secret, 0xee, sizeof i.key.secret);
    memset(i.key.veil.b, 0x11, sizeof i.key.veil.b);
    identity_comes_back(&i, "tallyfs pool 2\nid=0102ff");
    i.key.veiled = false;
    memset(i.key.veil.b, 0, sizeof i.key.veil.b);
    identity_comes_back(&i, "tallyfs pool 1\nid=0102ff");
}

Test(pool_format, an_identity_with_features_is_of_a_version_that_older_members_refuse)
{
    struct pool_identity i = {.id = {1, 2, 0xff},
                              .key.veiled = true,
                              .features = {.mask = {0, 0, 1}, .names = {"", "", " a-name"}}};
    char text[POOL_TEXT_MAX];
    struct pool_identity r;

    identity_comes_back(&i, "tallyfs pool 3\nid=0102ff");
    cr_assert_eq(pool_identity_decode(text, pool_identity_encode(&i, text), &r), 0);
    cr_assert_eq(r.features.mask[FEATURE_INCOMPATIBLE], 1);
    cr_assert_str_eq(r.features.names[FEATURE_INCOMPATIBLE], " a-name");
}

Test(pool_format, who_a_node_is_comes_back_with_any_label)
{
    char text[POOL_TEXT_MAX];
    struct pool_who w = who, r;

    for (int i = 0; i < 3; i++) {
        memset(w.label, i == 2 ? 'x' : 0, i == 2 ? POOL_LABEL_MAX : sizeof w.label);
        if (i == 1)
            memcpy(w.label, "a/b=", 4);
        cr_assert_eq(pool_who_decode(text, pool_who_encode(&w, text), NODE, &r), 0, "%d", i);
        cr_assert(strcmp(r.label, w.label) == 0 && r.incarnation == w.incarnation &&
                  r.when == w.when);
        cr_assert_arr_eq(r.token, w.token, POOL_TOKEN_LEN);
    }
}

Test(pool_format, a_label_that_would_forge_a_line_is_refused)
{
    char text[POOL_TEXT_MAX];
    struct pool_who w = who, r;

    memcpy(w.label, "x\ny", 4);
    cr_assert_eq(pool_who_decode(text, pool_who_encode(&w, text), NODE, &r), -EUCLEAN);
    memcpy(w.label, "x\ty", 4);
    cr_assert_eq(pool_who_decode(text, pool_who_encode(&w, text), NODE, &r), -EUCLEAN);
}

Test(pool_format, a_term_comes_back)
{
    char text[POOL_TEXT_MAX];
    struct pool_term t = {UINT64_MAX, 3, 4, 5, true}, r;

    cr_assert_eq(pool_term_decode(text, pool_term_encode(&t, text), UINT64_MAX, &r), 0);
    cr_assert(r.term == t.term && r.node == 3 && r.incarnation == 4 && r.beat == 5 && r.released);
    cr_assert_eq(pool_term_decode(text, strlen(text), 1, &r), -EUCLEAN, "another term's");
}

Test(pool_format, the_home_of_a_store_comes_back_and_is_a_place_that_can_be)
{
    static const char *const bad[] = {"", "relative", "/with\na line"};
    char text[POOL_TEXT_MAX];
    struct pool_home h = {.id = {1, 2}, .node = 7, .incarnation = 9, .token = {3}, .before = {4}},
                     r;

    memset(h.path, 'x', POOL_PATH_MAX);
    h.path[0] = '/';
    cr_assert_eq(pool_home_decode(text, pool_home_encode(&h, text), &r), 0);
    cr_assert_eq(memcmp(&h, &r, sizeof r), 0);
    cr_assert_eq(pool_home_decode(text, strlen(text) - 1, &r), -EUCLEAN);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(h.path, sizeof h.path, "%s", bad[i]);
        cr_assert_eq(pool_home_decode(text, pool_home_encode(&h, text), &r), -EUCLEAN);
    }
    snprintf(h.path, sizeof h.path, "/pool");
    h.node = 0;
    cr_assert_eq(pool_home_decode(text, pool_home_encode(&h, text), &r), -EUCLEAN);
    h.node = POOL_NODE_MAX;
    h.incarnation = POOL_INCARNATION_MAX + 1;
    cr_assert_eq(pool_home_decode(text, pool_home_encode(&h, text), &r), -EUCLEAN);
}

Test(pool_format, the_home_in_a_pool_on_a_shard_has_its_url)
{
    static const char *const bad[] = {"", "/pool", ":pool", "s3:with\na line"};
    char text[POOL_TEXT_MAX];
    struct pool_home h = {.node = 7, .incarnation = 9, .is_shard = true}, r;

    memset(h.path, 'x', POOL_PATH_MAX);
    h.path[2] = ':';
    cr_assert_eq(pool_home_decode(text, pool_home_encode(&h, text), &r), 0);
    cr_assert_eq(memcmp(&h, &r, sizeof r), 0);
    cr_assert(strstr(text, "tallyfs pool home 2\n") == text && strstr(text, "\nurl=xx:x"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(h.path, sizeof h.path, "%s", bad[i]);
        cr_assert_eq(pool_home_decode(text, pool_home_encode(&h, text), &r), -EUCLEAN, "%zu", i);
    }
}

Test(pool_format, a_floor_comes_back_and_none_is_refused)
{
    char text[POOL_TEXT_MAX];
    struct pool_floor f = {UINT64_MAX}, r = {7};

    cr_assert_eq(pool_floor_decode(text, pool_floor_encode(&f, text), &r), 0);
    cr_assert_eq(r.serial, UINT64_MAX);
    f.serial = 0;
    cr_assert_eq(pool_floor_decode(text, pool_floor_encode(&f, text), &r), -EUCLEAN);
}

Test(pool_format, a_text_with_any_byte_changed_or_missing_is_refused)
{
    char text[POOL_TEXT_MAX];
    struct pool_who r = {.incarnation = 99};
    size_t len = pool_who_encode(&who, text);

    for (size_t i = 0; i < len; i++) {
        cr_assert_eq(pool_who_decode(text, i, NODE, &r), -EUCLEAN, "cut at %zu", i);
        text[i] ^= 1;
        cr_assert_eq(pool_who_decode(text, len, NODE, &r), -EUCLEAN, "byte %zu", i);
        text[i] ^= 1;
    }
    cr_assert_eq(pool_who_decode(text, len, NODE + 1, &r), -EUCLEAN, "another node's");
    cr_assert_eq(r.incarnation, 99);
}
