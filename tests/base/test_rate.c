// SPDX-License-Identifier: Apache-2.0
/* Claims of rate.h. */
#include "clock_manual.h"
#include "rate.h"

#include <criterion/criterion.h>

static struct clock_manual clock;
static struct rate r;

static void up(void)
{
    clock_manual_init(&clock, 1000 * NSEC_PER_SEC);
    rate_init(&r, &clock.base);
}

TestSuite(rate, .init = up);

/* As its user would: wait as told. */
static void spend(uint64_t amount, uint64_t per_second)
{
    clock_manual_advance(&clock, rate_spend(&r, amount, per_second));
}

static int64_t passed(void)
{
    return clock_ticks(&clock.base) - 1000 * NSEC_PER_SEC;
}

Test(rate, a_tenth_of_a_second_is_free_and_then_each_amount_takes_its_time)
{
    cr_assert_eq(rate_spend(&r, 100, 1000), 0);
    cr_assert_eq(rate_spend(&r, 1000, 1000), NSEC_PER_SEC);
    clock_manual_advance(&clock, NSEC_PER_SEC);
    cr_assert_eq(rate_spend(&r, 500, 1000), NSEC_PER_SEC / 2);
}

Test(rate, whoever_does_not_wait_owes_more_and_more)
{
    spend(100, 1000);
    cr_assert_eq(rate_spend(&r, 1000, 1000), NSEC_PER_SEC);
    cr_assert_eq(rate_spend(&r, 1000, 1000), 2 * NSEC_PER_SEC);
}

Test(rate, so_much_a_second_and_no_more_whatever_the_pieces)
{
    static const uint64_t pieces[] = {1, 7, 100, 4096, 1000000, 64000000};

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const uint64_t per_second = 1000000;
        uint64_t spent = 0;
        int64_t all;
        up();
        while (spent < 3 * per_second) {
            spend(pieces[i], per_second);
            spent += pieces[i];
        }
        all = (int64_t)(spent * (NSEC_PER_SEC / per_second));
        cr_assert_eq(passed(), all - RATE_BURST, "pieces of %lu: %ld", (unsigned long)pieces[i],
                     (long)passed());
    }
}

Test(rate, a_pause_saves_up_no_more_than_the_burst)
{
    spend(5000, 1000);
    clock_manual_advance(&clock, 3600 * NSEC_PER_SEC);
    cr_assert_eq(rate_spend(&r, 100, 1000), 0);
    cr_assert_eq(rate_spend(&r, 100, 1000), NSEC_PER_SEC / 10);
}

Test(rate, another_rate_counts_from_now_on_also_for_what_is_owed)
{
    spend(100, 1000);
    cr_assert_eq(rate_spend(&r, 1000, 10000), NSEC_PER_SEC / 10);
    cr_assert_eq(rate_left(&r, 10000), NSEC_PER_SEC / 10);
    cr_assert_eq(rate_left(&r, 1000), NSEC_PER_SEC);
    cr_assert_eq(rate_spend(&r, 1000, 1000), 2 * NSEC_PER_SEC);
    clock_manual_advance(&clock, NSEC_PER_SEC);
    cr_assert_eq(rate_left(&r, 100000), NSEC_PER_SEC / 100);
    clock_manual_advance(&clock, NSEC_PER_SEC);
    cr_assert_eq(rate_left(&r, 1), 0, "what is paid stays paid");
}

Test(rate, tiny_and_huge_amounts_neither_wrap_nor_are_free)
{
    const uint64_t fast = UINT64_C(64) << 30;

    spend(fast / 10, fast);
    for (int i = 0; i < 1000; i++)
        spend(1, fast);
    cr_assert_geq(passed(), 1000);
    cr_assert_eq(rate_spend(&r, UINT64_MAX, 1), 24 * 3600 * NSEC_PER_SEC);
    cr_assert_eq(rate_spend(&r, UINT64_MAX, 0), 24 * 3600 * NSEC_PER_SEC);
}
