// SPDX-License-Identifier: Apache-2.0
/* Claims of history_entry.h. */
#include "history_entry.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const struct history_entry sample = {
    .time = 1234567890123456789,
    .kind = HISTORY_MERGE,
    .of = UINT64_MAX,
    .again = true,
    .uid = UINT32_MAX,
    .comm = "fifteen letters",
    .ns = {VFS_NS_MAX, UINT32_MAX},
    .other = {1, 2},
    .name = "main",
    .second = "dev@dropped-17",
};

static void is_same(const struct history_entry *a, const struct history_entry *b)
{
    cr_assert_eq(a->time, b->time);
    cr_assert_eq(a->kind, b->kind);
    cr_assert_eq(a->itself, b->itself);
    cr_assert_eq(a->of, b->of);
    cr_assert_eq(a->again, b->again);
    cr_assert_eq(a->uid, b->uid);
    cr_assert_str_eq(a->comm, b->comm);
    cr_assert_eq(a->ns.number, b->ns.number);
    cr_assert_eq(a->ns.generation, b->ns.generation);
    cr_assert_eq(a->other.number, b->other.number);
    cr_assert_eq(a->other.generation, b->other.generation);
    cr_assert_str_eq(a->name, b->name);
    cr_assert_str_eq(a->second, b->second);
}

static void comes_back(const struct history_entry *e)
{
    uint8_t bytes[HISTORY_ENTRY_MAX];
    size_t len = history_entry_encode(e, bytes);
    struct history_entry got;

    cr_assert_eq(history_entry_decode(bytes, len, &got), 0);
    cr_assert_eq(got.seq, 0);
    is_same(e, &got);
}

Test(history_entry, an_entry_comes_back_as_it_was)
{
    struct history_entry e = sample;

    comes_back(&e);
    memset(e.name, 'n', HISTORY_NAME_MAX);
    memset(e.second, 's', HISTORY_NAME_MAX);
    comes_back(&e);
    e = (struct history_entry){.kind = HISTORY_CREATE, .ns = {1, 0}, .itself = true, .name = "x"};
    comes_back(&e);
}

Test(history_entry, every_kind_has_a_word_and_what_is_done_by_itself_another_one)
{
    struct history_entry e = sample;

    for (unsigned kind = 1; kind < HISTORY_KIND_END; kind++) {
        e.kind = (enum history_kind)kind;
        e.itself = false;
        cr_assert_not_null(history_entry_word(&e), "%u", kind);
        comes_back(&e);
    }
    e.itself = true;
    e.kind = HISTORY_DROP;
    cr_assert_str_eq(history_entry_word(&e), "expire");
    e.kind = HISTORY_REMOVE;
    cr_assert_str_eq(history_entry_word(&e), "purge");
    e.second[0] = '\0';
    cr_assert_str_eq(history_entry_word(&e), "expire");
}

/* An entry with one byte changed. */
static int with_byte(size_t at, uint8_t value)
{
    uint8_t bytes[HISTORY_ENTRY_MAX];
    size_t len = history_entry_encode(&sample, bytes);
    struct history_entry e;

    bytes[at] = value;
    return history_entry_decode(bytes, len, &e);
}

Test(history_entry, what_is_out_of_range_is_damage)
{
    cr_assert_eq(with_byte(0, 0), -EUCLEAN);
    cr_assert_eq(with_byte(0, HISTORY_KIND_END), -EUCLEAN);
    cr_assert_eq(with_byte(1, 4), -EUCLEAN);
    cr_assert_eq(with_byte(2, 16), -EUCLEAN);
    cr_assert_eq(with_byte(3, 1), -EUCLEAN);
    cr_assert_eq(with_byte(26, 0x40), -EUCLEAN, "a number that no namespace has");
    cr_assert_eq(with_byte(34, 0x40), -EUCLEAN, "likewise, of the other one");
    cr_assert_eq(with_byte(40, 0), -EUCLEAN, "a NUL in the name of the process");
    cr_assert_eq(with_byte(55, 200), -EUCLEAN, "a name that is longer than the bytes");
    cr_assert_eq(with_byte(56, 3), -EUCLEAN, "a name that is too long");
    cr_assert_eq(with_byte(57, 0), -EUCLEAN, "a NUL in a name");
    cr_assert_eq(with_byte(57, 'x'), 0);
}

Test(history_entry, what_names_nothing_is_damage)
{
    uint8_t bytes[HISTORY_ENTRY_MAX];
    struct history_entry e = sample, got;

    e.name[0] = '\0';
    cr_assert_eq(history_entry_decode(bytes, history_entry_encode(&e, bytes), &got), -EUCLEAN);
    e = sample;
    e.ns.number = 0;
    cr_assert_eq(history_entry_decode(bytes, history_entry_encode(&e, bytes), &got), -EUCLEAN);
    e = sample;
    e.of = 0; /* again what? */
    cr_assert_eq(history_entry_decode(bytes, history_entry_encode(&e, bytes), &got), -EUCLEAN);
}

Test(history_entry, what_is_cut_is_damage_and_changes_nothing)
{
    uint8_t bytes[HISTORY_ENTRY_MAX];
    size_t len = history_entry_encode(&sample, bytes), fixed = len - strlen(sample.second);
    struct history_entry e = {.uid = 77};

    for (size_t n = 0; n < fixed; n++)
        cr_assert_eq(history_entry_decode(bytes, n, &e), -EUCLEAN, "%zu", n);
    cr_assert_eq(e.uid, 77);
    cr_assert_eq(history_entry_decode(bytes, fixed, &e), 0);
    cr_assert_str_eq(e.second, "");
}
