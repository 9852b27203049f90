// SPDX-License-Identifier: Apache-2.0
/*
 * gc: what cycles of the coordinator cost, in time and in memory: by hand.
 *
 *     build-bench/tests/bench/bench-gc [OBJECTS [NODES]]        1000000 1
 *
 * The pool is made up as it is asked for, so all memory seen is the coordinator's. Peak: of the
 * heap, looked at after each batch and at the end of each cycle.
 */
#include "gc.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 100

static uint64_t objects = 1000000;
static unsigned nodes = 1, named_every = 1; /* each node names every such object */
static struct gc_report reports[NODES_MAX];
static uint64_t published;
static size_t peak, base;

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static bool look_at_heap(void *ctx, uint64_t listed)
{
    size_t now = heap();

    (void)ctx;
    (void)listed;
    if (peak < now)
        peak = now;
    return false;
}

static struct id id_of_number(uint64_t n)
{
    struct id id;
    uint64_t high = __builtin_bswap64(n * 18000000000000), low = n * UINT64_C(0x9E3779B97F4A7C15);

    memcpy(id.b, &high, 8);
    memcpy(id.b + 8, &low, 8);
    return id;
}

static uint64_t number_of(const struct id *id)
{
    uint64_t high;

    memcpy(&high, id->b, 8);
    return __builtin_bswap64(high) / 18000000000000;
}

static int get_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    (void)ctx;
    for (unsigned i = 0; i < nodes; i++) {
        reports[i].node = i + 1;
        reports[i].serial++;
        reports[i].ack = published;
        reports[i].own = true;
    }
    *ret_v = reports;
    *ret_count = nodes;
    return 0;
}

static int get_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                     uint8_t *ret)
{
    (void)ctx;
    (void)r;
    for (size_t i = 0; i < count; i++)
        if (named_every && number_of(&ids[i]) % named_every == 0)
            ret[i] = GC_NAMED_ACTIVE;
    return 0;
}

static int list(void *ctx, const struct id *after, struct id *out, size_t max, size_t *ret_count)
{
    uint64_t from = after ? number_of(after) + 1 : 1;
    size_t n = 0;

    (void)ctx;
    while (n < max && from <= objects)
        out[n++] = id_of_number(from++);
    *ret_count = n;
    return 0;
}

static int publish(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count)
{
    (void)ctx;
    (void)v;
    (void)count;
    published = serial;
    return 0;
}

static int nothing(void *ctx, const struct id *id)
{
    (void)ctx;
    (void)id;
    return 0;
}

static void cycle(struct gc *gc, const char *what)
{
    const struct gc_config config = {.min_nodes_reporting = 1};
    const struct gc_sources s = {.reports = get_reports,
                                 .names = get_names,
                                 .list = list,
                                 .publish = publish,
                                 .look = nothing,
                                 .remove = nothing,
                                 .step = look_at_heap};
    struct gc_result r;
    int64_t start = clock_ticks(clock_real());
    int err;

    peak = 0;
    err = gc_cycle(gc, &config, &s, &(struct gc_options){0}, &r);
    (void)look_at_heap(NULL, 0);
    printf("%-44s %7.3f s  %6.1f MiB peak  %6.1f MiB after\n", what,
           (double)(clock_ticks(clock_real()) - start) / NSEC_PER_SEC,
           (double)(peak - base) / (1 << 20),
           (double)(heap() - base - malloc_usable_size(r.eligible)) / (1 << 20));
    if (err < 0 || r.held != objects) {
        fprintf(stderr, "the cycle failed: %d\n", err);
        exit(1);
    }
    gc_result_release(&r);
}

int main(int argc, char **argv)
{
    struct gc *gc;

    if (argc > 1)
        objects = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        nodes = (unsigned)strtoul(argv[2], NULL, 10);
    if (objects == 0 || objects > 1000000 || nodes == 0 || nodes > NODES_MAX) {
        fprintf(stderr, "usage: bench-gc [OBJECTS [NODES]]: up to 1000000, up to %d\n", NODES_MAX);
        return 1;
    }
    base = heap();
    printf("%llu objects, %u node%s\n", (unsigned long long)objects, nodes, nodes == 1 ? "" : "s");
    if (gc_create(clock_real(), 0, &gc) < 0)
        return 1;
    cycle(gc, "the first: all new, all active");
    cycle(gc, "all known, all active");
    named_every = 2;
    cycle(gc, "every other one is let go and marked");
    cycle(gc, "and deleted");
    named_every = 0;
    cycle(gc, "all are let go and marked, half are new");
    cycle(gc, "and deleted");
    gc_destroy(gc);
    gc = NULL;
    if (gc_create(clock_real(), published, &gc) < 0)
        return 1;
    cycle(gc, "the first: all new, all marked");
    gc_destroy(gc);
    return 0;
}
