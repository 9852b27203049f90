// SPDX-License-Identifier: Apache-2.0
/* Claims of catalogues: what was written comes back, and anything else is damage. */
#include "catalogue.h"

#include "bytes.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct kept_state states[] = {{{1, 5}, 10, 100}, {{2, 1}, 20, 200}};
static struct kept_run kept[] = {{1, 4, 5}, {2, 1, 1}}, gone[] = {{1, 2, 3}, {1, 6, 9}};
static struct pack_run packs[] = {{7, 9}, {12, 12}};
static struct kept_file files[] = {{{{1}}, 3}, {{{2}}, 4}};

static struct catalogue sample(void)
{
    return (struct catalogue){.lineage = 7,
                              .number = 3,
                              .time = -5,
                              .begin = {{2, 4}, 30, 300},
                              .bytes = 99,
                              .states = states,
                              .kept = kept,
                              .gone = gone,
                              .packs = packs,
                              .files = files,
                              .state_count = 2,
                              .kept_count = 2,
                              .gone_count = 2,
                              .pack_count = 2,
                              .file_count = 2};
}

static int again(const struct catalogue *c, struct catalogue *ret)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;

    cr_assert_eq(catalogue_encode(c, &b), 0);
    return catalogue_decode(b.s, b.len, 7, 3, ret);
}

Test(catalogue, it_comes_back)
{
    struct catalogue c = sample(), r;

    cr_assert_eq(again(&c, &r), 0);
    cr_assert(r.time == -5 && r.bytes == 99 && r.begin.seq == 30 && r.state_count == 2);
    cr_assert_arr_eq(r.states, states, sizeof states);
    cr_assert_arr_eq(r.kept, kept, sizeof kept);
    cr_assert_arr_eq(r.gone, gone, sizeof gone);
    cr_assert_arr_eq(r.packs, packs, sizeof packs);
    cr_assert_arr_eq(r.files, files, sizeof files);
    catalogue_release(&r);
    catalogue_release(&r);
}

Test(catalogue, it_says_what_is_kept_and_what_is_given_up)
{
    struct catalogue c = sample();

    cr_assert(catalogue_keeps(&c, (struct segment_pos){1, 4}));
    cr_assert_not(catalogue_keeps(&c, (struct segment_pos){1, 3}));
    cr_assert_not(catalogue_keeps(&c, (struct segment_pos){2, 3}));
    cr_assert(catalogue_keeps(&c, (struct segment_pos){2, 4}));
    cr_assert(catalogue_keeps(&c, (struct segment_pos){9, 1}));
    cr_assert(catalogue_gives_up(&c, true, 8) && catalogue_gives_up(&c, true, 12));
    cr_assert_not(catalogue_gives_up(&c, true, 10) || catalogue_gives_up(&c, true, 3));
    cr_assert(catalogue_gives_up(&c, false, 3) && !catalogue_gives_up(&c, false, 8));
}

Test(catalogue, a_changed_bit_or_length_or_place_is_damage)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    struct catalogue c = sample(), r = {.number = 77};

    cr_assert_eq(catalogue_encode(&c, &b), 0);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.s[bit / 8] = (char)(b.s[bit / 8] ^ 1 << bit % 8);
        cr_assert_eq(catalogue_decode(b.s, b.len, 7, 3, &r), -EUCLEAN, "bit %zu", bit);
        b.s[bit / 8] = (char)(b.s[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < b.len; n++)
        cr_assert_eq(catalogue_decode(b.s, n, 7, 3, &r), -EUCLEAN);
    cr_assert_eq(catalogue_decode(b.s, b.len, 8, 3, &r), -EUCLEAN);
    cr_assert_eq(catalogue_decode(b.s, b.len, 7, 4, &r), -EUCLEAN);
    cr_assert_eq(r.number, 77);
}

Test(catalogue, a_newer_version_is_told_from_damage)
{
    CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
    struct catalogue c = sample(), r;

    cr_assert_eq(catalogue_encode(&c, &b), 0);
    put_le32(b.s + 8, 2);
    put_le64(b.s + b.len - 8, id_checksum(b.s, b.len - 8, 7));
    cr_assert_eq(catalogue_decode(b.s, b.len, 7, 3, &r), -EPROTO);
}

Test(catalogue, what_contradicts_itself_is_damage)
{
    struct catalogue c = sample(), r;
    struct kept_run both[] = {{1, 2, 4}}, behind[] = {{2, 4, 5}}, upside[] = {{1, 9, 6}};
    struct kept_state odd[] = {{{1, 3}, 10, 100}, {{2, 1}, 20, 200}};
    struct pack_run overlap[] = {{7, 9}, {9, 12}};

    c.gone = both;
    c.gone_count = 1;
    cr_assert_eq(again(&c, &r), -EUCLEAN, "a segment is kept and given up");
    c.gone = behind;
    cr_assert_eq(again(&c, &r), -EUCLEAN, "behind the begin all is kept");
    c.gone = upside;
    cr_assert_eq(again(&c, &r), -EUCLEAN);
    c = sample();
    c.states = odd;
    cr_assert_eq(again(&c, &r), -EUCLEAN, "a state is not kept");
    c = sample();
    c.packs = overlap;
    cr_assert_eq(again(&c, &r), -EUCLEAN);
    c = sample();
    c.begin.at.serial = 0;
    cr_assert_eq(again(&c, &r), -EUCLEAN);
}
