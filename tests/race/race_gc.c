// SPDX-License-Identifier: Apache-2.0
/*
 * race_gc: cycles that delete, while threads look and bring objects back; under ThreadSanitizer.
 * A plain program, because Criterion does not start there.
 *
 *     race_gc [SEED [CYCLES]]
 */
#include "fault.h"
#include "gc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define OBJECTS 4000
#define MINE (OBJECTS / THREADS) /* objects that one thread brings back */

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            printf("race_gc: does not hold: %s (line %d)\n", #claim, __LINE__);                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct gc *gc;
static uint64_t seed = 1, cycles = 200, serial;
static struct gc_report report_;
static _Atomic bool held[OBJECTS];
static _Atomic bool stop;
static _Atomic uint64_t removed;

static struct id id_nr(unsigned i)
{
    return (struct id){.b = {(uint8_t)(i >> 8), (uint8_t)i}};
}
static unsigned nr_of(const struct id *id)
{
    return (unsigned)id->b[0] << 8 | id->b[1];
}

/* ---- the pool ---- */

static int get_reports(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    (void)ctx;
    report_.serial++;
    report_.ack = serial;
    *ret_v = &report_;
    *ret_count = 1;
    return 0;
}

/* Our own process: it knows what is so now. */
static int get_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                     uint8_t *ret)
{
    (void)ctx;
    (void)r;
    for (size_t i = 0; i < count; i++)
        ret[i] = nr_of(&ids[i]) % 3 == 0 ? GC_NAMED_ACTIVE : GC_NAMED_NOT;
    return 0;
}

static int list(void *ctx, const struct id *after, struct id *out, size_t max, size_t *ret_count)
{
    size_t n = 0;

    (void)ctx;
    for (unsigned i = after ? nr_of(after) + 1 : 0; i < OBJECTS && n < max; i++)
        if (atomic_load(&held[i]))
            out[n++] = id_nr(i);
    *ret_count = n;
    return 0;
}

static int publish(void *ctx, uint64_t number, const struct gc_saved *v, size_t count)
{
    (void)ctx;
    (void)v;
    (void)count;
    serial = number;
    return 0;
}

static int look(void *ctx, const struct id *id)
{
    (void)ctx;
    MUST(nr_of(id) % 3 != 0);
    return 0;
}

static int remove_it(void *ctx, const struct id *id)
{
    (void)ctx;
    atomic_store(&held[nr_of(id)], false);
    atomic_fetch_add(&removed, 1);
    return 0;
}

/* ---- the others ---- */

static void *other(void *arg)
{
    unsigned mine = (unsigned)(uintptr_t)arg * MINE;
    uint64_t state = seed * 1000 + mine;

    while (!atomic_load(&stop)) {
        unsigned i = mine + (unsigned)(fault_random(&state) >> 20) % MINE;
        struct gc_object_info info;
        struct gc_record record;
        struct id id = id_nr(i);

        switch ((fault_random(&state) >> 20) % 3) {
        case 0:
            if (gc_history_get(gc, 0, &record) == 0)
                free(record.ids);
            break;
        case 1:
            atomic_store(&held[i], true);
            break;
        default:
            gc_get(gc, &id, &info);
        }
    }
    return NULL;
}

static void run_cycles(void)
{
    const struct gc_config config = {.min_nodes_reporting = 1};
    const struct gc_sources s = {.reports = get_reports,
                                 .names = get_names,
                                 .list = list,
                                 .publish = publish,
                                 .look = look,
                                 .remove = remove_it};

    for (uint64_t i = 0; i < cycles; i++) {
        struct gc_result r;
        MUST(gc_cycle(gc, &config, &s, &(struct gc_options){.dry_run = i % 16 == 15}, &r) == 0);
        gc_result_release(&r);
    }
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];

    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        cycles = strtoull(argv[2], NULL, 10);
    report_ = (struct gc_report){.node = 1, .own = true};
    for (unsigned i = 0; i < OBJECTS; i++)
        atomic_store(&held[i], true);
    MUST(gc_create(clock_real(), 0, &gc) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&thread[i], NULL, other, (void *)i) == 0);
    run_cycles();
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        MUST(pthread_join(thread[i], NULL) == 0);
    for (unsigned i = 0; i < OBJECTS; i += 3)
        MUST(atomic_load(&held[i]));
    MUST(atomic_load(&removed) > 0);
    gc_destroy(gc);
    printf("race_gc: seed %llu, %llu cycles, %llu removed\n", (unsigned long long)seed,
           (unsigned long long)cycles, (unsigned long long)atomic_load(&removed));
    return 0;
}
