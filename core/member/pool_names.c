// SPDX-License-Identifier: Apache-2.0
/* pool_names: see the header. */
#include "pool_names.h"
#include "array.h"
#include "map64.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct kv *kv;
    struct pool_names *names;
    struct map64 pinned; /* pinned object numbers; for a pinned alias the number of its object */
};

typedef int entry_fn(struct reading *r, struct kv_snap *s, uint64_t number, const void *val,
                     size_t len);

/* ---- one table, in short transactions ---- */

/* Reads entries after number *at (0: from the first on) in one transaction, up to the limits of a
 * step. -ENOENT: the table is read to its end. */
static int read_step(struct reading *r, unsigned table, uint64_t *at, entry_fn *fn)
{
    int64_t end = clock_ticks(clock_real()) + POOL_NAMES_NS;
    struct kv_each e = {.table = table, .strict = true, .from = *at, .after = *at != 0};
    bool more = true;
    int err = kv_snap_begin(r->kv, &e.snap);

    if (err < 0)
        return err;
    for (unsigned n = 0; n < POOL_NAMES_STEP; n++) {
        if (n % 256 == 255 && clock_ticks(clock_real()) >= end)
            break;
        more = kv_next(&e);
        if (!more)
            break;
        *at = e.number;
        e.err = e.number ? fn(r, e.snap, e.number, e.val, e.len) : -EUCLEAN;
    }
    kv_snap_end(e.snap);
    return e.err < 0 ? e.err : more ? 0 : -ENOENT;
}

/* Reads a whole table, in steps. */
static int read_table(struct reading *r, unsigned table, entry_fn *fn)
{
    uint64_t at = 0;
    int err;

    while ((err = read_step(r, table, &at, fn)) == 0)
        ;
    return err == -ENOENT ? 0 : err;
}

/* ---- what stands in them ---- */

/* Notes a pin for add_entry. An entry that is missing or damaged is ignored here: pins are only
 * shown to people and decide nothing. */
static int add_pin(struct reading *r, struct kv_snap *s, uint64_t number, const void *val,
                   size_t len)
{
    struct entry e;
    int err = refs_entry_in(s, TABLE_OBJECTS, number, &e);

    (void)val;
    (void)len;
    if (err < 0) /* only for people */
        return err == -ENOENT || err == -EUCLEAN ? 0 : err;
    return map64_put(&r->pinned, e.kind == ENTRY_ALIAS ? e.where : number, 1);
}

/* Adds the place of a sealed entry. Shards other than the pool belong to this member alone and are
 * left out. */
static int add_entry(struct reading *r, struct kv_snap *s, uint64_t number, const void *val,
                     size_t len)
{
    struct pool_names *n = r->names;
    struct entry e;
    uint64_t none;
    int err = entry_decode(val, len, &e);

    (void)s;
    /* an entry on another shard is this member's own */
    if (err < 0 || !entry_is_sealed(&e) || e.shard)
        return err;
    if (ARRAY_RESERVE(n->v, n->room, n->count + 1) < 0)
        return -ENOMEM;
    pool_record_make(&e, map64_get(&r->pinned, number, &none), &n->v[n->count++]);
    return 0;
}

/* ---- in order ---- */

/* Orders by key, then by place. Two places with the same key stay two records, so that this is
 * noticed. */
static int by_place(const void *a, const void *b)
{
    const struct pool_record *x = a, *y = b;
    int order = id_compare(&x->key, &y->key);

    if (order)
        return order;
    if (x->where != y->where)
        return x->where < y->where ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Unites the records of one place, which may be met as an object and as a dying one. */
static void unite(struct pool_names *n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->count; i++)
        if (kept && by_place(&n->v[kept - 1], &n->v[i]) == 0)
            n->v[kept - 1].flags |= n->v[i].flags;
        else
            n->v[kept++] = n->v[i];
    n->count = kept;
}

int pool_names_read(struct kv *kv, struct pool_names *ret)
{
    struct reading r = {.kv = kv, .names = ret, .pinned = MAP64_INIT};
    int err;

    *ret = (struct pool_names){.count = 0};
    err = read_table(&r, TABLE_PINS, add_pin);
    if (err == 0)
        err = read_table(&r, TABLE_OBJECTS, add_entry);
    if (err == 0)
        err = read_table(&r, TABLE_DYING, add_entry);
    map64_release(&r.pinned);
    if (err < 0)
        return err;
    if (ret->count)
        qsort(ret->v, ret->count, sizeof *ret->v, by_place);
    unite(ret);
    return 0;
}

void pool_names_release(struct pool_names *n)
{
    free(n->v);
    *n = (struct pool_names){.count = 0};
}
