// SPDX-License-Identifier: Apache-2.0
/* Claims of shards.h: who may write. */
#define SUITE shards_fence
#include "shards_world.h"

WORLD(reading_takes_no_fence)
{
    uint64_t puts;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    reopen(w, &w->a);
    puts = shard_mem_calls(w->cold, SHARD_MEM_PUT);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(shard_mem_calls(w->cold, SHARD_MEM_PUT), puts);
    cr_assert_eq(shards_first_number(w->a.set, 1), 0);
    cr_assert_eq(shards_new_number(w->a.set, 1, &(uint64_t){0}), -EROFS);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    cr_assert_gt(shard_mem_calls(w->cold, SHARD_MEM_PUT), puts);
}

WORLD(numbers_rise_over_every_opening_and_are_never_given_twice)
{
    uint64_t last = 0, where;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
        cr_assert_gt(shards_first_number(w->a.set, 1), last);
        for (int j = 0; j < 3; j++) {
            cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
            cr_assert_gt(where, last);
            cr_assert_geq(where, shards_first_number(w->a.set, 1));
            last = where;
        }
        reopen(w, &w->a);
    }
}

WORLD(a_copied_store_and_the_original_only_one_may_write)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    copy_store(w);
    open_side(w, &w->b);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    cr_assert_eq(put(&w->b, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->b, 1), SHARDS_FOREIGN);
    cr_assert_eq(use(&w->b, SHARDS_READ), 0);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
    reopen(w, &w->b);
    cr_assert_eq(put(&w->b, "packs/3"), -EROFS);
    reopen(w, &w->a);
    cr_assert_eq(put(&w->a, "packs/3"), 0);
}

WORLD(a_copy_that_writes_first_ends_the_writing_of_the_original)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    copy_store(w);
    open_side(w, &w->b);
    cr_assert_eq(put(&w->b, "packs/2"), 0);
    pass_time(w);
    cr_assert_eq(put(&w->a, "packs/3"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
    shards_look(w->a.set);
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
    reopen(w, &w->a);
    cr_assert_eq(put(&w->a, "packs/3"), -EROFS);
    cr_assert_eq(put(&w->b, "packs/3"), 0);
}

WORLD(a_backup_that_is_put_back_may_only_read)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    copy_store(w);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    reopen(w, &w->a);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
    close_side(&w->a);
    open_side(w, &w->b);
    cr_assert_eq(use(&w->b, SHARDS_READ), 0);
    cr_assert_eq(state(&w->b, 1), SHARDS_FOREIGN);
    cr_assert_eq(put(&w->b, "packs/3"), -EROFS);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_said(w->b.set, 1, -EHOSTUNREACH), -EHOSTUNREACH);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    pass_time(w);
    cr_assert_eq(use(&w->b, SHARDS_READ), 0);
    cr_assert_eq(state(&w->b, 1), SHARDS_FOREIGN, "it stays so, also when it was away");
    open_side(w, &w->a);
}

static void *take_it(void *side)
{
    return (void *)(intptr_t)use(side, SHARDS_WRITE);
}

Test(shards_fence, of_a_store_and_its_copy_that_take_it_at_once_one_wins)
{
    for (int i = 0; i < 30; i++) {
        struct world w;
        pthread_t thread;
        void *other;

        setup(&w);
        open_side(&w, &w.a);
        cr_assert_eq(add(&w.a, 1, "mem:cold"), 0);
        copy_store(&w);
        open_side(&w, &w.b);
        cr_assert_eq(pthread_create(&thread, NULL, take_it, &w.b), 0);
        int mine = use(&w.a, SHARDS_WRITE);

        pthread_join(thread, &other);
        cr_assert_eq((mine == 0) + ((intptr_t)other == 0), 1, "%d", i);
        finish(&w);
    }
}

/* ---- cut, and gone wrong, at every write ---- */

static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME};
#define LOSSES 3
#define SEEDS 4

static void arm(struct world *w, uint64_t at, unsigned round, bool cut)
{
    fault_reset(&w->fault);
    w->fault.fail_at = at;
    w->fault.cut = cut;
    w->fault.loss = losses[round % LOSSES];
    w->fault.seed = round + 1;
}

/* A world in which side a has added shard 1, and side b is a copy of it. */
static void setup_two(struct world *w)
{
    setup(w);
    open_side(w, &w->a);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    copy_store(w);
}

/* Take the fence as side a, cut at write `at`; then as side a and as side b, in either order: one
 * may. */
static bool taking_cut_at(uint64_t at, unsigned round, bool copy_first)
{
    struct world w;
    uint64_t number = 0, again;

    setup_two(&w);
    arm(&w, at, round, true);
    int err = put(&w.a, "packs/1");

    if (err == 0)
        cr_assert_eq(shards_new_number(w.a.set, 1, &number), 0);
    bool cut = fault_is_cut(&w.fault);

    close_side(&w.a);
    fault_reset(&w.fault);
    open_side(&w, &w.a);
    open_side(&w, &w.b);
    int of_b = copy_first ? put(&w.b, "packs/2") : -EROFS;
    int of_a = put(&w.a, "packs/3");

    if (!copy_first)
        of_b = put(&w.b, "packs/2");
    cr_assert(of_a == 0 || of_a == -EROFS);
    cr_assert(of_b == 0 || of_b == -EROFS);
    cr_assert_eq((of_a == 0) + (of_b == 0), 1, "write %d, %d, %d: %d %d", (int)at, (int)round,
                 copy_first, of_a, of_b);
    if (!copy_first || err == 0)
        cr_assert_eq(of_a, 0);
    if (of_a == 0) {
        cr_assert_eq(shards_new_number(w.a.set, 1, &again), 0);
        cr_assert_gt(again, number);
    }
    finish(&w);
    return cut;
}

Test(shards_fence, cut_at_any_write_one_of_two_may_write_and_it_is_not_locked_out)
{
    for (unsigned round = 0; round < LOSSES * SEEDS; round++)
        for (int copy_first = 0; copy_first < 2; copy_first++) {
            uint64_t at = 1;

            while (taking_cut_at(at, round, copy_first))
                at++;
            cr_assert_geq(at, 6, "taking the fence has five writes at least, and the pack");
        }
}

Test(shards_fence, cut_again_and_again_it_goes_on)
{
    for (unsigned round = 0; round < LOSSES * SEEDS; round++) {
        struct world w;
        unsigned cut = 0;

        setup_two(&w);
        for (uint64_t at = 1; at < 8; at++) {
            arm(&w, at, round, true);
            (void)put(&w.a, "packs/1");
            cut += fault_fired(&w.fault);
            close_side(&w.a);
            fault_reset(&w.fault);
            open_side(&w, &w.a);
        }
        cr_assert_geq(cut, 5, "only %u were cut", cut);
        cr_assert_eq(put(&w.a, "packs/2"), 0);
        finish(&w);
    }
}

Test(shards_fence, a_write_that_fails_once_is_made_good_by_the_next_taking)
{
    static const int errors[] = {EIO, ENOSPC, EROFS};

    for (unsigned round = 0; round < LOSSES * SEEDS; round++) {
        bool failed = true;
        uint64_t at = 0;

        while (failed) { /* until it has fewer writes */
            struct world w;

            setup_two(&w);
            arm(&w, ++at, round, false);
            w.fault.error = errors[round % 3];
            (void)put(&w.a, "packs/1");
            failed = fault_fired(&w.fault);
            fault_reset(&w.fault);
            pass_time(&w);
            shards_look(w.a.set);
            cr_assert_eq(put(&w.a, "packs/2"), 0, "write %d, %d", (int)at, (int)round);
            reopen(&w, &w.a);
            cr_assert_eq(put(&w.a, "packs/3"), 0);
            finish(&w);
        }
        cr_assert_geq(at, 6, "taking the fence has five writes at least");
    }
}

Test(shards_fence, an_addition_that_was_cut_can_be_made_again)
{
    for (unsigned round = 0; round < LOSSES * SEEDS; round++) {
        bool cut = true;
        uint64_t at = 0;

        while (cut) {
            struct world w;
            struct shards_info info;
            char why[SHARD_WHY];

            setup(&w);
            open_side(&w, &w.a);
            arm(&w, ++at, round, true);
            int err = shards_add(w.a.set, 1, "mem:cold", why);

            cut = fault_is_cut(&w.fault);
            close_side(&w.a);
            fault_reset(&w.fault);
            open_side(&w, &w.a);
            int known = shards_info_get(w.a.set, 1, &info);

            cr_assert(err < 0 || known == 0);
            cr_assert_eq(add(&w.a, 1, "mem:cold"), known == 0 ? -EEXIST : 0, "write %d", (int)at);
            cr_assert_eq(put(&w.a, "packs/1"), 0);
            reopen(&w, &w.a);
            cr_assert_eq(put(&w.a, "packs/2"), 0);
            finish(&w);
        }
        cr_assert_gt(at, 1, "nothing was cut");
    }
}

Test(shards_fence, a_removal_that_was_cut_leaves_what_can_be_removed_or_added)
{
    for (unsigned round = 0; round < LOSSES * SEEDS; round++) {
        bool cut = true;
        uint64_t at = 0;

        while (cut) {
            struct world w;
            struct shards_info info;
            char why[SHARD_WHY];

            setup_two(&w);
            arm(&w, ++at, round, true);
            (void)shards_remove(w.a.set, 1, why);
            cut = fault_is_cut(&w.fault);
            close_side(&w.a);
            fault_reset(&w.fault);
            open_side(&w, &w.a);
            if (shards_info_get(w.a.set, 1, &info) == 0)
                cr_assert_eq(shards_remove(w.a.set, 1, why), 0, "%s", why);
            cr_assert_eq(add(&w.a, 1, "mem:cold"), 0, "write %d, %d", (int)at, (int)round);
            cr_assert_eq(put(&w.a, "packs/1"), 0);
            finish(&w);
        }
        cr_assert_gt(at, 1, "nothing was cut");
    }
}

/* ---- what only damage can do ---- */

WORLD(without_a_readable_owner_nobody_may_write)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    cr_assert_eq(shard_mem_flip(w->cold, SHARD_OWNER, 3, 3), 0);
    reopen(w, &w->a);
    cr_assert_eq(put(&w->a, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(shard_mem_lose(w->cold, SHARD_OWNER), 0);
    reopen(w, &w->a);
    cr_assert_eq(put(&w->a, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
}

/* The directory is there and empty for a moment; or what is read is wrong, once. */
WORLD(what_shows_no_owner_for_a_while_is_not_lost_for_good)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    shard_mem_set(w->cold, SHARD_MEM_DENIES, true);
    cr_assert_eq(put(&w->a, "packs/1"), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    shard_mem_set(w->cold, SHARD_MEM_DENIES, false);
    pass_time(w);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    reopen(w, &w->a);
    cr_assert_eq(shard_mem_flip(w->cold, SHARD_OWNER, 3, 3), 0);
    cr_assert_eq(put(&w->a, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
    cr_assert_eq(shard_mem_flip(w->cold, SHARD_OWNER, 3, 3), 0);
    pass_time(w);
    cr_assert_eq(shards_look(w->a.set), 1u);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
}

static int count_name(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    ++*(unsigned *)ctx;
    return 0;
}

WORLD(taking_the_fence_removes_what_earlier_ones_left)
{
    char why[SHARD_WHY];
    struct shard *shard;
    unsigned fences = 0;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(shard_open("mem:cold", 0, &shard, why), 0);
    cr_assert_eq(shard_put(shard, SHARD_FENCES "/of-an-incarnation-before", "x", 1), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    cr_assert_eq(shard_list(shard, SHARD_FENCES, count_name, &fences), 0);
    cr_assert_eq(fences, 0u);
    shard_close(shard);
}

WORLD(the_fence_of_a_full_shard_can_be_taken_so_that_it_can_be_emptied)
{
    struct shard *shard;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    shard_mem_set_capacity(w->cold, shard_mem_used(w->cold));
    reopen(w, &w->a);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    shard_mem_set_capacity(w->cold, 1);
    cr_assert_eq(put(&w->a, "packs/2"), -ENOSPC);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    cr_assert_eq(shards_get(w->a.set, 1, SHARDS_WRITE, &shard, NULL), 0);
    cr_assert_eq(shard_delete(shard, "packs/1"), 0);
    shards_put_back(w->a.set, 1);
}

WORLD(one_whose_fence_a_copy_has_begun_to_take_is_foreign)
{
    static const uint8_t next[SHARD_TOKEN_LEN] = {1};
    char text[SHARD_TEXT_MAX], name[SHARD_FENCE_NAME];
    uint8_t token[SHARD_TOKEN_LEN];
    struct shard *shard;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(shards_get(w->a.set, 1, SHARDS_WRITE, &shard, NULL), 0);
    ssize_t n = shard_get(shard, SHARD_OWNER, text, sizeof text);

    cr_assert_eq(shard_token_decode(text, (size_t)n, token), 0);
    shard_fence_name(token, name);
    cr_assert_eq(shard_put(shard, name, text, shard_token_encode(next, text)), 0);
    shards_put_back(w->a.set, 1);
    reopen(w, &w->a);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EROFS, "a copy has begun to take the fence");
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
}

/* Both know the next token. */
static void copy_while_taking_is_cut(struct world *w)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    arm(w, 2, 0, true); /* the next token is recorded, and no more */
    cr_assert_lt(put(&w->a, "packs/1"), 0);
    close_side(&w->a);
    fault_reset(&w->fault);
    open_side(w, &w->a);
    copy_store(w);
    open_side(w, &w->b);
}

WORLD(a_copy_of_a_store_that_was_cut_while_taking_the_fence_is_a_copy_like_others)
{
    copy_while_taking_is_cut(w);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    cr_assert_eq(put(&w->b, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->b, 1), SHARDS_FOREIGN);
    reopen(w, &w->b);
    cr_assert_eq(put(&w->b, "packs/2"), -EROFS);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
    reopen(w, &w->a);
    cr_assert_eq(put(&w->a, "packs/3"), 0);
}

WORLD(if_it_takes_the_fence_first_the_original_is_the_copy)
{
    copy_while_taking_is_cut(w);
    cr_assert_eq(put(&w->b, "packs/1"), 0);
    cr_assert_eq(put(&w->a, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_FOREIGN);
    cr_assert_eq(put(&w->b, "packs/2"), 0);
}

WORLD(the_fence_of_a_copy_that_follows_is_not_taken_for_litter)
{
    char why[SHARD_WHY], name[SHARD_FENCE_NAME];
    uint8_t value[SHARD_RECORD_MAX];
    struct shard_record r;
    struct shard *shard;
    size_t len;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    arm(w, 2, 0, true); /* the next token is recorded, and no more */
    cr_assert_lt(put(&w->a, "packs/1"), 0);
    close_side(&w->a);
    fault_reset(&w->fault);
    open_side(w, &w->a);
    cr_assert_eq(kv_get(w->a.kv, 0, "\0\1", 2, value, sizeof value, &len), 0);
    cr_assert_eq(shard_record_decode(value, len, 1, &r), 0);
    cr_assert(r.has_next);
    shard_fence_name(r.next, name);
    cr_assert_eq(shard_open("mem:cold", 0, &shard, why), 0);
    cr_assert_eq(shard_put(shard, name, "x", 1), 0);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    cr_assert_eq(shard_stat(shard, name, &(uint64_t){0}), 0);
    shard_close(shard);
}
