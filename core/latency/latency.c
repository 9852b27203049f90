// SPDX-License-Identifier: Apache-2.0
/*
 * latency: see the header. The numbers are relaxed atomics in STRIPES copies, and a thread uses one
 * copy, so that threads on several CPUs seldom write to the same line of the cache.
 */
#include "latency.h"

#include <stdatomic.h>
#include <stdlib.h>

#define STRIPES 8

struct counts {
    _Atomic uint64_t of[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
};

struct latency {
    const char *const *names; /* NULL: none yet */
    struct counts of[STRIPES][LATENCY_KINDS];
};

/* The stripe of the calling thread. Threads get them in turn. */
static unsigned stripe(void)
{
    static _Atomic unsigned threads;
    static _Thread_local unsigned mine;

    if (mine == 0)
        mine = atomic_fetch_add(&threads, 1) % STRIPES + 1;
    return mine - 1;
}

static uint32_t known(const struct latency *l, uint32_t kind)
{
    return kind < LATENCY_KINDS && l->names && l->names[kind] ? kind : 0;
}

void latency_set_names(struct latency *l, const char *const *names)
{
    l->names = names;
}

const char *latency_name(const struct latency *l, uint32_t kind)
{
    return l->names ? l->names[known(l, kind)] : "";
}

void latency_note(struct latency *l, uint32_t kind, int64_t ns)
{
    struct counts *c = &l->of[stripe()][known(l, kind)];
    const uint64_t sum = ns > 0 ? (uint64_t)ns : 0;

    atomic_fetch_add_explicit(&c->of[histogram_bucket(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->sum_ns, sum, memory_order_relaxed);
}

/* Adds what one stripe has of a kind. */
static void add_stripe(const struct counts *c, struct histogram *h)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->of[i] += atomic_load_explicit(&c->of[i], memory_order_relaxed);
    h->sum_ns += atomic_load_explicit(&c->sum_ns, memory_order_relaxed);
}

const char *latency_get(const struct latency *l, uint32_t kind, struct histogram *ret)
{
    *ret = (struct histogram){0};
    for (unsigned s = 0; s < STRIPES && kind < LATENCY_KINDS; s++)
        add_stripe(&l->of[s][kind], ret);
    return histogram_count(ret) > 0 ? latency_name(l, kind) : NULL;
}

struct latency *latency_new(void)
{
    return calloc(1, sizeof(struct latency));
}

void latency_free(struct latency *l)
{
    free(l);
}
