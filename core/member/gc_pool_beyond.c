// SPDX-License-Identifier: Apache-2.0
/*
 * gc_pool_beyond: counts the objects that members name and that no listing has. They are records of
 * open packs: only their writer knows what is in those. They are needed, and so they are counted.
 */
#include "array.h"
#include "gc_pool_impl.h"
#include <errno.h>
#include <stdlib.h>

struct named {
    struct id key;
    bool pinned;
};

struct beyond {
    const struct pool_held *held;
    size_t at; /* index in held->keys; the names ascend, too */
    struct named *v;
    size_t count, room;
};

/* Notes a key that a report names and that is not in the listing. */
static int note_key(const struct id *key, enum gc_named named, void *ctx)
{
    struct beyond *b = ctx;
    const struct pool_held *h = b->held;

    while (b->at < h->count && id_compare(&h->keys[b->at].key, key) < 0)
        b->at++;
    if (b->at < h->count && id_equal(&h->keys[b->at].key, key))
        return 0;
    if (ARRAY_RESERVE(b->v, b->room, b->count + 1) < 0)
        return -ENOMEM;
    b->v[b->count++] = (struct named){*key, named == GC_NAMED_PINNED};
    return 0;
}

/* By key; of two equal keys the pinned one comes first, and it is the one that counts. */
static int by_key(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = id_compare(&x->key, &y->key);

    return order ? order : y->pinned - x->pinned;
}

int gc_pool_beyond(void *ctx, const bool *counts, uint64_t *ret_active, uint64_t *ret_pinned)
{
    const struct gc_pool_run *c = ctx;
    struct beyond b = {.held = &c->held};
    int err = 0;

    for (unsigned i = 0; i < c->nodes && err == 0; i++) {
        b.at = 0;
        if (counts[i] && c->members[i].report)
            err = pool_report_each(c->members[i].report, note_key, &b);
    }
    if (err == 0 && b.count)
        qsort(b.v, b.count, sizeof *b.v, by_key);
    for (size_t i = 0; i < b.count && err == 0; i++) {
        if (i > 0 && id_equal(&b.v[i].key, &b.v[i - 1].key))
            continue;
        *ret_pinned += b.v[i].pinned;
        *ret_active += !b.v[i].pinned;
    }
    free(b.v);
    return err;
}
