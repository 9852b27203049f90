// SPDX-License-Identifier: Apache-2.0
/*
 * table: a refcount table on kv_mem, and its commits. `crash` opens what the last commit left.
 */
#pragma once

#include "kv_mem.h"
#include "refs.h"
#include "report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

struct table {
    struct fault fault;
    struct kv_mem *mem;
    struct kv *kv;
    struct id_key key;
    struct refs *refs;
    uint64_t frozen_next;
};

static inline void table_open(struct table *t)
{
    static const struct kv_table names[] = {{.name = "objects"}, {.name = "ids"},
                                            {.name = "dying"},   {.name = "pins"},
                                            {.name = "meta"},    {.name = "ghosts"}};
    uint64_t next = 1;
    size_t len;

    cr_assert_eq(kv_open_mem(t->mem, names, 6, KV_CREATE, &t->kv), 0);
    (void)kv_get(t->kv, 4, "next", 4, &next, sizeof next, &len);
    cr_assert_eq(refs_open(t->kv, &(struct refs_tables){0, 1, 2, 3, 5}, &t->key, next, &t->refs),
                 0);
}

static inline void table_close(struct table *t)
{
    refs_close(t->refs);
    kv_close(t->kv);
}

static inline void table_create(struct table *t)
{
    *t = (struct table){0};
    memset(t->key.secret, 7, sizeof t->key.secret);
    cr_assert_eq(kv_mem_create(&t->fault, &t->mem), 0);
    table_open(t);
    report_reset();
}

static inline void table_destroy(struct table *t)
{
    table_close(t);
    kv_mem_destroy(t->mem);
}

static inline void crash(struct table *t)
{
    table_close(t);
    fault_reset(&t->fault);
    table_open(t);
}

static inline void freeze(struct table *t)
{
    cr_assert_eq(refs_freeze(t->refs), 0);
    t->frozen_next = refs_next(t->refs);
}

/* The `n` oldest batches. */
static inline int write_some(struct table *t, size_t n)
{
    struct kv_txn *x;
    cr_assert_eq(kv_txn_begin(t->kv, &x), 0);
    cr_assert_eq(refs_write(t->refs, n, x), 0);
    cr_assert_eq(kv_put(x, 4, "next", 4, &t->frozen_next, sizeof t->frozen_next), 0);
    return kv_commit(x);
}

static inline int write_out(struct table *t)
{
    return write_some(t, 1);
}

static inline void commit(struct table *t)
{
    freeze(t);
    cr_assert_eq(write_out(t), 0);
    refs_retire(t->refs, 1);
}

/* How many entries a table has on disk: 0 objects, 1 ids, 2 dying, 3 pins. */
static inline uint64_t rows(struct table *t, unsigned table)
{
    struct kv_snap *s;
    uint64_t n = 0;
    cr_assert_eq(kv_snap_begin(t->kv, &s), 0);
    cr_assert_eq(kv_snap_count(s, table, &n), 0);
    kv_snap_end(s);
    return n;
}

static inline struct id named(const struct table *t, const char *content)
{
    struct id id;
    id_of(&t->key, content, strlen(content), &id);
    return id;
}

/* The count of the object that has that id; 0: there is none. */
static inline uint64_t get(struct table *t, const struct id *id)
{
    struct entry e;
    uint64_t n;
    bool pending;
    int err = refs_find(t->refs, id, &n, &e, &pending);
    cr_assert(err == 0 || err == -ENOENT || err == -EAGAIN);
    if (err < 0)
        return 0;
    refs_unhold(t->refs, n);
    return e.count;
}

static inline uint64_t count_of(struct table *t, uint64_t number)
{
    struct entry e;
    int err = refs_entry(t->refs, number, false, NULL, &e);
    cr_assert(err == 0 || err == -ENOENT);
    return err == 0 ? e.count : 0;
}

static inline bool exists(struct table *t, uint64_t number)
{
    struct entry e;
    return refs_entry(t->refs, number, false, NULL, &e) == 0;
}

/* A number with that many references, not sealed. */
static inline uint64_t fresh(struct table *t, unsigned references)
{
    uint64_t n;
    cr_assert_eq(refs_new(t->refs, &n), 0);
    while (references--)
        cr_assert_eq(refs_ref(t->refs, n), 0);
    return n;
}

static inline int seal_as(struct table *t, uint64_t number, const struct id *id)
{
    struct entry place = {.kind = ENTRY_PACK, .id = *id, .size = 10, .where = 1};
    place.offset = (uint32_t)number * 64;
    return refs_seal_new(t->refs, number, &place);
}

/* A sealed object with that many references, synced. */
static inline uint64_t object(struct table *t, const char *content, unsigned references)
{
    struct id id = named(t, content);
    uint64_t n = fresh(t, references);
    cr_assert_eq(seal_as(t, n, &id), 0);
    refs_settle(t->refs, refs_pending_mark(t->refs));
    return n;
}

static inline int collect(struct table *t)
{
    return refs_collect(t->refs, 100, NULL, NULL);
}
