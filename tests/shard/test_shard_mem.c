// SPDX-License-Identifier: Apache-2.0
/* Claims of shard_mem.h: what tests can do to a shard. */
#include "clock.h"
#include "clock_manual.h"
#include "shards_both.h"

#include <errno.h>
#include <pthread.h>

struct mem {
    struct fault fault;
    struct shard_mem *place, *other;
    struct shard *shard;
};

#define MEM(claim)                                                                                 \
    static void claim(struct mem *m, struct shard *s);                                             \
    Test(shard_mem, claim)                                                                         \
    {                                                                                              \
        struct mem m = {0};                                                                        \
        shard_mem_register();                                                                      \
        shard_mem_register();                                                                      \
        cr_assert_eq(shard_mem_create("place", &m.fault, &m.place), 0);                            \
        cr_assert_eq(shard_mem_create("place", NULL, &m.other), -EEXIST);                          \
        cr_assert_eq(shard_mem_create("other", &m.fault, &m.other), 0);                            \
        m.shard = opened("mem:place", 0);                                                          \
        claim(&m, m.shard);                                                                        \
        shard_close(m.shard);                                                                      \
        shard_mem_destroy(m.place);                                                                \
        shard_mem_destroy(m.other);                                                                \
    }                                                                                              \
    static void claim(struct mem *m, struct shard *s)

static bool is_there(struct shard *s, const char *name)
{
    return shard_stat(s, name, &(uint64_t){0}) == 0;
}

MEM(puts_and_deletes_are_numbered_and_nothing_else)
{
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    cr_assert_eq(shard_put_if_absent(s, "packs/2", "text", 4), 0);
    cr_assert_eq(shard_put_if_absent(s, "packs/2", "text", 4), -EEXIST);
    cr_assert_eq(shard_delete(s, "packs/2"), 0);
    cr_assert_eq(shard_delete(s, "packs/2"), -ENOENT);
    expect(s, "packs/1", "text");
    cr_assert_eq(m->fault.writes, 3);
    cr_assert_eq(shard_mem_calls(m->place, SHARD_MEM_PUT), 3);
    cr_assert_eq(shard_mem_calls(m->place, SHARD_MEM_DELETE), 2);
    cr_assert_eq(shard_mem_calls(m->place, SHARD_MEM_GET), 1);
    cr_assert_eq(shard_mem_count(m->place), 1);
    cr_assert_eq(shard_mem_used(m->place), 4);
}

MEM(an_age_is_by_the_clock_of_the_place)
{
    int64_t age = -1;

    shard_mem_set_clock(m->place, 1000);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    shard_mem_set_clock(m->place, 1700);
    cr_assert_eq(shard_age(s, "packs/1", &age), 0);
    cr_assert_eq(age, 700);
    shard_mem_set_clock(m->place, 10);
    cr_assert_eq(shard_age(s, "packs/1", &age), 0);
    cr_assert_eq(age, 0, "put in the future");
}

static void with_odds(struct mem *m, enum shard_mem_fault which, unsigned per_mille)
{
    struct shard_mem_odds odds = {.seed = 7, .patience = 30 * NSEC_PER_SEC};

    odds.per_mille[which] = per_mille;
    shard_mem_set_odds(m->place, &odds);
}

MEM(what_is_done_may_lose_its_reply)
{
    cr_assert_eq(PUT_TEXT(s, "packs/1", "old"), 0);
    with_odds(m, SHARD_MEM_LOST_REPLY, 1000);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), -EHOSTUNREACH);
    cr_assert_eq(shard_put_if_absent(s, "packs/2", "text", 4), -EHOSTUNREACH);
    cr_assert_eq(shard_put_if_absent(s, "packs/2", "text", 4), -EEXIST);
    expect(s, "packs/1", "text");
    expect(s, "packs/2", "text");
    cr_assert_eq(shard_delete(s, "packs/2"), -EHOSTUNREACH);
    cr_assert_eq(shard_delete(s, "packs/2"), -ENOENT);
    cr_assert_eq(shard_mem_hits(m->place, SHARD_MEM_LOST_REPLY), 3);
}

MEM(what_is_sent_again_finds_itself_done)
{
    with_odds(m, SHARD_MEM_REPEATED, 1000);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    cr_assert_eq(shard_put_if_absent(s, "packs/2", "more", 4), -EEXIST);
    expect(s, "packs/1", "text");
    expect(s, "packs/2", "more");
    cr_assert_eq(shard_delete(s, "packs/2"), -ENOENT);
    cr_assert_eq(shard_mem_count(m->place), 1);
}

MEM(the_same_seed_hits_the_same_calls)
{
    int results[2][100];

    for (int run = 0; run < 2; run++) {
        with_odds(m, SHARD_MEM_LOST_REPLY, 300);
        for (int i = 0; i < 100; i++)
            results[run][i] = PUT_TEXT(s, "packs/1", "text");
    }
    cr_assert_eq(memcmp(results[0], results[1], sizeof results[0]), 0);
    cr_assert_gt(shard_mem_hits(m->place, SHARD_MEM_LOST_REPLY), 20);
    cr_assert_lt(shard_mem_hits(m->place, SHARD_MEM_LOST_REPLY), 120);
}

MEM(that_a_name_exists_is_told_late)
{
    with_odds(m, SHARD_MEM_LATE_EXISTS, 1000);
    cr_assert_eq(shard_put_if_absent(s, "packs/1", "text", 4), 0);
    cr_assert_eq(shard_put_if_absent(s, "packs/1", "other", 5), -EEXIST);
    cr_assert_eq(shard_mem_hits(m->place, SHARD_MEM_LATE_EXISTS), 1);
    expect(s, "packs/1", "text");
}

static int collect_digits(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    strncat(ctx, strrchr(name, '/') + 1, 2);
    return 0;
}

MEM(a_list_has_any_order_and_may_end_in_the_middle)
{
    char name[16], one[64] = "", two[64] = "", cut[64] = "";

    for (int i = 10; i < 30; i++) {
        snprintf(name, sizeof name, "packs/%d", i);
        cr_assert_eq(PUT_TEXT(s, name, "x"), 0);
    }
    with_odds(m, SHARD_MEM_CUT_LIST, 0);
    cr_assert_eq(shard_list(s, "packs", collect_digits, one), 0);
    cr_assert_eq(shard_list(s, "packs", collect_digits, two), 0);
    cr_assert_eq(strlen(one), 40);
    cr_assert_eq(strlen(two), 40);
    cr_assert_str_neq(one, two);
    with_odds(m, SHARD_MEM_CUT_LIST, 1000);
    cr_assert_eq(shard_list(s, "packs", collect_digits, cut), -EIO);
    cr_assert_lt(strlen(cut), 40);
}

MEM(a_call_that_stalls_is_left_and_done_when_it_is_released)
{
    cr_assert_eq(PUT_TEXT(s, "packs/1", "old"), 0);
    with_odds(m, SHARD_MEM_STALL, 1000);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), -EHOSTUNREACH);
    cr_assert(shard_is_silent("mem:place", NULL));
    cr_assert_eq(shard_delete(s, "packs/1"), -EHOSTUNREACH);
    shard_mem_set_odds(m->place, NULL);
    shard_mem_release(m->place);
    cr_assert_not(shard_is_silent("mem:place", NULL));
    expect(s, "packs/1", "text");
    cr_assert_eq(shard_mem_hits(m->place, SHARD_MEM_STALL), 1);
}

MEM(what_was_put_before_the_power_went_is_there_after_it)
{
    char byte;

    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    m->fault.fail_at = 2;
    m->fault.cut = true;
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -EIO);
    cr_assert_eq(PUT_TEXT(s, "packs/3", "text"), -EIO);
    cr_assert_eq(shard_get(s, "packs/1", &byte, 1), -EIO);
    cr_assert_eq(shard_range(s, "packs/1", &byte, 1, 0), -EIO);
    cr_assert_eq(shard_stat(s, "packs/1", &(uint64_t){0}), -EIO);
    cr_assert_eq(shard_list(s, "", NULL, NULL), -EIO);
    cr_assert_eq(shard_space(s, &(struct shard_space){0}), -EIO);
    fault_reset(&m->fault);
    expect(s, "packs/1", "text");
    cr_assert_not(is_there(s, "packs/2"), "FAULT_LOSE_ALL");
    cr_assert_not(is_there(s, "packs/3"));
}

MEM(what_was_cut_is_wholly_there_or_not_by_seed)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME};
    static const int least[] = {0, 64, 16}, most[] = {0, 64, 48};

    for (int loss = 0; loss < 3; loss++) {
        int put = 0, deleted = 0;

        for (unsigned seed = 1; seed <= 64; seed++) {
            (void)PUT_TEXT(s, "old", "text");
            (void)shard_delete(s, "new");
            fault_reset(&m->fault);
            m->fault.loss = losses[loss];
            m->fault.seed = seed;
            m->fault.cut = true;
            m->fault.fail_at = 1;
            cr_assert_eq(PUT_TEXT(s, "new", "text"), -EIO);
            fault_reset(&m->fault);
            m->fault.fail_at = 1;
            cr_assert_eq(shard_delete(s, "old"), -EIO);
            fault_reset(&m->fault);
            put += is_there(s, "new");
            deleted += !is_there(s, "old");
            if (is_there(s, "new"))
                expect(s, "new", "text");
        }
        cr_assert(put >= least[loss] && put <= most[loss], "%d: %d", loss, put);
        cr_assert(deleted >= least[loss] && deleted <= most[loss], "%d: %d", loss, deleted);
    }
}

MEM(it_can_be_away_read_only_or_full)
{
    struct shard *again;
    char why[SHARD_WHY] = "";

    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    shard_mem_set(m->place, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -EHOSTUNREACH);
    cr_assert_eq(shard_stat(s, "packs/1", &(uint64_t){0}), -EHOSTUNREACH);
    cr_assert_eq(shard_open("mem:place", 0, &again, why), -EHOSTUNREACH);
    cr_assert_str_not_empty(why);
    shard_mem_set(m->place, SHARD_MEM_UNREACHABLE, false);
    shard_mem_set(m->place, SHARD_MEM_READONLY, true);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -EROFS);
    cr_assert_eq(shard_delete(s, "packs/1"), -EROFS);
    shard_mem_set(m->place, SHARD_MEM_READONLY, false);
    shard_mem_set(m->place, SHARD_MEM_FULL, true);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -ENOSPC);
    shard_mem_set(m->place, SHARD_MEM_FULL, false);
    shard_mem_set_capacity(m->place, 7);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -ENOSPC);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "tex"), 0);
    cr_assert_eq(shard_delete(s, "packs/1"), 0);
    expect(s, "packs/2", "tex");
}

MEM(it_can_lie)
{
    uint64_t size = 0;
    char buf[4];

    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    shard_mem_set(m->place, SHARD_MEM_FLIPS, true);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), 4);
    cr_assert_neq(memcmp(buf, "text", 4), 0);
    shard_mem_set(m->place, SHARD_MEM_FLIPS, false);
    cr_assert_eq(shard_mem_flip(m->place, "packs/1", 1, 2), 0);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), 4);
    cr_assert_eq(buf[1], 'e' ^ 4);
    cr_assert_eq(shard_mem_flip(m->place, "packs/1", 4, 2), -ENOENT);
    shard_mem_set(m->place, SHARD_MEM_DENIES, true);
    cr_assert_eq(shard_stat(s, "packs/1", &size), -ENOENT);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), -ENOENT);
    shard_mem_set(m->place, SHARD_MEM_DENIES, false);
    cr_assert_eq(shard_mem_lose(m->place, "packs/1"), 0);
    cr_assert_eq(shard_mem_lose(m->place, "packs/1"), -ENOENT);
    cr_assert_eq(shard_stat(s, "packs/1", &size), -ENOENT);
    shard_mem_set(m->place, SHARD_MEM_BOASTS, true);
    cr_assert_eq(shard_stat(s, "packs/1", &size), 0);
    cr_assert_eq(size, 4);
    cr_assert_eq(shard_range(s, "packs/1", buf, 4, 0), -ENOENT);
    shard_mem_set(m->place, SHARD_MEM_BOASTS, false);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "again"), 0);
    expect(s, "packs/1", "again");
}

static int count(const char *name, uint64_t size, void *ctx)
{
    (void)name, (void)size;
    ++*(int *)ctx;
    return 0;
}

MEM(a_list_can_end_too_early_with_an_error)
{
    int names = 0;

    for (int i = 0; i < 10; i++)
        cr_assert_eq(shard_put(s, ((char[]){(char)('a' + i), 0}), "x", 1), 0);
    shard_mem_set(m->place, SHARD_MEM_SHORT_LISTS, true);
    cr_assert_eq(shard_list(s, "", count, &names), -EIO);
    cr_assert_eq(names, 5);
}

MEM(after_a_swap_the_one_that_was_opened_cannot_be_asked)
{
    struct shard *o;

    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    shard_mem_swap(m->place, m->other);
    cr_assert_eq(PUT_TEXT(s, "packs/2", "text"), -EHOSTUNREACH);
    o = opened("mem:place", 0);
    cr_assert_not(is_there(o, "packs/1"));
    shard_close(o);
    o = opened("mem:other", 0);
    expect(o, "packs/1", "text");
    shard_close(o);
    shard_mem_swap(m->place, m->other);
    expect(s, "packs/1", "text");
    shard_mem_copy(m->other, m->place);
    o = opened("mem:other", 0);
    expect(o, "packs/1", "text");
    cr_assert_eq(PUT_TEXT(o, "packs/1", "other"), 0);
    expect(s, "packs/1", "text");
    shard_close(o);
}

static void pass(void *clock, int64_t duration_ns)
{
    clock_manual_advance(clock, duration_ns);
}

MEM(each_call_takes_as_long_as_it_is_told)
{
    struct clock_manual clock;

    clock_manual_init(&clock, 1);
    shard_mem_set_latency(m->place, 5 * NSEC_PER_MSEC, pass, &clock);
    cr_assert_eq(PUT_TEXT(s, "packs/1", "text"), 0);
    expect(s, "packs/1", "text");
    cr_assert_eq(clock_ticks(&clock.base), 1 + 10 * NSEC_PER_MSEC);
}

static void *put_it(void *s)
{
    return (void *)(intptr_t)PUT_TEXT(s, "packs/1", "text");
}

MEM(a_call_can_be_held_up)
{
    pthread_t thread;
    void *err;

    shard_mem_set(m->place, SHARD_MEM_BLOCKED, true);
    cr_assert_eq(pthread_create(&thread, NULL, put_it, s), 0);
    while (shard_mem_waiting(m->place) == 0)
        usleep(1000);
    cr_assert_eq(shard_mem_count(m->place), 0);
    shard_mem_set(m->place, SHARD_MEM_BLOCKED, false);
    pthread_join(thread, &err);
    cr_assert_null(err);
    expect(s, "packs/1", "text");
}
