// SPDX-License-Identifier: Apache-2.0
/* Claims of shards.h: the set of shards, and their states. */
#define SUITE shards
#include "shards_world.h"

/* ---- which there are ---- */

WORLD(an_added_one_is_ok_and_is_there_when_opened_again)
{
    struct shards_info info;

    cr_assert_eq(shards_next(w->a.set, 0, &info), -ENOENT);
    cr_assert_eq(add(&w->a, 7, "mem:cold"), 0);
    cr_assert_eq(add(&w->a, 3, "mem:other"), 0);
    cr_assert_eq(state(&w->a, 7), SHARDS_OK);
    reopen(w, &w->a);
    cr_assert_eq(shards_next(w->a.set, 0, &info), 0);
    cr_assert_eq(info.number, 3);
    cr_assert_str_eq(info.url, "mem:other");
    cr_assert_eq(shards_next(w->a.set, 3, &info), 0);
    cr_assert_eq(info.number, 7);
    cr_assert_eq(info.state, SHARDS_NEW);
    cr_assert_eq(shards_next(w->a.set, 7, &info), -ENOENT);
    cr_assert_eq(shards_look(w->a.set), 2);
    cr_assert_eq(state(&w->a, 3), SHARDS_OK);
}

WORLD(what_cannot_be_added_is_refused_in_words)
{
    cr_assert_eq(add(&w->a, 0, "mem:cold"), -EINVAL);
    cr_assert_eq(add(&w->a, 1, "nothing"), -EINVAL);
    cr_assert_eq(add(&w->a, 1, "mem:nowhere"), -EHOSTUNREACH);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(add(&w->a, 1, "mem:other"), -EEXIST);
    cr_assert_eq(add(&w->a, 2, "mem:cold"), -EBUSY);
    cr_assert_eq(shard_mem_count(w->other), 0);
    shard_mem_set(w->other, SHARD_MEM_READONLY, true);
    cr_assert_eq(add(&w->a, 2, "mem:other"), -EROFS);
    shard_mem_set(w->other, SHARD_MEM_READONLY, false);
    shard_mem_set(w->other, SHARD_MEM_FULL, true);
    cr_assert_eq(add(&w->a, 2, "mem:other"), -ENOSPC);
    shard_mem_set(w->other, SHARD_MEM_FULL, false);
    cr_assert_eq(add(&w->a, 2, "mem:other"), 0);
}

WORLD(a_place_with_other_things_in_it_is_refused)
{
    struct shard *shard;
    char why[SHARD_WHY];

    cr_assert_eq(shard_open("mem:cold", 0, &shard, why), 0);
    cr_assert_eq(shard_put(shard, "holiday.jpg", "x", 1), 0);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), -ENOTEMPTY);
    cr_assert_eq(shard_mem_count(w->cold), 1);
    cr_assert_eq(shard_delete(shard, "holiday.jpg"), 0);
    shard_close(shard);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
}

WORLD(a_place_that_lets_several_put_one_name_is_refused_and_left_as_it_was)
{
    shard_mem_set(w->cold, SHARD_MEM_CLOBBERS, true);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), -EOPNOTSUPP);
    cr_assert_eq(shard_mem_count(w->cold), 0);
    shard_mem_set(w->cold, SHARD_MEM_CLOBBERS, false);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
}

WORLD(what_a_dead_probe_left_is_no_obstacle_and_goes_with_the_first_fence)
{
    static const char left[] = SHARD_PROBE_DIR "/probe-00000000000000000000000000000000";
    struct shard *shard;
    char why[SHARD_WHY];

    cr_assert_eq(shard_open("mem:cold", 0, &shard, why), 0);
    cr_assert_eq(shard_put(shard, left, "x", 1), 0);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    cr_assert_eq(shard_stat(shard, left, &(uint64_t){0}), -ENOENT);
    shard_close(shard);
}

WORLD(one_whose_puts_are_sent_twice_is_added_and_used)
{
    static const struct shard_mem_odds all = {.seed = 1, .per_mille = {[SHARD_MEM_REPEATED] = 1000}};

    shard_mem_set_odds(w->cold, &all);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_gt(shard_mem_hits(w->cold, SHARD_MEM_REPEATED), 3);
    cr_assert_eq(put(&w->a, "packs/1"), -EEXIST);
    for (int i = 0; i < 3; i++) {
        reopen(w, &w->a);
        cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
        cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    }
}

/* Each put and delete is done, and its answer is lost; so each of them may be the last one. */
WORLD(whatever_answer_is_lost_it_is_added_and_used_at_last)
{
    static const struct shard_mem_odds half = {.seed = 5, .per_mille = {[SHARD_MEM_LOST_REPLY] = 500}};
    int tries = 0, lost = 0;

    shard_mem_set_odds(w->cold, &half);
    while (add(&w->a, 1, "mem:cold") < 0)
        cr_assert_lt(++tries, 1000);
    for (int i = 0; i < 50; i++) {
        reopen(w, &w->a);
        for (tries = 0; use(&w->a, SHARDS_WRITE) < 0; lost++) {
            cr_assert_lt(++tries, 1000);
            cr_assert_neq(state(&w->a, 1), SHARDS_FOREIGN);
            pass_time(w);
        }
    }
    cr_assert_gt(lost, 10);
}

WORLD(another_stores_shard_is_refused)
{
    static const uint8_t another[16] = {9};

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    open_as(w, &w->b, another, false);
    cr_assert_eq(add(&w->b, 1, "mem:cold"), -EBUSY);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
}

WORLD(another_numbers_shard_is_refused_also_under_another_url)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_copy(w->other, w->cold);
    cr_assert_eq(add(&w->a, 2, "mem:other"), -EBUSY);
}

/* ---- states ---- */

WORLD(of_a_number_that_nobody_added_nothing_is_known)
{
    struct shards_info info;
    char why[SHARD_WHY];
    uint64_t where;

    cr_assert_eq(use(&w->a, SHARDS_READ), -ENXIO);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -ENXIO);
    cr_assert_eq(shards_info_get(w->a.set, 1, &info), -ENXIO);
    cr_assert_eq(shards_set_draining(w->a.set, 1, true), -ENXIO);
    cr_assert_eq(shards_remove(w->a.set, 1, why), -ENXIO);
    cr_assert_eq(shards_new_number(w->a.set, 1, &where), -ENXIO);
    cr_assert_eq(shards_first_number(w->a.set, 1), 0);
    const _Atomic int64_t second = NSEC_PER_SEC;
    cr_assert_eq(shards_wait(w->a.set, 1, &second, NULL), -ENXIO);
}

WORLD(one_that_cannot_be_asked_is_unreachable_and_comes_back)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    reopen(w, &w->a);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    cr_assert_eq(shards_look(w->a.set), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH, "asked at most once a second");
    cr_assert_eq(shards_look(w->a.set), 1);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
}

WORLD(one_that_goes_away_in_use_is_unreachable_and_comes_back)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(put(&w->a, "packs/2"), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    pass_time(w);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
}

WORLD(an_empty_mount_point_is_unreachable_and_nothing_is_put_there)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    reopen(w, &w->a);
    shard_mem_swap(w->cold, w->other);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    cr_assert_eq(shard_mem_count(w->cold), 0);
    shard_mem_swap(w->cold, w->other);
    pass_time(w);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
}

WORLD(another_shard_in_its_place_is_wrong_and_neither_read_nor_written)
{
    uint64_t count;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(add(&w->a, 2, "mem:other"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    shard_mem_swap(w->cold, w->other);
    count = shard_mem_count(w->cold);
    cr_assert_eq(put(&w->a, "packs/2"), -EHOSTUNREACH);
    cr_assert_eq(shards_look(w->a.set), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_WRONG);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EHOSTUNREACH);
    cr_assert_eq(shard_mem_count(w->cold), count);
    shard_mem_swap(w->cold, w->other);
    cr_assert_gt(shards_look(w->a.set), 0);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
}

WORLD(a_damaged_identity_is_not_believed)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(shard_mem_flip(w->cold, SHARD_IDENTITY, 30, 0), 0);
    reopen(w, &w->a);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    cr_assert_eq(shard_mem_flip(w->cold, SHARD_IDENTITY, 30, 0), 0);
    pass_time(w);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
}

WORLD(one_that_refuses_writes_is_read_only_until_it_takes_them_again)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, true);
    cr_assert_eq(put(&w->a, "packs/1"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_READONLY);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EROFS);
    cr_assert_eq(shards_look(w->a.set), 0);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, false);
    cr_assert_eq(shards_look(w->a.set), 1);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, true);
    cr_assert_eq(put(&w->a, "packs/2"), -EROFS);
    cr_assert_eq(state(&w->a, 1), SHARDS_READONLY);
}

WORLD(one_that_was_read_only_and_then_away_may_be_written_to_again)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, true);
    cr_assert_eq(put(&w->a, "packs/1"), -EROFS);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_look(w->a.set), 0);
    cr_assert_eq(shards_said(w->a.set, 1, -EHOSTUNREACH), -EHOSTUNREACH);
    shard_mem_set(w->cold, SHARD_MEM_READONLY, false);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(shards_look(w->a.set), 1);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
}

WORLD(a_store_opened_for_reading_writes_nothing_at_all)
{
    uint64_t writes;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    close_side(&w->a);
    writes = w->fault.writes;
    open_as(w, &w->a, store_id, true);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_READONLY);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EROFS);
    cr_assert_eq(add(&w->a, 2, "mem:other"), -EROFS);
    cr_assert_eq(shards_set_draining(w->a.set, 1, true), -EROFS);
    cr_assert_eq(shards_look(w->a.set), 0);
    cr_assert_eq(w->fault.writes, writes);
}

WORLD(no_such_name_is_believed_only_of_the_right_shard)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(shards_said(w->a.set, 1, 0), 0);
    cr_assert_eq(shards_said(w->a.set, 1, -ENOENT), -ENOENT);
    cr_assert_eq(shards_said(w->a.set, 1, -EUCLEAN), -EUCLEAN);
    cr_assert_eq(shards_said(w->a.set, 1, -EIO), -EIO);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    shard_mem_set(w->cold, SHARD_MEM_DENIES, true);
    cr_assert_eq(shards_said(w->a.set, 1, -ENOENT), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    shard_mem_set(w->cold, SHARD_MEM_DENIES, false);
    cr_assert_eq(shards_look(w->a.set), 1);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_said(w->a.set, 1, -EIO), -EHOSTUNREACH);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
}

WORLD(changes_of_state_are_reported_once)
{
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(report_count(REPORT_WARN), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(put(&w->a, "packs/1"), -EHOSTUNREACH);
    shards_look(w->a.set);
    uint64_t told = report_count(REPORT_WARN);

    cr_assert(told == 1 || told == 2);
    shards_look(w->a.set);
    shards_look(w->a.set);
    cr_assert_eq(report_count(REPORT_WARN), told);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    shards_look(w->a.set);
    cr_assert_eq(report_count(REPORT_NOTE), 1);
}

/* ---- removing ---- */

WORLD(a_removed_one_is_forgotten_and_its_place_is_free)
{
    static const uint8_t another[16] = {9};
    char why[SHARD_WHY];

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
    cr_assert_eq(shards_remove(w->a.set, 1, why), 0);
    cr_assert_eq(use(&w->a, SHARDS_READ), -ENXIO);
    cr_assert_eq(shard_mem_count(w->cold), 0);
    reopen(w, &w->a);
    cr_assert_eq(use(&w->a, SHARDS_READ), -ENXIO);
    open_as(w, &w->b, another, false);
    cr_assert_eq(add(&w->b, 5, "mem:cold"), 0);
}

WORLD(one_in_use_is_not_removed)
{
    char why[SHARD_WHY];

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(shards_get(w->a.set, 1, SHARDS_READ, NULL, NULL), 0);
    cr_assert_eq(shards_remove(w->a.set, 1, why), -EBUSY);
    cr_assert_str_not_empty(why);
    shards_put_back(w->a.set, 1);
    cr_assert_eq(shards_remove(w->a.set, 1, why), 0);
}

WORLD(of_one_that_is_away_only_the_record_goes)
{
    char why[SHARD_WHY];

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_remove(w->a.set, 1, why), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    cr_assert_eq(use(&w->a, SHARDS_READ), -ENXIO);
    cr_assert_gt(shard_mem_count(w->cold), 0);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0, "what was left is taken over");
    cr_assert_eq(put(&w->a, "packs/1"), 0);
}

WORLD(numbers_rise_also_over_a_removal)
{
    char why[SHARD_WHY];
    uint64_t last = 0, where;

    for (int i = 0; i < 3; i++) {
        cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
        cr_assert_eq(use(&w->a, SHARDS_WRITE), 0);
        cr_assert_eq(shards_new_number(w->a.set, 1, &where), 0);
        cr_assert_gt(where, last);
        last = where;
        cr_assert_eq(shards_remove(w->a.set, 1, why), 0);
        reopen(w, &w->a);
    }
}

WORLD(that_one_is_drained_is_remembered)
{
    struct shards_info info;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(shards_set_draining(w->a.set, 1, true), 0);
    reopen(w, &w->a);
    cr_assert_eq(shards_info_get(w->a.set, 1, &info), 0);
    cr_assert(info.draining);
    cr_assert_eq(put(&w->a, "packs/1"), 0, "who moves things looks at it, nobody else");
    cr_assert_eq(shards_set_draining(w->a.set, 1, false), 0);
    cr_assert_eq(shards_info_get(w->a.set, 1, &info), 0);
    cr_assert_not(info.draining);
}

WORLD(a_damaged_record_is_told_and_stops_no_other)
{
    char why[SHARD_WHY];

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(add(&w->a, 2, "mem:other"), 0);
    cr_assert_eq(kv_mem_flip(w->a.mem, 0, "\0\1", 2, 40, 1), 0);
    reopen(w, &w->a);
    cr_assert_eq(report_count(REPORT_ALARM), 1);
    cr_assert_eq(state(&w->a, 1), SHARDS_UNREACHABLE);
    cr_assert_eq(use(&w->a, SHARDS_READ), -EHOSTUNREACH);
    pass_time(w);
    cr_assert_eq(use(&w->a, SHARDS_WRITE), -EHOSTUNREACH);
    cr_assert_eq(shards_said(w->a.set, 1, -ENOENT), -EHOSTUNREACH);
    cr_assert_eq(shards_set_draining(w->a.set, 1, true), -EUCLEAN);
    cr_assert_eq(shards_look(w->a.set), 1, "the other one");
    cr_assert_eq(state(&w->a, 2), SHARDS_OK);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), -EEXIST);
    cr_assert_eq(shards_remove(w->a.set, 1, why), 0);
    reopen(w, &w->a);
    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
}

/* ---- waiting ---- */

static void *take_fence_blocked(void *side)
{
    return (void *)(intptr_t)use(side, SHARDS_WRITE);
}

static void until_waiting(struct shard_mem *m)
{
    while (shard_mem_waiting(m) == 0)
        usleep(1000);
}

WORLD(who_reads_does_not_wait_for_who_takes_the_fence)
{
    pthread_t thread;
    void *err;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_set(w->cold, SHARD_MEM_BLOCKED, true);
    cr_assert_eq(pthread_create(&thread, NULL, take_fence_blocked, &w->a), 0);
    until_waiting(w->cold);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(state(&w->a, 1), SHARDS_OK);
    shard_mem_set(w->cold, SHARD_MEM_BLOCKED, false);
    pthread_join(thread, &err);
    cr_assert_null(err);
}

WORLD(one_that_was_opened_again_is_closed_when_nobody_uses_the_old_one)
{
    struct shard *shard;
    char buf[8];

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(put(&w->a, "packs/1"), 0);
    cr_assert_eq(shards_get(w->a.set, 1, SHARDS_READ, &shard, NULL), 0);
    cr_assert_eq(shards_said(w->a.set, 1, -EHOSTUNREACH), -EHOSTUNREACH);
    cr_assert_eq(shards_look(w->a.set), 1);
    cr_assert_eq(use(&w->a, SHARDS_READ), 0);
    cr_assert_eq(shard_range(shard, "packs/1", buf, 8, 0), 5);
    shards_put_back(w->a.set, 1);
    cr_assert_eq(put(&w->a, "packs/2"), 0);
}

struct waiter {
    struct side *side;
    _Atomic int64_t ns;
    _Atomic bool stop;
};

static const _Atomic int64_t at_once = 0;

static void *wait_for(void *ctx)
{
    struct waiter *v = ctx;

    return (void *)(intptr_t)shards_wait(v->side->set, 1, &v->ns, &v->stop);
}

WORLD(another_time_to_wait_counts_at_once)
{
    struct waiter v = {&w->a, 3600 * NSEC_PER_SEC, false};
    pthread_t thread;
    void *err;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_said(w->a.set, 1, -EHOSTUNREACH), -EHOSTUNREACH);
    pass_time(w);
    cr_assert_eq(pthread_create(&thread, NULL, wait_for, &v), 0);
    atomic_store(&v.ns, 0);
    shards_wake(w->a.set);
    pthread_join(thread, &err);
    cr_assert_eq((int)(intptr_t)err, -EHOSTUNREACH);
}

WORLD(who_waits_is_woken_when_it_is_back)
{
    struct waiter v = {&w->a, 3600 * NSEC_PER_SEC, false};
    pthread_t thread;
    void *err;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    cr_assert_eq(shards_wait(w->a.set, 1, &at_once, NULL), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_said(w->a.set, 1, -EHOSTUNREACH), -EHOSTUNREACH);
    pass_time(w);
    cr_assert_eq(shards_wait(w->a.set, 1, &at_once, NULL), -EHOSTUNREACH, "it was looked at");
    cr_assert_eq(pthread_create(&thread, NULL, wait_for, &v), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, false);
    pass_time(w);
    pthread_join(thread, &err);
    cr_assert_null(err);
}

WORLD(waiting_ends_with_its_time_or_when_it_is_told_to)
{
    struct waiter v = {&w->a, NSEC_PER_SEC, false};
    pthread_t thread;
    void *err;

    cr_assert_eq(add(&w->a, 1, "mem:cold"), 0);
    shard_mem_set(w->cold, SHARD_MEM_UNREACHABLE, true);
    cr_assert_eq(shards_said(w->a.set, 1, -EHOSTUNREACH), -EHOSTUNREACH);
    cr_assert_eq(pthread_create(&thread, NULL, wait_for, &v), 0);
    v.stop = true;
    pthread_join(thread, &err);
    cr_assert_eq((intptr_t)err, -EHOSTUNREACH);
    v.stop = false;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for, &v), 0);
    pass_time(w);
    while (pthread_tryjoin_np(thread, &err) != 0) /* it may have begun after that */
        pass_time(w);
    cr_assert_eq((intptr_t)err, -EHOSTUNREACH);
}
