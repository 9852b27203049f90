// SPDX-License-Identifier: Apache-2.0
/* Claims of histogram.h: the bounds of buckets, and quantiles. */
#include "clock.h"
#include "histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct histogram h;

Test(histogram, every_bound_is_the_longest_duration_of_its_bucket)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        const int64_t ns = (int64_t)histogram_bound(i) * NSEC_PER_USEC;
        cr_assert_eq(histogram_bucket(ns), i);
        cr_assert_eq(histogram_bucket(ns + 1), i + 1);
    }
    cr_assert_eq(histogram_bound(HISTOGRAM_BUCKETS - 2), UINT64_C(1) << 27);
}

Test(histogram, a_bucket_is_at_most_a_quarter_wider_than_where_it_begins)
{
    for (size_t i = 9; i < HISTOGRAM_BUCKETS - 1; i++)
        cr_assert_leq(histogram_bound(i), histogram_bound(i - 1) * 5 / 4);
}

Test(histogram, what_has_no_sensible_length_counts_as_nothing_or_as_the_longest)
{
    cr_assert_eq(histogram_bucket(0), 0);
    cr_assert_eq(histogram_bucket(-1), 0);
    cr_assert_eq(histogram_bucket(INT64_MIN), 0);
    cr_assert_eq(histogram_bucket(INT64_MAX), HISTOGRAM_BUCKETS - 1);
    histogram_note(&h, -5);
    cr_assert_eq(h.sum_ns, 0);
}

Test(histogram, counts_up_to_a_power_of_two_are_exact)
{
    for (int64_t us = 1; us <= 100; us++)
        histogram_note(&h, us * NSEC_PER_USEC);
    cr_assert_eq(histogram_count(&h), 100);
    cr_assert_eq(h.sum_ns, 5050 * NSEC_PER_USEC);
    for (uint64_t us = 1; us <= 64; us *= 2)
        cr_assert_eq(histogram_count_to(&h, us), us);
    cr_assert_eq(histogram_count_to(&h, 128), 100);
    cr_assert_eq(histogram_count_to(&h, UINT64_C(1) << 27), 100);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

Test(histogram, a_quantile_is_that_of_the_sorted_durations_or_up_to_a_quarter_more)
{
    static int64_t v[1000];

    srand48(23);
    for (size_t i = 0; i < 1000; i++) {
        v[i] = (int64_t)(1 << (mrand48() & 15)) * (lrand48() % 1000 + 1) + 1;
        histogram_note(&h, v[i]);
    }
    qsort(v, 1000, sizeof *v, compare);
    for (int i = 1; i <= 1000; i++) {
        const int64_t exact = v[i - 1], said = (int64_t)histogram_quantile(&h, i / 1000.0) * 1000;
        cr_assert(said >= exact && said <= (exact + 999) / 4 * 5 + 1000, "%d: %ld, not %ld", i,
                  (long)said, (long)exact);
    }
}

Test(histogram, none_have_no_quantile)
{
    cr_assert_eq(histogram_quantile(&h, 0.5), 0);
}
