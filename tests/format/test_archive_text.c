// SPDX-License-Identifier: Apache-2.0
/* Claims of archive_text.h. */
#include "archive_text.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct archive_format format = {.id = {1, 2, 0xff}};
static const struct archive_lineage lineage = {
    .number = 7,
    .store = {3},
    .key = {.secret = {4}, .veiled = true, .veil = {{5}}},
    .label = "org/project",
    .why = ARCHIVE_FORK,
    .parent = 2,
    .parent_at = {3, 4},
    .parent_seq = 5,
    .time = -6};
static const struct archive_claim claim = {
    .lineage = 7, .epoch = 9, .token = {8}, .host = "a host", .boot = "b-1", .time = INT64_MIN};
static const struct archive_terminator terminator = {7, {9, 10}, 10};
static const struct archive_pin pin = {.token = {1, 0xfe},
                                       .lineage = 7,
                                       .store = {9, 8},
                                       .at = {3, 4},
                                       .behind = {5, 6},
                                       .who = "who = me",
                                       .time = INT64_MAX};

#define KINDS 5

/* Encodes the sample of a kind. */
static size_t encode(int kind, char out[ARCHIVE_TEXT_MAX])
{
    switch (kind) {
    case 0:
        return archive_format_encode(&format, out);
    case 1:
        return archive_lineage_encode(&lineage, out);
    case 2:
        return archive_claim_encode(&claim, out);
    case 3:
        return archive_terminator_encode(&terminator, out);
    default:
        return archive_pin_encode(&pin, out);
    }
}

union thing {
    struct archive_format format;
    struct archive_lineage lineage;
    struct archive_claim claim;
    struct archive_terminator terminator;
    struct archive_pin pin;
};

/* Decodes a text as that of a kind, where the sample is. */
static int decode(int kind, const char *text, size_t len, union thing *ret)
{
    switch (kind) {
    case 0:
        return archive_format_decode(text, len, &ret->format);
    case 1:
        return archive_lineage_decode(text, len, lineage.number, &ret->lineage);
    case 2:
        return archive_claim_decode(text, len, claim.lineage, claim.epoch, &ret->claim);
    case 3:
        return archive_terminator_decode(text, len, terminator.lineage, terminator.at,
                                         &ret->terminator);
    default:
        return archive_pin_decode(text, len, pin.token, &ret->pin);
    }
}

/* ---- texts come back ---- */

static void assert_same_lineage(const struct archive_lineage *a, const struct archive_lineage *b)
{
    cr_assert(a->number == b->number && a->why == b->why && a->parent == b->parent);
    cr_assert_arr_eq(a->store, b->store, sizeof a->store);
    cr_assert(id_key_equal(&a->key, &b->key) && !a->key.fold);
    cr_assert_str_eq(a->label, b->label);
    cr_assert_eq(segment_pos_compare(a->parent_at, b->parent_at), 0);
    cr_assert(a->parent_seq == b->parent_seq && a->time == b->time);
}

static void assert_lineage_comes_back(const struct archive_lineage *l)
{
    char text[ARCHIVE_TEXT_MAX];
    struct archive_lineage got;
    size_t len = archive_lineage_encode(l, text);

    cr_assert_eq(archive_lineage_decode(text, len, l->number, &got), 0, "%s", text);
    assert_same_lineage(&got, l);
}

Test(archive_text, an_archive_comes_back)
{
    char text[ARCHIVE_TEXT_MAX];
    struct archive_format got;
    size_t len = archive_format_encode(&format, text);

    cr_assert_eq(strncmp(text, "tallyfs archive 1\nid=0102ff", 27), 0);
    cr_assert_eq(archive_format_decode(text, len, &got), 0);
    cr_assert_arr_eq(got.id, format.id, sizeof got.id);
}

Test(archive_text, a_lineage_comes_back_with_the_keys_that_make_the_same_ids)
{
    struct archive_lineage l = lineage;

    assert_lineage_comes_back(&l);
    l.key = (struct id_key){.secret = {9}}; /* ids that are not veiled */
    assert_lineage_comes_back(&l);
    l.parent_at = (struct segment_pos){0};
    l.parent_seq = 0;
    assert_lineage_comes_back(&l);
    for (int why = 0; why < ARCHIVE_WHY_END; why++) {
        l.why = (enum archive_why)why;
        l.parent = why == ARCHIVE_INIT ? 0 : 1;
        assert_lineage_comes_back(&l);
    }
}

Test(archive_text, the_longest_lineage_comes_back)
{
    struct archive_lineage l = {.number = UINT32_MAX,
                                .why = ARCHIVE_RESTORE,
                                .parent = UINT32_MAX - 1,
                                .parent_at = {UINT64_MAX, UINT64_MAX},
                                .parent_seq = UINT64_MAX,
                                .time = INT64_MIN};

    memset(l.store, 0xff, sizeof l.store);
    memset(l.key.secret, 0xff, sizeof l.key.secret);
    memset(l.key.veil.b, 0xff, sizeof l.key.veil.b);
    l.key.veiled = true;
    memset(l.label, '=', ARCHIVE_LABEL_MAX);
    assert_lineage_comes_back(&l);
}

Test(archive_text, a_claim_comes_back)
{
    char text[ARCHIVE_TEXT_MAX];
    struct archive_claim c = claim, got;
    size_t len;

    for (int longest = 0; longest < 2; longest++) {
        if (longest) {
            memset(c.host, 'h', ARCHIVE_HOST_MAX);
            memset(c.boot, 'b', ARCHIVE_BOOT_MAX);
            c.lineage = UINT32_MAX;
            c.epoch = UINT64_MAX;
        }
        len = archive_claim_encode(&c, text);
        cr_assert_eq(archive_claim_decode(text, len, c.lineage, c.epoch, &got), 0);
        cr_assert(got.lineage == c.lineage && got.epoch == c.epoch && got.time == c.time);
        cr_assert_arr_eq(got.token, c.token, sizeof got.token);
        cr_assert_str_eq(got.host, c.host);
        cr_assert_str_eq(got.boot, c.boot);
    }
}

Test(archive_text, a_terminator_comes_back_and_is_told_from_a_segment)
{
    char text[ARCHIVE_TEXT_MAX];
    struct archive_terminator got;
    size_t len = archive_terminator_encode(&terminator, text);

    cr_assert_eq(archive_terminator_decode(text, len, 7, terminator.at, &got), 0);
    cr_assert(got.lineage == 7 && got.next == 10);
    cr_assert_eq(segment_pos_compare(got.at, terminator.at), 0);
}

Test(archive_text, the_next_epoch_is_always_the_one_behind)
{
    struct archive_terminator t = terminator, got;
    char text[ARCHIVE_TEXT_MAX];
    size_t len;

    t.next = 11;
    len = archive_terminator_encode(&t, text);
    cr_assert_eq(archive_terminator_decode(text, len, 7, t.at, &got), -EUCLEAN);
    t.at.epoch = UINT64_MAX;
    t.next = 0;
    len = archive_terminator_encode(&t, text);
    cr_assert_eq(archive_terminator_decode(text, len, 7, t.at, &got), -EUCLEAN);
}

Test(archive_text, a_pin_comes_back)
{
    char text[ARCHIVE_TEXT_MAX];
    struct archive_pin p = pin, got;
    size_t len;

    for (int longest = 0; longest < 2; longest++) {
        if (longest)
            memset(p.who, 'w', ARCHIVE_WHO_MAX);
        len = archive_pin_encode(&p, text);
        cr_assert_eq(archive_pin_decode(text, len, p.token, &got), 0);
        cr_assert(got.lineage == p.lineage && got.time == p.time);
        cr_assert_arr_eq(got.token, p.token, sizeof got.token);
        cr_assert_arr_eq(got.store, p.store, sizeof got.store);
        cr_assert_eq(segment_pos_compare(got.at, p.at), 0);
        cr_assert_eq(segment_pos_compare(got.behind, p.behind), 0);
        cr_assert_str_eq(got.who, p.who);
    }
}

/* ---- texts that are refused ---- */

Test(archive_text, a_text_that_is_cut_off_or_changed_anywhere_is_damage)
{
    char text[ARCHIVE_TEXT_MAX];
    union thing got, was;

    for (int kind = 0; kind < KINDS; kind++) {
        size_t len = encode(kind, text);

        cr_assert_eq(strlen(text), len);
        memset(&got, 0x5a, sizeof got);
        was = got;
        for (size_t n = 0; n < len; n++)
            cr_assert_eq(decode(kind, text, n, &got), -EUCLEAN, "%d: %zu bytes", kind, n);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
            cr_assert_eq(decode(kind, text, len, &got), -EUCLEAN, "%d: bit %zu", kind, bit);
            text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        }
        cr_assert_eq(memcmp(&got, &was, sizeof got), 0);
    }
}

Test(archive_text, one_text_is_not_taken_for_another)
{
    char text[ARCHIVE_TEXT_MAX];
    union thing got;

    for (int kind = 0; kind < KINDS; kind++) {
        size_t len = encode(kind, text);

        for (int other = 0; other < KINDS; other++)
            cr_assert_eq(decode(other, text, len, &got), other == kind ? 0 : -EUCLEAN, "%d as %d",
                         kind, other);
    }
}

Test(archive_text, a_text_of_another_place_is_refused)
{
    char text[ARCHIVE_TEXT_MAX];
    union thing got;
    size_t len = encode(1, text);

    cr_assert_eq(archive_lineage_decode(text, len, 8, &got.lineage), -EUCLEAN);
    len = encode(2, text);
    cr_assert_eq(archive_claim_decode(text, len, 8, 9, &got.claim), -EUCLEAN);
    cr_assert_eq(archive_claim_decode(text, len, 7, 8, &got.claim), -EUCLEAN);
    len = encode(3, text);
    cr_assert_eq(archive_terminator_decode(text, len, 8, terminator.at, &got.terminator), -EUCLEAN);
    cr_assert_eq(
        archive_terminator_decode(text, len, 7, (struct segment_pos){9, 9}, &got.terminator),
        -EUCLEAN);
    len = encode(4, text);
    cr_assert_eq(archive_pin_decode(text, len, format.id, &got.pin), -EUCLEAN);
}

/* Replaces `old` in the sample of a kind by `new`, and makes the checksum fit. */
static size_t forge(int kind, const char *old, const char *new, char out[ARCHIVE_TEXT_MAX])
{
    char text[ARCHIVE_TEXT_MAX], *found;
    const uint64_t seed = kind == 0 || kind == 4 ? 0 : 7;
    size_t len;

    (void)encode(kind, text);
    *(strstr(text, "\nsum=") + 1) = '\0';
    found = strstr(text, old);
    cr_assert_not_null(found, "%s", old);
    len = (size_t)snprintf(out, ARCHIVE_TEXT_MAX, "%.*s%s%s", (int)(found - text), text, new,
                           found + strlen(old));
    return len + (size_t)snprintf(out + len, ARCHIVE_TEXT_MAX - len, "sum=%016" PRIx64 "\n",
                                  id_checksum(out, len, seed));
}

Test(archive_text, a_text_that_says_what_cannot_be_is_refused)
{
    static const struct {
        int kind;
        const char *old, *good, *bad;
    } forged[] = {
        {0, "id=0102", "id=ffff", "id=0g02"},
        {0, "id=0102", "id=ffff", "id=01"},
        {1, "label=org", "label=", "label=\x7f"},
        {1, "label=org", "label=", "label=\t"},
        {1, "why=fork", "why=clone", "why=forks"},
        {1, "why=fork", "why=clone", "why="},
        {1, "why=fork", "why=clone", "why=init"},
        {1, "parent=2", "parent=6", "parent=7"},
        {1, "parent=2", "parent=6", "parent=0"},
        {1, "parent=2", "parent=6", "parent=4294967298"},
        {1, "epoch=3", "epoch=1", "epoch=0"},
        {1, "serial=4", "serial=1", "serial=0"},
        {1, "epoch=3\nserial=4\nseq=5", "epoch=0\nserial=0\nseq=0", "epoch=0\nserial=0\nseq=5"},
        {1, "time=-6", "time=6", "time=06"},
        {1, "time=-6", "time=6", "time=6\nmore=1"},
        {1, "lineage=7", "lineage=7", "lineage=8"},
        {2, "epoch=9", "epoch=9", "epoch=09"},
        {2, "host=a", "host=", "host=\x01"},
        {2, "boot=b", "boot=", "boot=\x7f"},
        {3, "next=10", "next=10", "next=9"},
        {3, "serial=10", "serial=10", "serial=11"},
        {4, "lineage=7", "lineage=4294967295", "lineage=0"},
        {4, "lineage=7", "lineage=4294967295", "lineage=4294967296"},
        {4, "who=who", "who=", "who=\x1f"},
    };
    char text[ARCHIVE_TEXT_MAX];
    union thing got;

    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        size_t len = forge(forged[i].kind, forged[i].old, forged[i].good, text);

        cr_assert_eq(decode(forged[i].kind, text, len, &got), 0, "%zu: %s", i, text);
        len = forge(forged[i].kind, forged[i].old, forged[i].bad, text);
        cr_assert_eq(decode(forged[i].kind, text, len, &got), -EUCLEAN, "%zu: %s", i, text);
    }
}

Test(archive_text, a_string_that_is_too_long_is_refused)
{
    static const struct {
        int kind;
        const char *old;
        size_t most;
    } strings[] = {{1, "org/project", ARCHIVE_LABEL_MAX},
                   {2, "a host", ARCHIVE_HOST_MAX},
                   {2, "b-1", ARCHIVE_BOOT_MAX},
                   {4, "who = me", ARCHIVE_WHO_MAX}};
    char text[ARCHIVE_TEXT_MAX], new[300];
    union thing got;

    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        for (size_t more = 0; more < 2; more++) {
            memset(new, 'x', sizeof new);
            new[strings[i].most + more] = '\0';
            size_t len = forge(strings[i].kind, strings[i].old, new, text);

            cr_assert_eq(decode(strings[i].kind, text, len, &got), more ? -EUCLEAN : 0, "%zu", i);
        }
}

Test(archive_text, a_newer_version_is_told_from_damage)
{
    static const char *const old[KINDS] = {"archive 1", "lineage 1", "claim 1", "terminator 1",
                                           "pin 1"};
    static const char *const new[KINDS] = {"archive 2", "lineage 2", "claim 2", "terminator 2",
                                           "pin 2"};
    char text[ARCHIVE_TEXT_MAX];
    union thing got;

    for (int kind = 0; kind < KINDS; kind++) {
        size_t len = forge(kind, old[kind], new[kind], text);

        cr_assert_eq(decode(kind, text, len, &got), -EPROTO, "%d", kind);
    }
}

/* ---- names and numbers ---- */

Test(archive_text, names_say_what_they_are_the_name_of)
{
    static const uint8_t token[ARCHIVE_TOKEN_LEN] = {0x0a, [15] = 0xff};
    char name[ARCHIVE_NAME_MAX + 1];

    archive_lineage_name(0x1f, name);
    cr_assert_str_eq(name, "lineage/0000001f");
    archive_epoch_name(0x1f, 0x2e, name);
    cr_assert_str_eq(name, "l/0000001f/epoch/0000002e");
    archive_segment_name(0x1f, (struct segment_pos){0x2e, 0x3d}, name);
    cr_assert_str_eq(name, "l/0000001f/log/0000002e-0000003d");
    archive_body_name(0x1f, (struct segment_pos){0x2e, 0x3d}, name);
    cr_assert_str_eq(name, "l/0000001f/body/0000002e-0000003d");
    archive_pin_name(token, name);
    cr_assert_str_eq(name, "pins/0a0000000000000000000000000000ff");
    archive_pin_end_name(token, name);
    cr_assert_str_eq(name, "pins/0a0000000000000000000000000000ff.end");
    archive_kept_name(0x1f, 0x2e, name);
    cr_assert_str_eq(name, "l/0000001f/kept/0000002e");
    archive_begun_name(0x1f, 0x2e, name);
    cr_assert_str_eq(name, "l/0000001f/kept/0000002e.begun");
}

Test(archive_text, the_longest_name_fits)
{
    char name[ARCHIVE_NAME_MAX + 1];

    archive_body_name(UINT32_MAX, (struct segment_pos){UINT64_MAX, UINT64_MAX}, name);
    cr_assert_str_eq(name, "l/ffffffff/body/ffffffffffffffff-ffffffffffffffff");
}

Test(archive_text, each_epoch_of_a_lineage_has_numbers_of_its_own)
{
    cr_assert_eq(archive_prefix(1, 1), UINT64_C(0x0001000001000000));
    cr_assert_eq(archive_prefix(0xffff, 0xffffff), UINT64_C(0xffffffffff000000));
    cr_assert_eq(archive_prefix(1, 1) + ARCHIVE_SEQUENCE_MAX + 1, archive_prefix(1, 2));
    cr_assert_eq(archive_prefix(1, 0xffffff) + ARCHIVE_SEQUENCE_MAX + 1,
                 UINT64_C(2) << 48); /* epoch 0 of the next lineage, which there is not */
}

Test(archive_text, a_lineage_or_epoch_that_is_too_high_has_no_numbers)
{
    cr_assert_eq(archive_prefix(0x10000, 1), 0);
    cr_assert_eq(archive_prefix(1, 0x1000000), 0);
    cr_assert_eq(archive_prefix(1, UINT64_C(1) << 40), 0);
    cr_assert_eq(archive_prefix(0, 1), 0);
    cr_assert_eq(archive_prefix(1, 0), 0);
}
