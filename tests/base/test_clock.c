// SPDX-License-Identifier: Apache-2.0
/* test_clock: times that 64 bits of nanoseconds do not hold. */
#include "clock.h"
#include <criterion/criterion.h>

#define LAST INT64_C(9223372036) /* the second that INT64_MAX is in */

Test(clock, a_time_is_joined_as_long_as_it_fits)
{
    cr_assert_eq(clock_join(0, 0), 0);
    cr_assert_eq(clock_join(1, 5), NSEC_PER_SEC + 5);
    cr_assert_eq(clock_join(-1, 5), 5 - NSEC_PER_SEC);
    cr_assert_eq(clock_join(-1, 999999999), -1);
    cr_assert_eq(clock_join(LAST, 854775807), INT64_MAX);
    cr_assert_eq(clock_join(LAST, 854775806), INT64_MAX - 1);
    cr_assert_eq(clock_join(-LAST - 1, 145224192), INT64_MIN);
    cr_assert_eq(clock_join(-LAST - 1, 145224193), INT64_MIN + 1);
}

Test(clock, one_that_does_not_fit_is_the_nearest)
{
    cr_assert_eq(clock_join(LAST, 854775808), INT64_MAX);
    cr_assert_eq(clock_join(LAST + 1, 0), INT64_MAX);
    cr_assert_eq(clock_join(INT64_C(253402300799), 0), INT64_MAX); /* the end of 9999 */
    cr_assert_eq(clock_join(INT64_MAX, 999999999), INT64_MAX);
    cr_assert_eq(clock_join(-LAST - 1, 145224191), INT64_MIN);
    cr_assert_eq(clock_join(-LAST - 2, 0), INT64_MIN);
    cr_assert_eq(clock_join(INT64_MIN, 0), INT64_MIN);
}
