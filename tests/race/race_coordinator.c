// SPDX-License-Identifier: Apache-2.0
/*
 * race_coordinator: threads that flush, wait, drain, look and turn the knobs of one coordinator,
 * whose streams run on workers and fail now and then, under ThreadSanitizer. A plain program,
 * because Criterion does not start there.
 *
 *     race_coordinator [SEED [FLUSHES]]          FLUSHES of each thread
 *
 * Finalize must come in rotate order, one at a time, and only of what was streamed; at the end
 * nothing is pending, no permit is out, and every ticket has said how it ended.
 */
#include "coordinator.h"
#include "fault.h"
#include "lock.h"
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define FLUSHERS 4

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, #what);                                                                  \
    } while (0)

static uint64_t seed = 1;
static unsigned long flushes = 200;
static struct coordinator *c;
static struct workers *workers;
static struct mutex lock = {.m = PTHREAD_MUTEX_INITIALIZER, .name = "race"}; /* guards the rest */
static uint64_t rotated, finalized, state;
static bool *streamed, finalizing;
static _Atomic bool stop;

static _Noreturn void die(int line, const char *what)
{
    fprintf(stderr, "race_coordinator: seed %llu, line %d: %s\n", (unsigned long long)seed, line,
            what);
    abort();
}

static uint64_t chance(uint64_t of)
{
    return (fault_random(&state) >> 20) % of;
}

static int rotate(void *ctx, void *arg, uint64_t number, uint64_t *ret_snapshot)
{
    MUTEX_GUARD(&lock);
    (void)ctx;
    (void)arg;
    MUST(number == rotated);
    if (chance(10) == 0)
        return -ENOSPC;
    *ret_snapshot = rotated++;
    return 0;
}

static int stream(void *ctx, uint64_t number)
{
    unsigned naps;
    (void)ctx;
    {
        MUTEX_GUARD(&lock);
        naps = (unsigned)chance(20);
    }
    while (naps-- > 0)
        sched_yield();
    MUTEX_GUARD(&lock);
    if (chance(8) == 0)
        return -ENOSPC;
    streamed[number] = true;
    return 0;
}

static int finalize(void *ctx, uint64_t first, uint64_t last)
{
    (void)ctx;
    {
        MUTEX_GUARD(&lock);
        MUST(!finalizing && first == finalized);
        for (uint64_t n = first; n <= last; n++)
            MUST(streamed[n]);
        finalizing = true;
    }
    sched_yield();
    MUTEX_GUARD(&lock);
    finalizing = false;
    if (chance(12) == 0)
        return -ENOSPC;
    finalized = last + 1;
    return 0;
}

static int submit(void *ctx, int (*fn)(void *arg), void *arg)
{
    struct workers_work w = {.fn = fn, .arg = arg};

    (void)ctx;
    return workers_submit_work(workers, &w, NULL);
}

static void *flusher(void *arg)
{
    (void)arg;
    for (unsigned long i = 0; i < flushes; i++) {
        struct ticket *t = NULL;
        int err = coordinator_flush(c, NULL, i % 2, &t);
        coordinator_retry(c);
        if (err < 0) {
            MUST(err == -ENOSPC);
            continue;
        }
        if (i % 3 == 0) {
            err = ticket_wait(t, i % 2, -1, NULL, NULL);
            MUST(err == 0 || err == -ENOSPC);
        }
        ticket_unref(t);
    }
    return NULL;
}

static void *looker(void *arg)
{
    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        struct coordinator_stats s;
        uint64_t done, next;
        struct ticket *t;
        coordinator_set_permits(c, 1 + i % 6);
        coordinator_set_retry(c, i % 3 == 0 ? COORDINATOR_FOREVER : (int64_t)(i % 3));
        coordinator_get_stats(c, &s);
        MUST(s.pending <= COORDINATOR_MAX && s.used <= COORDINATOR_MAX);
        coordinator_numbers(c, &done, &next);
        if (done < next && coordinator_ticket(c, done, &t) == 0) {
            (void)ticket_wait(t, true, 0, NULL, NULL);
            ticket_unref(t);
        }
        coordinator_retry(c);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct coordinator_config config = {.clock = clock_real(),
                                        .permits = 4,
                                        .retry = COORDINATOR_FOREVER,
                                        .rotate = rotate,
                                        .stream = stream,
                                        .finalize = finalize,
                                        .submit = submit,
                                        .background = true};
    const struct workers_config pool = {.threads = 4, .long_threads = 4, .queue = 64};
    pthread_t thread[FLUSHERS + 1];
    struct coordinator_stats s;
    uint64_t done, next;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : seed;
    flushes = argc > 2 ? strtoul(argv[2], NULL, 10) : flushes;
    state = seed * 2 + 1;
    streamed = calloc(FLUSHERS * flushes + 1, sizeof *streamed);
    MUST(streamed && workers_open(&pool, &workers) == 0 && coordinator_create(&config, &c) == 0);
    for (unsigned i = 0; i < FLUSHERS; i++)
        MUST(pthread_create(&thread[i], NULL, flusher, NULL) == 0);
    MUST(pthread_create(&thread[FLUSHERS], NULL, looker, NULL) == 0);
    for (unsigned i = 0; i < FLUSHERS; i++)
        pthread_join(thread[i], NULL);
    atomic_store(&stop, true);
    pthread_join(thread[FLUSHERS], NULL);
    coordinator_stop(c);
    while (coordinator_run(c) < 0)
        ;
    coordinator_get_stats(c, &s);
    coordinator_numbers(c, &done, &next);
    MUST(s.pending == 0 && s.used == 0 && s.waiting == 0);
    MUST(finalized == rotated && done == rotated);
    printf("%llu flushes, %llu tries failed, %llu given up\n", (unsigned long long)rotated,
           (unsigned long long)s.failed, (unsigned long long)s.given_up);
    coordinator_destroy(c);
    workers_destroy(workers);
    free(streamed);
    return 0;
}
