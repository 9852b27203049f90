// SPDX-License-Identifier: Apache-2.0
/*
 * warehouse: objects over packs, refs and a disk, all in memory, and their commits.
 */
#pragma once

#include "clock_manual.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "objects.h"
#include "report.h"
#include "shards.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

struct warehouse {
    struct fault fault;
    struct disk *disk;
    struct kv_mem *mem;
    struct kv *kv;
    struct id_key key;
    struct packs *packs;
    struct refs *refs;
    struct objects *objects;
    struct shards *shards; /* none of them, until one is added */
    struct cache *cache;   /* of the shards; NULL: none */
    struct clock_manual clock;
    uint64_t next[2]; /* object, pack: as of the last commit */
};

static inline void warehouse_open(struct warehouse *w)
{
    static const struct kv_table names[] = {{.name = "objects"},
                                            {.name = "ids"},
                                            {.name = "dying"},
                                            {.name = "pins"},
                                            {.name = "packs"},
                                            {.name = "ghosts"},
                                            {.name = "shards", .checks_itself = true},
                                            {.name = "shard_packs"}};

    cr_assert_eq(kv_open_mem(w->mem, names, 8, KV_CREATE, &w->kv), 0);
    cr_assert_eq(packs_open(w->disk, w->kv, 4, 7, w->next[1], NULL, NULL, &w->packs), 0);
    cr_assert_eq(
        refs_open(w->kv, &(struct refs_tables){0, 1, 2, 3, 5}, &w->key, w->next[0], &w->refs), 0);
    struct shards_config sc = {
        .kv = w->kv, .table = 6, .clock = &w->clock.base, .cache = w->cache, .store = {1}};
    cr_assert_eq(shards_open(&sc, &w->shards), 0);
    struct objects_config c = {.disk = w->disk,
                               .packs = w->packs,
                               .shards = w->shards,
                               .clock = &w->clock.base,
                               .refs = w->refs,
                               .key = &w->key};
    cr_assert_eq(objects_open(&c, &w->objects), 0);
}

static inline void warehouse_close(struct warehouse *w)
{
    objects_close(w->objects);
    refs_close(w->refs);
    packs_close(w->packs);
    shards_close(w->shards);
    kv_close(w->kv);
}

static inline void warehouse_create(struct warehouse *w)
{
    *w = (struct warehouse){.next = {1, 1}};
    memset(w->key.secret, 7, sizeof w->key.secret);
    clock_manual_init(&w->clock, 20000 * 24 * 3600 * NSEC_PER_SEC); /* day 20000 */
    cr_assert_eq(disk_mem_create(&w->fault, 0, &w->disk), 0);
    cr_assert_eq(kv_mem_create(&w->fault, &w->mem), 0);
    cr_assert_eq(blob_init(w->disk), 0);
    warehouse_open(w);
    report_reset();
}

static inline void warehouse_destroy(struct warehouse *w)
{
    warehouse_close(w);
    kv_mem_destroy(w->mem);
    disk_close(w->disk);
}

static inline void warehouse_reopen(struct warehouse *w)
{
    warehouse_close(w);
    disk_mem_power_cycle(w->disk);
    fault_reset(&w->fault);
    warehouse_open(w);
}

static inline void warehouse_commit(struct warehouse *w)
{
    struct kv_txn *t;

    cr_assert_eq(objects_sync(w->objects), 0);
    cr_assert_eq(refs_freeze(w->refs), 0);
    cr_assert_eq(packs_freeze(w->packs), 0);
    cr_assert_eq(kv_txn_begin(w->kv, &t), 0);
    cr_assert_eq(refs_write(w->refs, 1, t), 0);
    cr_assert_eq(packs_write(w->packs, 1, t), 0);
    w->next[0] = refs_next(w->refs);
    w->next[1] = packs_next(w->packs);
    cr_assert_eq(kv_commit(t), 0);
    refs_retire(w->refs, 1);
    packs_retire(w->packs, 1);
}

/* Collect the dead, commit, delete their bytes; how many. */
static inline unsigned warehouse_reclaim(struct warehouse *w)
{
    struct refs_dead d;
    unsigned n = 0;

    cr_assert_geq(refs_collect(w->refs, 1000, NULL, NULL), 0);
    warehouse_commit(w);
    for (; refs_collected(w->refs, &d, 1); n++) {
        cr_assert_eq(objects_delete(w->objects, &d), 0);
        cr_assert_eq(refs_reclaimed(w->refs, &d, 1), 0);
    }
    warehouse_commit(w);
    return n;
}

/* Copy a ghost home, as move.c does it: a file under a number of its own, a record into the open
 * pack. */
static inline int warehouse_copy_home(struct warehouse *w, const struct entry *from,
                                      struct entry *ret_to)
{
    static uint8_t bytes[PACK_RECORD_MAX];
    uint64_t fresh;
    ssize_t n;
    int err;

    if (from->kind == ENTRY_PACK) {
        n = objects_read(w->objects, from, bytes, from->size, 0);
        return n < 0 ? (int)n : objects_append(w->objects, from, bytes, COMPRESS_NOT, ret_to);
    }
    cr_assert_eq(refs_new(w->refs, &fresh), 0);
    err = objects_copy_file(w->objects, 0, fresh, from, NULL, ret_to);
    refs_cancel(w->refs, fresh);
    return err;
}

/* A number with one reference. */
static inline uint64_t numbered(struct warehouse *w)
{
    uint64_t n;
    cr_assert_eq(refs_new(w->refs, &n), 0);
    cr_assert_eq(refs_ref(w->refs, n), 0);
    return n;
}

static inline struct entry entry_of(struct warehouse *w, uint64_t number)
{
    struct entry e;
    cr_assert_eq(refs_entry(w->refs, number, true, NULL, &e), 0);
    return e;
}
