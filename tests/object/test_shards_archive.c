// SPDX-License-Identifier: Apache-2.0
/* Claims of shards.h about archives: which there are, their states, and who may write there. */
#define SUITE shards_archive
#include "shards_world.h"

#include "archive.h"

#define PREFIX UINT64_C(0x0000000a77000000)

static int add_archive(struct side *side, uint16_t number, const char *url)
{
    char why[SHARD_WHY] = "";
    int err = shards_add_archive(side->set, number, url, archive_id, 7, true, why);

    cr_assert_eq(err < 0, *why != '\0', "%d: %s", err, why);
    return err;
}

/* An archive at mem:cold is number 1 of side a. */
static void made(struct world *w)
{
    archive_make("mem:cold");
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), 0);
}

static struct shards_info info_of(struct side *side, uint16_t number)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(side->set, number, &info), 0);
    return info;
}

static uint64_t calls(struct world *w)
{
    uint64_t n = 0;

    for (int i = 0; i < SHARD_MEM_CALLS; i++)
        n += shard_mem_calls(w->cold, (enum shard_mem_call)i);
    return n;
}

/* ---- which there are ---- */

WORLD(an_added_one_is_there_when_opened_again_and_nothing_was_put_there)
{
    made(w);
    cr_assert_eq(shard_mem_count(w->cold), 1);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    reopen(w, &w->a);
    struct shards_info info = info_of(&w->a, 1);

    cr_assert(info.archive);
    cr_assert_eq(info.lineage, 7);
    cr_assert_arr_eq(info.id, archive_id, 16);
    cr_assert_str_eq(info.url, "mem:cold");
    cr_assert_eq(info.state, SHARDS_NEW);
    cr_assert(shards_is_archive(w->a.set, 1));
    cr_assert_not(shards_is_archive(w->a.set, 2));
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    cr_assert_eq(shard_mem_count(w->cold), 1);
}

WORLD(a_shard_is_no_archive)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_not(info_of(&w->a, 1).archive);
    cr_assert_not(shards_is_archive(w->a.set, 1));
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), -EINVAL);
}

WORLD(what_is_not_that_archive_is_not_added)
{
    static const uint8_t another[16] = {9};

    cr_assert_eq(add_archive(&w->a, 1, "mem:nowhere"), -EHOSTUNREACH);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), -ENOENT);
    archive_format("mem:cold", "tallyfs archive 1\n", another);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), -EBUSY);
    archive_format("mem:cold", "tallyfs archive 2\n", archive_id);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), -EPROTO);
    archive_make("mem:cold");
    cr_assert_eq(shard_mem_flip(w->cold, "format", 25, 1), 0);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), -EUCLEAN);
    archive_make("mem:cold");
    cr_assert_eq(add_archive(&w->a, 0, "mem:cold"), -EINVAL);
    cr_assert_eq(add_archive(&w->a, 1, "nothing"), -EINVAL);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), 0);
}

WORLD(a_number_a_place_and_an_archive_are_there_once)
{
    made(w);
    shard_mem_copy(w->other, w->cold);
    cr_assert_eq(add_archive(&w->a, 1, "mem:other"), -EEXIST);
    cr_assert_eq(add_archive(&w->a, 2, "mem:cold"), -EBUSY);
    cr_assert_eq(add_archive(&w->a, 2, "mem:other"), -EBUSY, "the same archive elsewhere");
    cr_assert_eq(add(&w->a, 1, "mem:other"), -EEXIST);
    cr_assert_eq(add(&w->a, 2, "mem:cold"), -EBUSY);
    cr_assert_eq(shard_mem_count(w->cold), 1);
}

WORLD(an_archive_does_not_become_a_shard)
{
    archive_make("mem:cold");
    cr_assert_eq(add(&w->a, 1, "mem:cold"), -ENOTEMPTY);
    cr_assert_eq(shard_mem_count(w->cold), 1);
}

WORLD(several_stores_have_the_same_one)
{
    static const uint8_t another[16] = {9};

    made(w);
    open_as(w, &w->b, another, false);
    cr_assert_eq(add_archive(&w->b, 5, "mem:cold"), 0);
    cr_assert_eq(state(&w->b, 5), SHARDS_OK);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
}

WORLD(a_store_that_is_only_read_gets_none)
{
    archive_make("mem:cold");
    close_side(&w->a);
    open_as(w, &w->a, store_id, true);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), -EROFS);
}

WORLD(one_that_is_removed_stays_as_it_is_and_is_not_asked)
{
    char why[SHARD_WHY];

    made(w);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    uint64_t before = calls(w);

    cr_assert_eq(shards_remove(w->a.set, 1, why), 0, "%s", why);
    cr_assert_eq(calls(w), before);
    cr_assert_eq(shard_mem_count(w->cold), 1);
    cr_assert_eq(shards_info_get(w->a.set, 1, &(struct shards_info){0}), -ENXIO);
    cr_assert_eq(add_archive(&w->a, 1, "mem:cold"), 0);
}

WORLD(one_is_not_drained)
{
    made(w);
    cr_assert_eq(shards_set_draining(w->a.set, 1, true), -EINVAL);
    cr_assert_not(info_of(&w->a, 1).draining);
}

WORLD(numbers_are_given_from_above)
{
    cr_assert_eq(shards_free_number(w->a.set), 65535);
    cr_assert_eq(add(&w->a, 65535, "mem:other"), 0);
    cr_assert_eq(shards_free_number(w->a.set), 65534);
    archive_make("mem:cold");
    cr_assert_eq(add_archive(&w->a, 65533, "mem:cold"), 0);
    cr_assert_eq(shards_free_number(w->a.set), 65534);
}

/* Records of places that nobody asks for. */
WORLD(without_room_no_number_is_free)
{
    struct shard_record r = {.archive = true};
    uint8_t value[SHARD_RECORD_MAX];

    for (unsigned i = 1; i <= SHARDS_MAX; i++) {
        const uint8_t key[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        snprintf(r.url, sizeof r.url, "mem:nowhere-%u", i);
        cr_assert_eq(kv_put_row(w->a.kv, 0, key, 2, value,
                                shard_record_encode(&r, (uint16_t)i, value)), 0);
    }
    reopen(w, &w->a);
    cr_assert_eq(shards_free_number(w->a.set), 0);
}

/* ---- states ---- */

WORLD(the_states_are_those_of_any_shard)
{
    static const uint8_t another[16] = {9};

    made(w);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    reopen(w, &w->a);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(shards_look(w->a.set), 1);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    reopen(w, &w->a);
    archive_format("mem:cold", "tallyfs archive 1\n", another);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_WRONG);
    archive_make("mem:cold");
    close_side(&w->a);
    open_as(w, &w->a, store_id, true);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_READONLY);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), -EROFS);
}

WORLD(a_missing_name_counts_only_if_the_archive_is_there)
{
    made(w);
    cr_assert_eq(shards_said(w->a.set, 1, -ENOENT), -ENOENT);
    shard_mem_set(w->cold, SHARD_MEM_DENIES, true);
    cr_assert_eq(shards_said(w->a.set, 1, -ENOENT), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
}

/* ---- who may write ---- */

WORLD(it_is_written_only_while_that_is_allowed)
{
    made(w);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(use(&w->a, SHARDS_WRITE), -EROFS);
        cr_assert_eq(state(&w->a, 1), SHARDS_OK, "nobody said that it cannot be written");
        cr_assert_eq(use(&w->a, SHARDS_READ), 0);
        cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
        cr_assert_eq(put(&w->a, i ? "packs/1" : "packs/0"), 0);
        shards_disallow(w->a.set, 1);
    }
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    reopen(w, &w->a);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EROFS, "each opening claims anew");
    cr_assert_eq(shard_mem_count(w->cold), 3, "what was put, and nothing else");
}

WORLD(no_fence_is_taken_and_no_owner_is_asked_for)
{
    made(w);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    uint64_t before = calls(w);

    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    pass_time(w);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    cr_assert_eq(calls(w), before);
}

WORLD(the_words_about_writing_ask_nobody)
{
    uint64_t where, before;

    made(w);
    reopen(w, &w->a);
    before = calls(w);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
    cr_assert_eq(shards_first_number(w->a.set, 1), PREFIX | 1);
    shards_disallow(w->a.set, 1);
    cr_assert_eq(calls(w), before);
    cr_assert_eq(shards_allow(w->a.set, 2, PREFIX), -ENXIO);
    cr_assert_eq(shards_allow(w->a.set, 1, 0), -EINVAL);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX + 1), -EINVAL);
    shards_disallow(w->a.set, 2);
}

WORLD(numbers_have_the_prefix_and_none_comes_twice)
{
    uint64_t where = 0;

    made(w);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), -EROFS);
    cr_assert_eq(shards_first_number(w->a.set, 1), 0);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
        cr_assert_eq(where, PREFIX | i);
    }
    shards_disallow(w->a.set, 1);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), -EROFS);
    cr_assert_eq(shards_first_number(w->a.set, 1), 0);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
    cr_assert_eq(where, PREFIX | 4, "the same prefix goes on");
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX << 1), 0);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
    cr_assert_eq(where, PREFIX << 1 | 1);
}

WORLD(a_prefix_ends_after_all_its_numbers)
{
    uint64_t where = 0;

    made(w);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    for (uint64_t i = 1; i <= SHARDS_PREFIX_ROOM; i++)
        cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
    cr_assert_eq(where, PREFIX | 0xffffff);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), -EOVERFLOW);
    cr_assert_eq(where, PREFIX | 0xffffff);
}

WORLD(one_that_refused_a_write_is_read_until_its_writer_claims_again)
{
    made(w);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX), 0);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, true);
    cr_assert_eq(put(&w->a, "packs/0"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_READONLY);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, false);
    cr_assert_eq(shards_look(w->a.set), 0);
    cr_assert_eq(shard_mem_count(w->cold), 1, "no fence");
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EROFS);
    cr_assert_eq(shards_allow(w->a.set, 1, PREFIX << 1), 0);
    cr_assert_eq(put(&w->a, "packs/0"), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
}
