// SPDX-License-Identifier: Apache-2.0
/* Claims of shard_format.h. */
#include "shard_format.h"

#include "bytes.h"
#include "id.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER 513

static const struct shard_identity identity = {.id = {1, 2, 0xff}, .store = {3}, .number = NUMBER};
static const struct shard_record record = {.id = {1, 2, 0xff},
                                           .token = {4},
                                           .next = {5},
                                           .has_next = true,
                                           .draining = true,
                                           .incarnation = 77,
                                           .url = "dir:/mnt/cold storage"};

/* With a sum that fits. */
static size_t summed(char text[SHARD_TEXT_MAX], const char *lines)
{
    size_t len = strlen(lines);

    return (size_t)snprintf(text, SHARD_TEXT_MAX, "%ssum=%016" PRIx64 "\n", lines,
                            id_checksum(lines, len, 0));
}

Test(shard_format, an_identity_comes_back)
{
    char text[SHARD_TEXT_MAX];
    struct shard_identity r;
    size_t len = shard_identity_encode(&identity, text);

    cr_assert_eq(strlen(text), len);
    cr_assert_eq(strncmp(text, "tallyfs shard 1\nid=0102ff", 25), 0);
    cr_assert_not_null(strstr(text, "\nnumber=513\n"));
    cr_assert_eq(shard_identity_decode(text, len, &r), 0);
    cr_assert_eq(memcmp(&r, &identity, sizeof r), 0);
}

Test(shard_format, a_changed_bit_anywhere_in_a_text_is_damage)
{
    char text[SHARD_TEXT_MAX];
    struct shard_identity r = {.number = 9};
    uint8_t token[SHARD_TOKEN_LEN] = {1}, got[SHARD_TOKEN_LEN] = {9};
    size_t len = shard_identity_encode(&identity, text);

    for (size_t i = 0; i < 8 * len; i++) {
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
        cr_assert_eq(shard_identity_decode(text, len, &r), -EUCLEAN, "bit %zu", i);
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
    }
    for (size_t n = 0; n < len; n++)
        cr_assert_eq(shard_identity_decode(text, n, &r), -EUCLEAN);
    cr_assert_eq(r.number, 9);
    len = shard_token_encode(token, text);
    for (size_t i = 0; i < 8 * len; i++) {
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
        cr_assert_eq(shard_token_decode(text, len, got), -EUCLEAN, "bit %zu", i);
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
    }
    cr_assert_eq(got[0], 9);
    cr_assert_eq(shard_token_decode(text, len, got), 0);
    cr_assert_eq(memcmp(got, token, sizeof got), 0);
}

Test(shard_format, one_text_is_not_taken_for_another)
{
    char text[SHARD_TEXT_MAX];
    struct shard_identity r;
    uint8_t token[SHARD_TOKEN_LEN] = {1};

    size_t len = shard_identity_encode(&identity, text);
    cr_assert_eq(shard_token_decode(text, len, token), -EUCLEAN);
    len = shard_token_encode(token, text);
    cr_assert_eq(shard_identity_decode(text, len, &r), -EUCLEAN);
}

#define HEX32 "01000000000000000000000000000000"
#define BEGIN "tallyfs shard 1\nid=" HEX32 "\nstore=" HEX32 "\n"

Test(shard_format, a_text_that_says_the_same_otherwise_is_refused)
{
    static const char *const bad[] = {
        BEGIN,
        BEGIN "number=0\n",
        BEGIN "number=65537\n",
        BEGIN "number=01\n",
        BEGIN "number=-1\n",
        BEGIN "number=1\nmore=1\n",
        BEGIN "number=1\n\n",
        "tallyfs shard 1\nstore=" HEX32 "\nid=" HEX32 "\nnumber=1\n",
        "tallyfs shard x\nid=" HEX32 "\nstore=" HEX32 "\nnumber=1\n",
    };
    char text[SHARD_TEXT_MAX];
    struct shard_identity r;

    cr_assert_eq(shard_identity_decode(text, summed(text, BEGIN "number=1\n"), &r), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(shard_identity_decode(text, summed(text, bad[i]), &r), -EUCLEAN, "%zu", i);
    cr_assert_eq(shard_identity_decode(text, summed(text, "tallyfs shard 2\nanything\n"), &r),
                 -EPROTO);
}

Test(shard_format, the_name_of_a_fence_file_has_the_token_in_it)
{
    static const uint8_t token[SHARD_TOKEN_LEN] = {0x0a, 0xff};
    char name[SHARD_FENCE_NAME];

    shard_fence_name(token, name);
    cr_assert_str_eq(name, "claims/0aff0000000000000000000000000000");
}

/* ---- records ---- */

Test(shard_format, a_record_comes_back)
{
    uint8_t b[SHARD_RECORD_MAX];
    struct shard_record in = record, r;

    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            memset(in.url, 'u', SHARD_RECORD_URL);
            in.draining = false;
        }
        if (i == 2) {
            in.has_next = false;
            memset(in.next, 0, sizeof in.next);
        }
        size_t len = shard_record_encode(&in, NUMBER, b);

        cr_assert_eq(len, SHARD_RECORD_HEAD + strlen(in.url));
        cr_assert_eq(shard_record_decode(b, len, NUMBER, &r), 0);
        cr_assert_str_eq(r.url, in.url);
        cr_assert(r.incarnation == in.incarnation && r.has_next == in.has_next &&
                  r.draining == in.draining);
        cr_assert_arr_eq(r.id, in.id, SHARD_ID_LEN);
        cr_assert_arr_eq(r.token, in.token, SHARD_TOKEN_LEN);
        cr_assert_arr_eq(r.next, in.next, SHARD_TOKEN_LEN);
    }
}

Test(shard_format, a_changed_bit_or_length_or_number_of_a_record_is_damage)
{
    uint8_t b[SHARD_RECORD_MAX];
    struct shard_record r = {.incarnation = 9};
    size_t len = shard_record_encode(&record, NUMBER, b);

    for (size_t i = 0; i < 8 * len; i++) {
        b[i / 8] = (uint8_t)(b[i / 8] ^ 1 << i % 8);
        cr_assert_eq(shard_record_decode(b, len, NUMBER, &r), -EUCLEAN, "bit %zu", i);
        b[i / 8] = (uint8_t)(b[i / 8] ^ 1 << i % 8);
    }
    for (size_t n = 0; n < len; n++)
        cr_assert_eq(shard_record_decode(b, n, NUMBER, &r), -EUCLEAN);
    cr_assert_eq(shard_record_decode(b, len, NUMBER + 1, &r), -EUCLEAN, "another one's");
    cr_assert_eq(r.incarnation, 9);
}

/* Decoded after `byte` became `value` and the sum was made to fit. */
static int decode_with(size_t byte, uint8_t value)
{
    uint8_t b[SHARD_RECORD_MAX];
    struct shard_record r;
    size_t len = shard_record_encode(&record, NUMBER, b);

    b[byte] = value;
    put_le64(b, id_checksum(b + 8, len - 8, NUMBER));
    return shard_record_decode(b, len, NUMBER, &r);
}

Test(shard_format, what_a_record_cannot_say_is_refused)
{
    cr_assert_eq(decode_with(8, 1), 0);
    cr_assert_eq(decode_with(8, 0), -EUCLEAN);
    cr_assert_eq(decode_with(8, 2), -EPROTO);
    cr_assert_eq(decode_with(12, 8), -EUCLEAN, "an unknown flag");
    cr_assert_eq(decode_with(12, 4), -EUCLEAN, "an archive with a token");
    cr_assert_eq(decode_with(12, 0), -EUCLEAN, "a next one where there is none");
    cr_assert_eq(decode_with(20, 1), -EUCLEAN, "not zero");
    cr_assert_eq(decode_with(SHARD_RECORD_HEAD + 2, 0), -EUCLEAN, "a NUL in the URL");
    cr_assert_eq(decode_with(SHARD_RECORD_HEAD + 2, '\n'), -EUCLEAN);
}

Test(shard_format, the_floor_of_lives_comes_back_and_damage_is_told)
{
    uint8_t b[SHARD_FLOOR_LEN];
    uint32_t incarnation = 0;

    shard_floor_encode(UINT32_MAX, b);
    cr_assert_eq(shard_floor_decode(b, sizeof b, &incarnation), 0);
    cr_assert_eq(incarnation, UINT32_MAX);
    for (size_t i = 0; i < 8 * sizeof b; i++) {
        b[i / 8] = (uint8_t)(b[i / 8] ^ 1 << i % 8);
        cr_assert_eq(shard_floor_decode(b, sizeof b, &incarnation), -EUCLEAN);
        b[i / 8] = (uint8_t)(b[i / 8] ^ 1 << i % 8);
    }
    cr_assert_eq(shard_floor_decode(b, 8, &incarnation), -EUCLEAN);
    b[8] = 2;
    put_le64(b, id_checksum(b + 8, sizeof b - 8, 0));
    cr_assert_eq(shard_floor_decode(b, sizeof b, &incarnation), -EPROTO);
}

/* ---- records of archives ---- */

static const struct shard_record archive = {.id = {1, 2, 0xff},
                                            .archive = true,
                                            .lineage = 0x01020304,
                                            .seen = 7,
                                            .url = "s3:bucket/archive"};

Test(shard_format, a_record_of_an_archive_comes_back)
{
    uint8_t b[SHARD_RECORD_MAX];
    struct shard_record r;
    size_t len = shard_record_encode(&archive, NUMBER, b);

    cr_assert_eq(get_le32(b + 12), 4);
    cr_assert_eq(get_le32(b + 16), 7);
    cr_assert_eq(get_le32(b + 20), 0x01020304);
    cr_assert_eq(shard_record_decode(b, len, NUMBER, &r), 0);
    cr_assert(r.archive && !r.draining && !r.has_next && r.incarnation == 0);
    cr_assert_eq(r.lineage, archive.lineage);
    cr_assert_eq(r.seen, 7);
    cr_assert_arr_eq(r.id, archive.id, SHARD_ID_LEN);
    cr_assert_str_eq(r.url, archive.url);
}

Test(shard_format, an_archive_may_be_one_that_is_only_read_and_was_drilled)
{
    struct shard_record only_read = archive, r;
    uint8_t b[SHARD_RECORD_MAX];

    only_read.draining = true;
    only_read.drilled = 1234567890123456789;
    cr_assert_eq(shard_record_decode(b, shard_record_encode(&only_read, NUMBER, b), NUMBER, &r), 0);
    cr_assert(r.archive && r.draining && r.drilled == 1234567890123456789);
}

Test(shard_format, what_is_of_a_shard_alone_an_archive_does_not_have)
{
    static const size_t zeros[] = {40, 55, 64, 71};
    uint8_t b[SHARD_RECORD_MAX];
    struct shard_record r;
    size_t len = shard_record_encode(&archive, NUMBER, b);

    for (uint8_t flags = 6; flags < 8; flags++) {
        b[12] = flags;
        put_le64(b, id_checksum(b + 8, len - 8, NUMBER));
        cr_assert_eq(shard_record_decode(b, len, NUMBER, &r), -EUCLEAN, "flags %u", flags);
    }
    b[12] = 4;
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        b[zeros[i]] = 1;
        put_le64(b, id_checksum(b + 8, len - 8, NUMBER));
        cr_assert_eq(shard_record_decode(b, len, NUMBER, &r), -EUCLEAN, "byte %zu", zeros[i]);
        b[zeros[i]] = 0;
    }
}
