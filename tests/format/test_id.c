// SPDX-License-Identifier: Apache-2.0
/* What id.h promises. */
#include "fault.h"
#include "id.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define LONGEST 2000

static struct id_key key_of(uint64_t seed)
{
    struct id_key key = {0};

    for (size_t i = 0; i < ID_SECRET_LEN; i++)
        key.secret[i] = (uint8_t)(fault_random(&seed) >> 32);
    return key;
}

static void fill(uint8_t *data, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(fault_random(&seed) >> 32);
}

static struct id id_in_pieces(const struct id_key *key, const uint8_t *data, size_t len,
                              uint64_t *state)
{
    struct id_stream *s;
    struct id id;

    cr_assert_eq(id_stream_create(key, &s), 0);
    while (len > 0) {
        size_t n = (size_t)(fault_random(state) % (len + 1));

        cr_assert_eq(id_stream_add(s, data, n), 0);
        data += n;
        len -= n;
    }
    id_stream_end(s, &id);
    id_stream_destroy(s);
    return id;
}

/* Leaves two different ids. */
static void fold_to_one_bit(struct id *id)
{
    uint8_t last = id->b[ID_LEN - 1] & 1;

    memset(id->b, 0, ID_LEN);
    id->b[ID_LEN - 1] = last;
}

Test(id, pieces_give_the_same_id_for_every_length)
{
    uint8_t data[LONGEST];
    struct id_key key = key_of(1);
    uint64_t state = 2;

    fill(data, sizeof data, 3);
    for (size_t len = 0; len <= LONGEST; len++) {
        struct id whole, pieces = id_in_pieces(&key, data, len, &state);

        id_of(&key, data, len, &whole);
        cr_assert(id_equal(&whole, &pieces), "length %zu", len);
    }
}

Test(id, a_large_content_has_the_same_id_in_pieces)
{
    static uint8_t data[1 << 20];
    struct id_key key = key_of(1);
    uint64_t state = 7;
    struct id whole;

    fill(data, sizeof data, 3);
    id_of(&key, data, sizeof data, &whole);
    struct id pieces = id_in_pieces(&key, data, sizeof data, &state);

    cr_assert(id_equal(&whole, &pieces));
}

Test(id, an_empty_content_may_be_null)
{
    struct id_key key = key_of(1);
    struct id_stream *s;
    struct id a, b;

    id_of(&key, NULL, 0, &a);
    cr_assert_eq(id_stream_create(&key, &s), 0);
    cr_assert_eq(id_stream_add(s, NULL, 0), 0);
    id_stream_end(s, &b);
    id_stream_destroy(s);
    cr_assert(id_equal(&a, &b));
}

Test(id, another_secret_gives_another_id)
{
    struct id_key one = key_of(1), two = key_of(2);

    for (size_t len = 0; len < 512; len += 37) {
        uint8_t data[512] = {0};
        struct id a, b;

        id_of(&one, data, len, &a);
        id_of(&two, data, len, &b);
        cr_assert_not(id_equal(&a, &b), "length %zu", len);
    }
}

Test(id, a_stream_outlives_its_key)
{
    struct id_key key = key_of(1), copy = key;
    struct id_stream *s;
    struct id a, b;
    uint8_t data[1000] = {0};

    cr_assert_eq(id_stream_create(&key, &s), 0);
    memset(&key, 0, sizeof key);
    cr_assert_eq(id_stream_add(s, data, sizeof data), 0);
    id_stream_end(s, &a);
    id_stream_destroy(s);
    id_of(&copy, data, sizeof data, &b);
    cr_assert(id_equal(&a, &b));
}

Test(id, fold_applies_to_content_in_both_forms)
{
    struct id_key key = key_of(1);
    uint64_t state = 5;
    unsigned ones = 0;

    key.fold = fold_to_one_bit;
    for (uint8_t i = 0; i < 32; i++) {
        struct id whole, pieces = id_in_pieces(&key, &i, 1, &state);

        id_of(&key, &i, 1, &whole);
        cr_assert(id_equal(&whole, &pieces));
        cr_assert_eq(whole.b[0], 0);
        cr_assert_leq(whole.b[ID_LEN - 1], 1);
        ones += whole.b[ID_LEN - 1];
    }
    cr_assert(ones > 0 && ones < 32);
}

Test(id, derive_is_not_folded_and_leads_on)
{
    struct id_key key = key_of(1);
    struct id a = {{1}}, b, c;

    key.fold = fold_to_one_bit;
    id_derive(&key, &a, &b);
    id_derive(&key, &b, &c);
    cr_assert_not(id_equal(&a, &b));
    cr_assert_not(id_equal(&b, &c));
    cr_assert_neq(b.b[0] | b.b[1] | b.b[2], 0);
}

Test(id, derive_is_the_hash_of_the_id)
{
    struct id_key key = key_of(1);
    struct id a = {{9, 8, 7}}, derived, hashed;

    id_derive(&key, &a, &derived);
    id_of(&key, a.b, ID_LEN, &hashed);
    cr_assert(id_equal(&derived, &hashed));
}

Test(id, what_fits_a_content_is_its_hash_its_chain_and_what_is_salted_with_any_salt)
{
    struct id_key key = key_of(1), other = key_of(2);
    struct id hash = {{9, 8, 7}}, another = {{9, 8, 6}}, id = hash;

    for (unsigned i = 0; i < 1000; i++) { /* older stores have such chains */
        cr_assert(id_fits(&key, &id, &hash), "%u", i);
        cr_assert_not(id_fits(&key, &id, &another), "%u", i);
        id_derive(&key, &id, &id);
    }
    cr_assert_not(id_fits(&key, &id, &hash));
    for (uint64_t salt = 0; salt < 1000; salt++) {
        id_salt(&key, &hash, salt * UINT64_C(0x9e3779b97f4a7c15), &id);
        cr_assert(id_fits(&key, &id, &hash));
        cr_assert_not(id_fits(&other, &id, &hash));
        cr_assert_not(id_fits(&key, &id, &another));
        id.b[salt % ID_LEN] ^= 1;
        cr_assert_not(id_fits(&key, &id, &hash));
    }
}

Test(id, a_salt_stands_before_what_follows_from_it)
{
    struct id_key key = key_of(1);
    struct id hash = {{1, 2, 3}}, id, sum;
    uint8_t text[ID_LEN + 8] = {1, 2, 3, [16] = 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

    id_salt(&key, &hash, UINT64_C(0x0123456789abcdef), &id);
    id_of(&key, text, sizeof text, &sum);
    cr_assert_arr_eq(id.b, text + 16, 8);
    cr_assert_arr_eq(id.b + 8, sum.b, 8);
}

Test(id, hex_is_most_significant_first_and_comes_back)
{
    struct id id = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, [15] = 0xfe}}, back;
    char hex[ID_HEX + 1];

    id_to_hex(&id, hex);
    cr_assert_str_eq(hex, "0123456789abcdef00000000000000fe");
    cr_assert_eq(id_from_hex(hex, &back), 0);
    cr_assert(id_equal(&id, &back));
    cr_assert_eq(id_from_hex("0123456789ABCDEF00000000000000FE", &back), 0);
    cr_assert(id_equal(&id, &back));
}

Test(id, bad_hex_is_refused_and_changes_nothing)
{
    static const char *const bad[] = {
        "",
        "0",
        "0123456789abcdef00000000000000f",
        "0123456789abcdef00000000000000fe0",
        "0123456789abcdef00000000000000fg",
        " 123456789abcdef00000000000000fe",
        "0x23456789abcdef00000000000000fe",
        "0123456789abcdef00000000000000\xc3\xa4",
    };
    struct id id = {{7}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(id_from_hex(bad[i], &id), -EINVAL, "%s", bad[i]);
    cr_assert_eq(id.b[0], 7);
}

Test(id, compare_looks_at_every_byte_and_sorts_like_hex)
{
    for (size_t i = 0; i < ID_LEN; i++) {
        struct id a = {{0}}, b = {{0}};

        b.b[i] = 0x80;
        cr_assert_lt(id_compare(&a, &b), 0);
        cr_assert_gt(id_compare(&b, &a), 0);
        cr_assert_not(id_equal(&a, &b));
    }
}

Test(id, a_checksum_depends_on_every_byte_and_on_its_place)
{
    uint8_t data[100] = {0};
    uint64_t sum = id_checksum(data, sizeof data, 1);

    cr_assert_neq(id_checksum(data, sizeof data, 2), sum);
    cr_assert_neq(id_checksum(data, sizeof data - 1, 1), sum);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 1;
        cr_assert_neq(id_checksum(data, sizeof data, 1), sum);
        data[i] ^= 1;
    }
    cr_assert_eq(id_checksum(data, sizeof data, 1), sum);
}

Test(id, ids_on_disk_never_change)
{
    struct id_key key = {.fold = NULL};
    char hex[ID_HEX + 1];
    struct id id;

    for (size_t i = 0; i < ID_SECRET_LEN; i++)
        key.secret[i] = (uint8_t)i;
    id_of(&key, "tally", 5, &id);
    id_to_hex(&id, hex);
    cr_assert_str_eq(hex, "a2bcccdc3213b544e85435000f026232");
    cr_assert_eq(id_checksum("tally", 5, 7), UINT64_C(0x065491eed04b165a));
    key.veiled = true;
    for (size_t i = 0; i < SIP_KEY_LEN; i++)
        key.veil.b[i] = (uint8_t)i;
    id_of(&key, "tally", 5, &id);
    id_to_hex(&id, hex);
    cr_assert_str_eq(hex, "88bffb4b32e399314bf6d57ec0953a4b");
}

/* What XXH3 makes of a short content tells its secret: that is not what is shown. */
Test(id, a_veiled_id_is_another_of_the_same_content)
{
    struct id_key plain = key_of(1), key = plain, other;
    uint8_t data[LONGEST];
    uint64_t state = 2;
    struct id a, b;

    key.veiled = true;
    key.veil.b[0] = 1;
    other = key;
    other.veil.b[15] = 1;
    fill(data, sizeof data, 3);
    for (size_t len = 0; len < 300; len++) {
        id_of(&plain, data, len, &a);
        id_of(&key, data, len, &b);
        cr_assert(!id_equal(&a, &b));
        a = id_in_pieces(&key, data, len, &state);
        cr_assert(id_equal(&a, &b));
        id_of(&other, data, len, &a);
        cr_assert(!id_equal(&a, &b));
        id_derive(&key, &b, &a);
        cr_assert(!id_equal(&a, &b));
    }
    cr_assert(id_key_equal(&key, &key) && !id_key_equal(&key, &plain) &&
              !id_key_equal(&key, &other));
}

Test(id, an_ascending_array_is_searched_by_id)
{
    struct row {
        struct id id;
        unsigned other;
    } v[5] = {0};

    for (unsigned i = 0; i < 5; i++)
        v[i].id.b[3] = (uint8_t)(10 * i + 10);
    for (size_t n = 0; n <= 5; n++)
        for (unsigned b = 0; b < 70; b++) {
            struct id id = {.b = {0, 0, 0, (uint8_t)b}};
            size_t want = 0;

            while (want < n && v[want].id.b[3] < b)
                want++;
            cr_assert_eq(id_lower_bound(v, n, sizeof *v, &id), want);
        }
    cr_assert_eq(id_lower_bound(NULL, 0, 0, &v[0].id), 0);
}
