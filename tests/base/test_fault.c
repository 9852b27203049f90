// SPDX-License-Identifier: Apache-2.0
/* Claims of fault.h and clock.h. */
#include "clock_manual.h"
#include "fault.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

static void *write_many(void *arg)
{
    intptr_t failed = 0;
    for (int i = 0; i < 10000; i++)
        failed += fault_write(arg) < 0;
    return (void *)failed;
}

Test(fault, without_a_plan_nothing_fails)
{
    struct fault f = {0};
    for (int i = 0; i < 100; i++)
        cr_assert_eq(fault_write(&f), 0);
    cr_assert_eq(f.writes, 100);
    cr_assert_not(fault_is_cut(&f));
    cr_assert_not(fault_is_cut(NULL));
    cr_assert_eq(fault_write(NULL), 0);
}

Test(fault, a_plain_failure_hits_one_write)
{
    struct fault f = {.fail_at = 2, .error = ENOSPC};
    cr_assert_eq(fault_write(&f), 0);
    cr_assert_not(fault_fired(&f));
    cr_assert_eq(fault_write(&f), -ENOSPC);
    cr_assert(fault_fired(&f));
    cr_assert_eq(fault_write(&f), 0);
    cr_assert(fault_fired(&f));
    cr_assert_not(fault_is_cut(&f));
    fault_reset(&f);
    cr_assert_eq(fault_write(&f), 0);
    cr_assert_not(fault_fired(&f), "none is armed");
}

Test(fault, a_cut_hits_that_write_and_all_later_ones)
{
    struct fault f = {.fail_at = 2, .cut = true};
    cr_assert_eq(fault_write(&f), 0);
    cr_assert_not(fault_is_cut(&f));
    cr_assert_eq(fault_write(&f), -EIO);
    cr_assert(fault_is_cut(&f));
    cr_assert_eq(fault_write(&f), -EIO);
}

Test(fault, reset_turns_the_power_on)
{
    struct fault f = {.fail_at = 1, .cut = true};
    cr_assert_eq(fault_write(&f), -EIO);
    fault_reset(&f);
    cr_assert_not(fault_is_cut(&f));
    cr_assert_eq(fault_write(&f), 0);
    cr_assert_eq(f.writes, 1);
}

Test(fault, one_write_in_many_threads_fails_once)
{
    struct fault f = {.fail_at = 12345};
    pthread_t t[2];
    void *failed[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, write_many, &f), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(t[i], &failed[i]), 0);
    cr_assert_eq((intptr_t)failed[0] + (intptr_t)failed[1], 1);
    cr_assert_eq(f.writes, 20000);
}

Test(fault, the_generator_repeats_by_seed)
{
    uint64_t a = 7, b = 7, other = 8;
    for (int i = 0; i < 100; i++)
        cr_assert_eq(fault_random(&a), fault_random(&b));
    cr_assert_neq(fault_random(&a), fault_random(&other));
}

Test(clock, the_real_clocks_go_on)
{
    int64_t ticks = clock_ticks(clock_real());
    cr_assert_geq(clock_ticks(clock_real()), ticks);
    cr_assert_gt(clock_now(clock_real()), INT64_C(1600000000) * NSEC_PER_SEC);
}

Test(clock, a_manual_clock_moves_only_by_hand)
{
    struct clock_manual m;
    clock_manual_init(&m, 1000);
    cr_assert_eq(clock_now(&m.base), 1000);
    clock_manual_advance(&m, 2 * NSEC_PER_MSEC);
    cr_assert_eq(clock_now(&m.base), 2001000);
    cr_assert_eq(clock_ticks(&m.base), 2001000);
}
