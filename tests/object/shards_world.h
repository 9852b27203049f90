// SPDX-License-Identifier: Apache-2.0
/* shards_world: two shards in memory, and two stores, or a store and its copy, over them. */
#pragma once

#include "clock_manual.h"
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

static const struct kv_table tables[] = {{.name = "shards", .checks_itself = true}};
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

static inline void setup(struct world *w)
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

static inline void open_as(struct world *w, struct side *side, const uint8_t store[16],
                           bool readonly)
{
    struct shards_config config = {.table = 0, .clock = &w->clock.base, .readonly = readonly};

    memcpy(config.store, store, 16);
    cr_assert_eq(kv_open_mem(side->mem, tables, 1, KV_CREATE, &side->kv), 0);
    config.kv = side->kv;
    cr_assert_eq(shards_open(&config, &side->set), 0);
}

static inline void open_side(struct world *w, struct side *side)
{
    open_as(w, side, store_id, false);
}

static inline void close_side(struct side *side)
{
    shards_close(side->set);
    kv_close(side->kv);
    side->set = NULL;
    side->kv = NULL;
}

static inline void reopen(struct world *w, struct side *side)
{
    close_side(side);
    open_side(w, side);
}

static inline void finish(struct world *w)
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
    Test(SUITE, claim)                                                                             \
    {                                                                                              \
        struct world w;                                                                            \
        setup(&w);                                                                                 \
        open_side(&w, &w.a);                                                                       \
        claim(&w);                                                                                 \
        finish(&w);                                                                                \
    }                                                                                              \
    static void claim(struct world *w)

static inline int add(struct side *side, uint16_t number, const char *url)
{
    char why[SHARD_WHY] = "";
    int err = shards_add(side->set, number, url, why);

    cr_assert_eq(err < 0, *why != '\0', "%d: %s", err, why);
    return err;
}

static inline enum shards_state state(struct side *side, uint16_t number)
{
    struct shards_info info;

    cr_assert_eq(shards_info_get(side->set, number, &info), 0);
    if (info.state != SHARDS_OK && info.state != SHARDS_NEW)
        cr_assert_str_not_empty(info.why);
    return info.state;
}

static inline int use(struct side *side, enum shards_use how)
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

static inline int put(struct side *side, const char *name)
{
    struct shard *shard;
    int err = shards_get(side->set, 1, SHARDS_WRITE, &shard, NULL);

    if (err < 0)
        return err;
    err = shards_said(side->set, 1, shard_put_if_absent(shard, name, "bytes", 5));
    shards_put_back(side->set, 1);
    return err;
}

static inline void pass_time(struct world *w)
{
    clock_manual_advance(&w->clock, 2 * NSEC_PER_SEC);
}

/* Side b becomes a copy of side a, as it is now. */
static inline void copy_store(struct world *w)
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
