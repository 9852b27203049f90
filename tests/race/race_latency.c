// SPDX-License-Identifier: Apache-2.0
/*
 * Threads note requests while others read the histograms and begin and end recordings. At the end
 * the histograms must have every request, and a recording that was there all the time, too.
 *
 *     race_latency SEED ROUNDS
 */
#include "clock.h"
#include "latency.h"
#include "profile.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITERS 3
#define NOTES 2000

static const char *const names[LATENCY_KINDS] = {[0] = "OTHER", [1] = "LOOKUP", [2] = "READ"};

struct round {
    struct latency *latency;
    struct profile *profile;
    unsigned seed;
};

static void *note(void *arg)
{
    const struct round *r = arg;
    unsigned seed = r->seed;

    for (int i = 0; i < NOTES; i++) {
        const struct profile_request q = {.kind = 1 + (uint32_t)(rand_r(&seed) % 2),
                                          .ns = (uint32_t)(rand_r(&seed) % 100),
                                          .tid = getpid(),
                                          .took = rand_r(&seed) % NSEC_PER_MSEC};
        latency_note(r->latency, q.kind, q.took);
        profile_note(r->profile, &q);
    }
    return NULL;
}

static uint64_t requests_of(const struct recording *r)
{
    const struct profile_row *row;
    uint64_t n = 0;
    size_t at = 0;

    while (recording_next(r, &at, &row))
        n += histogram_count(&row->took);
    return n;
}

static uint64_t noted(const struct latency *l)
{
    struct histogram h;
    uint64_t n = 0;

    for (uint32_t kind = 0; kind < LATENCY_KINDS; kind++)
        if (latency_get(l, kind, &h))
            n += histogram_count(&h);
    return n;
}

/* Looks, and records for a short time, meanwhile. */
static void look(const struct round *r)
{
    struct recording *rec;

    for (int i = 0; i < 20; i++) {
        if (profile_begin(r->profile, &rec) < 0)
            abort();
        (void)noted(r->latency);
        profile_end(r->profile, rec);
        (void)requests_of(rec);
        recording_free(rec);
    }
}

static int run(unsigned seed)
{
    struct round r = {latency_new(), profile_new(clock_real()), seed};
    struct recording *all;
    pthread_t t[WRITERS];
    uint64_t in_all, in_latency;

    if (!r.latency || !r.profile || profile_begin(r.profile, &all) < 0)
        abort();
    latency_set_names(r.latency, names);
    for (size_t i = 0; i < WRITERS; i++)
        if (pthread_create(&t[i], NULL, note, &r))
            abort();
    look(&r);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(t[i], NULL);
    profile_end(r.profile, all);
    in_all = requests_of(all);
    in_latency = noted(r.latency);
    recording_free(all);
    profile_free(r.profile);
    latency_free(r.latency);
    if (in_all == WRITERS * NOTES && in_latency == WRITERS * NOTES)
        return 0;
    printf("seed %u: %" PRIu64 " recorded, %" PRIu64 " counted, not %d\n", seed, in_all, in_latency,
           WRITERS * NOTES);
    return 1;
}

int main(int argc, char **argv)
{
    const unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    const unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10;
    int failed = 0;

    for (unsigned i = 0; i < rounds; i++)
        failed |= run(seed + i);
    return failed;
}
