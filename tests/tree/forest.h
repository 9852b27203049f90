// SPDX-License-Identifier: Apache-2.0
/*
 * forest: up to FOREST_TREES trees with pages, refs and drops on one kv_mem, and their commits.
 *
 *     forest_create(&f); ... forest_commit(&f); ... forest_crash(&f); ... forest_destroy(&f);
 *
 * A crash closes everything and opens what the last commit left. What must hold always and does
 * not ends the program, so that this serves Criterion tests and plain programs alike.
 */
#pragma once

#include "drop.h"
#include "kv_mem.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOREST_TREES 8

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum forest_table {
    T_META,
    T_PAGES,
    T_COUNTS,
    T_OBJECTS,
    T_IDS,
    T_DYING,
    T_PINS,
    T_DROPS,
    T_GHOSTS
};
static const struct kv_table forest_tables[] = {
    {.name = "meta"}, {.name = "pages", .checks_itself = true},
    {.name = "counts"}, {.name = "objects"},
    {.name = "ids"}, {.name = "dying"},
    {.name = "pins"}, {.name = "drops"},
    {.name = "ghosts"}};

struct forest_saved {
    uint64_t root[FOREST_TREES], next_page, next_object;
};

struct forest {
    struct fault fault;
    struct kv_mem *mem;
    struct kv *kv;
    struct id_key key;
    size_t cache_bytes;
    bool leaks; /* calls were made to fail: counts may be too high, and pages left over */
    struct pages *pages;
    struct refs *refs;
    struct drops *drops;
    struct tree tree[FOREST_TREES];
    struct forest_saved frozen;
};

static inline void forest_open(struct forest *f)
{
    static const struct refs_tables tables = {T_OBJECTS, T_IDS, T_DYING, T_PINS, T_GHOSTS};
    struct forest_saved s = {.next_page = 1, .next_object = 1};
    size_t len;

    MUST(kv_open_mem(f->mem, forest_tables, 9, KV_CREATE, &f->kv) == 0);
    (void)kv_get(f->kv, T_META, "s", 1, &s, sizeof s, &len);
    MUST(pages_open(f->kv, T_PAGES, T_COUNTS, s.next_page, f->cache_bytes, &f->pages) == 0);
    MUST(refs_open(f->kv, &tables, &f->key, s.next_object, &f->refs) == 0);
    MUST(drops_open(f->kv, T_DROPS, f->pages, f->refs, &f->drops) == 0);
    for (unsigned i = 0; i < FOREST_TREES; i++)
        f->tree[i] = (struct tree){.pages = f->pages, .refs = f->refs, .root = s.root[i]};
}

static inline void forest_close(struct forest *f)
{
    drops_close(f->drops);
    refs_close(f->refs);
    pages_close(f->pages);
    kv_close(f->kv);
}

static inline void forest_create(struct forest *f)
{
    *f = (struct forest){.cache_bytes = 1 << 20};
    for (size_t i = 0; i < ID_SECRET_LEN; i++)
        f->key.secret[i] = (uint8_t)(i * 7 + 1);
    MUST(kv_mem_create(&f->fault, &f->mem) == 0);
    forest_open(f);
}

static inline void forest_destroy(struct forest *f)
{
    forest_close(f);
    kv_mem_destroy(f->mem);
}

static inline void forest_crash(struct forest *f)
{
    forest_close(f);
    fault_reset(&f->fault);
    forest_open(f);
}

static inline void forest_freeze(struct forest *f)
{
    MUST(drops_freeze(f->drops) == 0);
    MUST(refs_freeze(f->refs) == 0);
    MUST(pages_freeze(f->pages) == 0);
    f->frozen.next_page = pages_next(f->pages);
    f->frozen.next_object = refs_next(f->refs);
    for (unsigned i = 0; i < FOREST_TREES; i++)
        f->frozen.root[i] = f->tree[i].root;
}

/* One try with the `n` oldest batches; may be repeated after a failure. */
static inline int forest_write_some(struct forest *f, size_t n)
{
    struct kv_txn *t;

    MUST(kv_txn_begin(f->kv, &t) == 0);
    MUST(pages_write(f->pages, n, t) == 0);
    MUST(refs_write(f->refs, n, t) == 0);
    MUST(drops_write(f->drops, n, t) == 0);
    MUST(kv_put(t, T_META, "s", 1, &f->frozen, sizeof f->frozen) == 0);
    return kv_commit(t);
}

static inline int forest_write(struct forest *f)
{
    return forest_write_some(f, 1);
}

/* The next commit fails with ENOSPC: nothing of it happens, and it may be tried again. */
static inline void forest_fail_next_commit(struct forest *f)
{
    f->fault.error = ENOSPC;
    f->fault.fail_at = f->fault.writes + 1;
}

static inline void forest_retire_some(struct forest *f, size_t n)
{
    refs_retire(f->refs, n);
    pages_retire(f->pages, n);
    drops_retire(f->drops, n);
}

static inline void forest_retire(struct forest *f)
{
    forest_retire_some(f, 1);
}

static inline void forest_commit(struct forest *f)
{
    forest_freeze(f);
    MUST(forest_write(f) == 0);
    forest_retire(f);
}

/* A sealed object with count 0 and an id nobody else has. */
static inline uint64_t forest_object(struct forest *f)
{
    uint64_t number;
    struct entry place = {.kind = ENTRY_PACK, .size = 1000, .where = 1};

    MUST(refs_new(f->refs, &number) == 0);
    id_of(&f->key, &number, sizeof number, &place.id);
    place.offset = (uint32_t)number * 8;
    MUST(refs_seal_new(f->refs, number, &place) == 0);
    refs_settle(f->refs, refs_pending_mark(f->refs));
    return number;
}

static inline uint64_t forest_count(struct forest *f, uint64_t object)
{
    struct entry e;
    return refs_entry(f->refs, object, false, NULL, &e) == 0 ? e.count : 0;
}

/* Work the drop queue off. */
static inline void forest_drop_all(struct forest *f)
{
    unsigned done;
    do
        MUST(drops_step(f->drops, 100, &done) == 0);
    while (done);
}
