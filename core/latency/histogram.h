// SPDX-License-Identifier: Apache-2.0
/*
 * histogram: how many durations there were of about each length. Pure; the caller locks.
 *
 * Lengths are counted in microseconds, rounded up. Each power of two has HISTOGRAM_STEPS buckets of
 * equal width, as in HdrHistogram (G. Tene): a bucket is at most a quarter wider than its lower
 * bound. Lengths of up to 8 us have a bucket each. The last bucket has all above 2^27 us, which are
 * 134 s.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_STEPS 4
#define HISTOGRAM_BUCKETS 106

struct histogram {
    uint64_t of[HISTOGRAM_BUCKETS]; /* durations in each bucket */
    uint64_t sum_ns;                /* of all durations */
};

/* The bucket of a duration; one below 0 counts as 0. */
size_t histogram_bucket(int64_t ns);
/* The longest duration of a bucket, in us, below the last one. */
uint64_t histogram_bound(size_t bucket);
void histogram_note(struct histogram *h, int64_t ns);
void histogram_add(struct histogram *h, const struct histogram *other);
uint64_t histogram_count(const struct histogram *h);
/* How many durations were at most that long. `us` is 1, 2, 4, 8 ... 2^27, which are bounds of
 * buckets. */
uint64_t histogram_count_to(const struct histogram *h, uint64_t us);
/* The length in us that `share` (above 0, up to 1) of the durations did not exceed, as far as the
 * buckets can say: the bound of the bucket in which that one is. 0 of none. */
uint64_t histogram_quantile(const struct histogram *h, double share);
