// SPDX-License-Identifier: Apache-2.0
/* Claims of shards.h: the set of shards, their states, and who may write. */
#include "shards.h"

#include "kv_mem.h"
#include "report.h"
#include "shard_format.h"
#include "shard_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const tables[] = {"shards"};
static const uint8_t store_id[16] = {7, 7, 7};

/* A store's side: a kv that survives, and a set over it while it is open. */
struct side {
    struct kv_mem *mem;
    struct kv *kv;
    struct shards *set;
};

struct world {
    struct fault fault;
    struct clock_manual clock;
    struct shard_mem *cold, *other; /* mem:cold, mem:other */
    struct side a, b;
};

static void setup(struct world *w)
{
    memset(w, 0, sizeof *w);
    clock_manual_init(&w->clock, 1000 * NSEC_PER_SEC);
    shard_mem_register();
    report_reset();
    cr_assert_eq(shard_mem_create("cold", &w->fault, &w->cold), 0);
    cr_assert_eq(shard_mem_create("other", &w->fault, &w->other), 0);
    cr_assert_eq(kv_mem_create(&w->fault, &w->a.mem), 0);
    cr_assert_eq(kv_mem_create(&w->fault, &w->b.mem), 0);
}

static void open_as(struct world *w, struct side *side, const uint8_t store[16], bool readonly)
{
    struct shards_config config = {.table = 0, .clock = &w->clock.base, .readonly = readonly};

    memcpy(config.store, store, 16);
    cr_assert_eq(kv_open_mem(side->mem, tables, 1, KV_CREATE, &side->kv), 0);
    config.kv = side->kv;
    cr_assert_eq(shards_open(&config, &side->set), 0);
}

static void open_side(struct world *w, struct side *side)
{
    open_as(w, side, store_id, false);
}

static void close_side(struct side *side)
{
    shards_close(side->set);
    kv_close(side->kv);
    side->set = NULL;
    side->kv = NULL;
}

static void reopen(struct world *w, struct side *side)
{
    close_side(side);
    open_side(w, side);
}

static void finish(struct world *w)
{
    close_side(&w->a);
    close_side(&w->b);
    kv_mem_destroy(w->a.mem);
    kv_mem_destroy(w->b.mem);
    shard_mem_destroy(w->cold);
    shard_mem_destroy(w->other);
}

/* A claim in a world with side a open. */
#define WORLD(claim)                                                                               \
    static void claim(struct world *w);                                                            \
    Test(shards, claim)                                                                            \
    {                                                                                              \
        struct world w;                                                                            \
        setup(&w);                                                                                 \
        open_side(&w, &w.a);                                                                       \
        claim(&w);                                                                                 \
        finish(&w);                                                                                \
    }                                                                                              \
    static void claim(struct world *w)

static int add(struct side *side, uint16_t number, const char *url)
{
    char why[SHARD_WHY] = "";
    int err = shards_add(side->set, number, url, why);

    cr_assert_eq(err < 0, *why != '\0', "%d: %s", err, why);
    return err;
}

static enum shards_state state(struct side *side, uint16_t number)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(side->set, number, &info), 0);
    if (info.state != SHARDS_OK && info.state != SHARDS_NEW)
        cr_assert_str_not_empty(info.why);
    return info.state;
}

static int use(struct side *side, enum shards_use how)
{
    struct shard *shard;
    struct disk *disk;
    int err = shards_get(side->set, 1, how, &shard, &disk);

    if (err == 0) {
        cr_assert_not_null(shard);
        cr_assert_not_null(disk);
        shards_put_back(side->set, 1);
    }
    return err;
}

static int put(struct side *side, const char *name)
{
    struct shard *shard;
    int err = shards_get(side->set, 1, SHARDS_WRITE, &shard, NULL);

    if (err < 0)
        return err;
    err = shards_said(side->set, 1, shard_put_if_absent(shard, name, "bytes", 5));
    shards_put_back(side->set, 1);
    return err;
}

static void pass_time(struct world *w)
{
    clock_manual_advance(&w->clock, 2 * NSEC_PER_SEC);
}

/* Side b becomes a copy of side a, as it is now. */
static void copy_store(struct world *w)
{
    const void *key, *value;
    size_t klen = 0, len;
    uint8_t at[2] = {0};
    struct kv_snap *snap;
    struct kv_txn *t;
    struct kv *to;

    cr_assert_eq(kv_open_mem(w->b.mem, tables, 1, KV_CREATE, &to), 0);
    cr_assert_eq(kv_snap_begin(w->a.kv, &snap), 0);
    cr_assert_eq(kv_txn_begin(to, &t), 0);
    while (kv_snap_seek(snap, 0, at, klen, klen > 0, &key, &klen, &value, &len) == 0) {
        memcpy(at, key, 2);
        cr_assert_eq(kv_put(t, 0, key, klen, value, len), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
    kv_snap_end(snap);
    kv_close(to);
}

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
    cr_assert_eq(shards_wait(w->a.set, 1, NSEC_PER_SEC, NULL), -ENXIO);
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

/* ---- claims ---- */

WORLD(reading_claims_nothing)
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
