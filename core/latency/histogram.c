// SPDX-License-Identifier: Apache-2.0
/* histogram: see the header. */
#include "histogram.h"

#include "clock.h"

#define STEP_BITS 2 /* HISTOGRAM_STEPS is 1 << STEP_BITS */
#define EACH 8      /* lengths of 0 to EACH us have a bucket each */
#define EACH_BITS 3

/* The bucket of a length above EACH us. Of (length - 1) the highest bit says which power of two it
 * is, and the STEP_BITS bits below say which bucket of it. */
static size_t bucket_above(uint64_t us)
{
    const uint64_t v = us - 1;
    const unsigned bits = 63u - (unsigned)__builtin_clzll(v);
    const size_t step = (v >> (bits - STEP_BITS)) % HISTOGRAM_STEPS;
    const size_t bucket = EACH + 1 + (size_t)(bits - EACH_BITS) * HISTOGRAM_STEPS + step;

    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

size_t histogram_bucket(int64_t ns)
{
    const uint64_t us = ns <= 0 ? 0 : ((uint64_t)ns - 1) / NSEC_PER_USEC + 1;

    return us <= EACH ? us : bucket_above(us);
}

uint64_t histogram_bound(size_t bucket)
{
    if (bucket <= EACH)
        return bucket;
    const size_t above = bucket - EACH - 1;
    const unsigned bits = EACH_BITS + (unsigned)(above / HISTOGRAM_STEPS);
    const uint64_t step = above % HISTOGRAM_STEPS + 1;

    return (UINT64_C(1) << bits) + (step << (bits - STEP_BITS));
}

void histogram_note(struct histogram *h, int64_t ns)
{
    h->of[histogram_bucket(ns)]++;
    h->sum_ns += ns > 0 ? (uint64_t)ns : 0;
}

void histogram_add(struct histogram *h, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->of[i] += other->of[i];
    h->sum_ns += other->sum_ns;
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        n += h->of[i];
    return n;
}

uint64_t histogram_count_to(const struct histogram *h, uint64_t us)
{
    uint64_t n = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1 && histogram_bound(i) <= us; i++)
        n += h->of[i];
    return n;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    const uint64_t count = histogram_count(h);
    const double exact = (double)count * share;
    const uint64_t wanted = (uint64_t)exact + ((double)(uint64_t)exact < exact);
    uint64_t n = 0;
    size_t i = 0;

    if (count == 0)
        return 0;
    while (i < HISTOGRAM_BUCKETS - 1 && (n += h->of[i]) < wanted)
        i++;
    return histogram_bound(i);
}
