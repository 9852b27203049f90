// SPDX-License-Identifier: Apache-2.0
/* Claims of latency.h: what was noted is counted by its kind, whichever threads noted it. */
#include "clock.h"
#include "latency.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define THREADS 20
#define NOTES 1000

static const char *const names[LATENCY_KINDS] = {[0] = "OTHER", [1] = "LOOKUP", [15] = "READ"};
static struct latency *l;

static void up(void)
{
    l = latency_new();
    latency_set_names(l, names);
}

static void down(void)
{
    latency_free(l);
}

TestSuite(latency, .init = up, .fini = down, .timeout = 60);

Test(latency, a_kind_that_was_not_noted_is_not_there)
{
    struct histogram h;

    latency_note(l, 15, NSEC_PER_MSEC);
    cr_assert_null(latency_get(l, 1, &h));
    cr_assert_str_eq(latency_get(l, 15, &h), "READ");
    cr_assert_eq(histogram_count(&h), 1);
    cr_assert_eq(h.sum_ns, NSEC_PER_MSEC);
}

Test(latency, kinds_without_a_name_are_one)
{
    struct histogram h;

    latency_note(l, 2, 1);
    latency_note(l, LATENCY_KINDS, 1);
    latency_note(l, UINT32_MAX, 1);
    cr_assert_str_eq(latency_get(l, 0, &h), "OTHER");
    cr_assert_eq(histogram_count(&h), 3);
    cr_assert_null(latency_get(l, UINT32_MAX, &h));
}

static void *note(void *arg)
{
    for (int i = 0; i < NOTES; i++)
        latency_note(arg, 1, i * NSEC_PER_USEC);
    return NULL;
}

Test(latency, no_note_of_any_thread_is_lost)
{
    pthread_t t[THREADS];
    struct histogram h;

    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, note, l), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    cr_assert_str_eq(latency_get(l, 1, &h), "LOOKUP");
    cr_assert_eq(histogram_count(&h), THREADS * NOTES);
    cr_assert_eq(h.sum_ns, (uint64_t)THREADS * NOTES * (NOTES - 1) / 2 * NSEC_PER_USEC);
}
