// SPDX-License-Identifier: Apache-2.0
/* What feature_flags.h promises. */
#include "feature_flags.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t with_sum(const char *lines, char out[4096])
{
    struct text_writer w = {out, 4096, 0};

    text_add(&w, "%s", lines);
    return text_end(&w, 0);
}

static int decode(const char *lines, struct store_text *ret)
{
    char text[4096];

    return store_text_decode(text, with_sum(lines, text), ret);
}

static void is_same(const struct store_text *a, const struct store_text *b)
{
    cr_assert_eq(a->pooled, b->pooled);
    for (int i = 0; i < FEATURE_KINDS; i++) {
        cr_assert_eq(a->features.mask[i], b->features.mask[i]);
        cr_assert_str_eq(a->features.names[i], b->features.names[i]);
    }
}

Test(features, the_text_of_a_store_comes_back)
{
    const struct store_text made[] = {
        {.pooled = false},
        {.pooled = true},
        {.features = {.mask = {1, UINT64_MAX, 0x8000000000000001},
                      .names = {" a-name", " - b2", " one two"}}},
    };
    char text[STORE_TEXT_MAX + 1];
    struct store_text t;

    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        size_t len = store_text_encode(&made[i], text);

        cr_assert_eq(strlen(text), len);
        cr_assert_eq(store_text_decode(text, len, &t), 0);
        cr_assert_eq(t.version, 6);
        is_same(&t, &made[i]);
    }
}

Test(features, an_older_store_has_a_line_and_no_features)
{
    static const char *const lines[] = {"tallyfs store 2", "tallyfs store 3", "tallyfs store 4",
                                        "tallyfs store 5"};
    struct store_text t;
    char text[64];

    for (unsigned i = 0; i < 4; i++)
        for (unsigned pooled = 0; pooled < 2; pooled++) {
            int n = snprintf(text, sizeof text, "%s%s\n", lines[i], pooled ? " in a pool" : "");

            memset(&t, 0xff, sizeof t);
            cr_assert_eq(store_text_decode(text, (size_t)n, &t), 0);
            cr_assert_eq(t.version, 2 + i);
            cr_assert_eq(t.pooled, pooled);
            cr_assert_eq(t.features.mask[FEATURE_INCOMPATIBLE], 0);
        }
}

#define FULL                                                                                       \
    " a-name-that-is-long-enough-to-take-a-third-of-it another-name-that-is-long-enough-for-the-"  \
    "second-third and-its-last-word-here"

/* Checks that the text has `names` of one kind, and reads as it is. */
static void has_names(const struct store_text *made, enum feature_kind kind, const char *names)
{
    char text[STORE_TEXT_MAX + 1];
    size_t len = store_text_encode(made, text);
    struct store_text t;

    cr_assert_eq(store_text_decode(text, len, &t), 0, "%s", text);
    cr_assert_eq(memcmp(t.features.mask, made->features.mask, sizeof t.features.mask), 0);
    cr_assert_str_eq(t.features.names[kind], names, "%s", text);
}

Test(features, names_that_have_no_room_are_left_out_and_the_text_is_sound)
{
    struct store_text full = {.pooled = true,
                              .features = {.mask = {7, 7, 7}, .names = {FULL, FULL, FULL}}};

    cr_assert_lt(strlen(FULL), FEATURES_NAMES);
    has_names(&full, FEATURE_INCOMPATIBLE,
              " a-name-that-is-long-enough-to-take-a-third-of-it "
              "another-name-that-is-long-enough-for-the-second-third");
    has_names(&full, FEATURE_READ_ONLY, "");
    has_names(&full, FEATURE_COMPATIBLE, "");
    full.features.names[FEATURE_INCOMPATIBLE][0] = '\0';
    has_names(&full, FEATURE_COMPATIBLE, "");
    full.features.names[FEATURE_READ_ONLY][0] = '\0';
    full.pooled = false;
    has_names(&full, FEATURE_COMPATIBLE, FULL);
}

Test(features, a_line_with_more_behind_it_is_no_older_store)
{
    struct store_text t;

    cr_assert_eq(store_text_decode("tallyfs store 5\n\0more", 21, &t), -EPROTO);
    cr_assert_eq(store_text_decode("tallyfs store 5\nmore", 20, &t), -EPROTO);
}

Test(features, a_text_of_another_version_is_said_to_be_one)
{
    static const char *const other[] = {"tallyfs store 1\n", "tallyfs store 7\n",
                                        "tallyfs store 7 in a pool\nand=more\n",
                                        "tallyfs store 60\n", "tallyfs store x\n",
                                        "tallyfs store 5 with more\n"};
    struct store_text t;

    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        cr_assert_eq(store_text_decode(other[i], strlen(other[i]), &t), -EPROTO, "%s", other[i]);
    cr_assert_eq(store_text_decode("", 0, &t), -ENOENT);
    cr_assert_eq(store_text_decode("tallyfs pool 2\n", 15, &t), -ENOENT);
}

Test(features, no_bit_of_the_text_can_change_unnoticed)
{
    const struct store_text made = {.features = {.mask = {1, 2, 4}, .names = {" name", "", ""}}};
    char text[STORE_TEXT_MAX + 1];
    size_t len = store_text_encode(&made, text);
    struct store_text t;

    for (size_t i = 0; i < 8 * len; i++) {
        text[i / 8] ^= (char)(1 << i % 8);
        cr_assert_lt(store_text_decode(text, len, &t), 0, "bit %zu", i);
        text[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t n = 0; n < len; n++)
        cr_assert_lt(store_text_decode(text, n, &t), 0, "length %zu", n);
}

#define ZERO "0000000000000000"
#define BEGIN "tallyfs store 6\n"
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

Test(features, there_is_one_text_for_what_it_says)
{
    static const char *const bad[] = {
        BEGIN,
        BEGIN "compatible=0\nread_only=0\nincompatible=0\n",
        BEGIN "compatible=" ZERO "\nread_only=" ZERO "\n",
        BEGIN "compatible=" ZERO "\nincompatible=" ZERO "\nread_only=" ZERO "\n",
        BEGIN "compatible=" ZERO " name\nread_only=" ZERO "\nincompatible=" ZERO "\n",
        BEGIN "compatible=0000000000000001  name\nread_only=" ZERO "\nincompatible=" ZERO "\n",
        BEGIN "compatible=0000000000000001 name \nread_only=" ZERO "\nincompatible=" ZERO "\n",
        BEGIN "compatible=0000000000000001 Name\nread_only=" ZERO "\nincompatible=" ZERO "\n",
        BEGIN "compatible=0000000000000001 " LONG LONG "\n",
        BEGIN "compatible=0000000000000001 " LONG "\n",
        "tallyfs store 6 in a poo\ncompatible=" ZERO "\nread_only=" ZERO "\nincompatible=" ZERO "\n",
        BEGIN "compatible=" ZERO "\nread_only=" ZERO "\nincompatible=" ZERO "\nmore=1\n",
    };
    struct store_text t;

    cr_assert_eq(decode(BEGIN "compatible=" ZERO "\nread_only=" ZERO "\nincompatible=" ZERO "\n",
                        &t), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(decode(bad[i], &t), -EUCLEAN, "%zu", i);
}

static int check(uint64_t compatible, uint64_t read_only, uint64_t incompatible, bool writes,
                 char why[FEATURES_WHY])
{
    struct features f = {.mask = {compatible, read_only, incompatible}};

    return features_check(&f, writes, why);
}

Test(features, one_that_is_not_known_stops_who_would_do_wrong)
{
    char why[FEATURES_WHY];

    cr_assert_eq(check(UINT64_MAX, 0, 0, true, why), 0);
    cr_assert_eq(check(0, 1ull << 63, 0, false, why), 0);
    cr_assert_eq(check(0, 1ull << 63, 0, true, why), -EPROTO);
    cr_assert_str_eq(why, "read_only 63");
    cr_assert_eq(check(0, 1ull << 63, 1ull << 62, false, why), -EPROTO);
    cr_assert_str_eq(why, "incompatible 62");
    cr_assert_eq(check(0, 0, UINT64_MAX, true, why), -EPROTO);
    cr_assert_lt(strlen(why), FEATURES_WHY);
}

Test(features, those_with_a_meaning_are_known_and_those_of_later_versions_are_not)
{
    struct features f = {.mask = {0, 0, 0xb}, .names = {"", "", " one two compressed-files"}};
    char why[FEATURES_WHY];

    cr_assert_eq(check(0, 0, FEATURE_ABSENT_OBJECTS, true, why), 0);
    cr_assert_eq(check(0, 0, FEATURE_ARCHIVE, true, why), 0);
    cr_assert_eq(check(0, 0, FEATURE_COMPRESSED_RECORDS, true, why), 0);
    cr_assert_eq(features_check(&f, false, why), -EPROTO);
    cr_assert_str_eq(why, "incompatible 3 (compressed-files)");
}

Test(features, one_that_is_not_known_is_named_as_its_writer_did)
{
    struct features f = {.mask = {0, 0, 7ull << 60}, .names = {"", "", " one - three"}};
    char why[FEATURES_WHY];

    cr_assert_eq(features_check(&f, false, why), -EPROTO);
    cr_assert_str_eq(why, "incompatible 60 (one), incompatible 61, incompatible 62 (three)");
    f.names[FEATURE_INCOMPATIBLE][4] = '\0';
    cr_assert_eq(features_check(&f, false, why), -EPROTO);
    cr_assert_str_eq(why, "incompatible 60 (one), incompatible 61, incompatible 62");
}
