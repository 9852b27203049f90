// SPDX-License-Identifier: Apache-2.0
/* Claims about ladders of snapshots: the text, what is due, and what is needed. */
#include "clock.h"
#include "ladder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MOST 60 /* snapshots of a random ladder */

static struct ladder parsed(const char *text)
{
    struct ladder l;

    cr_assert_eq(ladder_parse(text, &l), 0, "%s", text);
    return l;
}

Test(ladder, rungs_are_intervals_and_counts)
{
    struct ladder l = parsed("  15m*8 1h*24   1d*14 ");

    cr_assert_eq(l.count, 3);
    cr_assert_eq(l.v[0].interval, 15 * MINUTE);
    cr_assert_eq(l.v[0].count, 8);
    cr_assert_eq(l.v[2].interval, DAY);
    cr_assert_eq(l.v[2].count, 14);
    cr_assert_eq(parsed("60s*1000").v[0].count, 1000);
}

Test(ladder, other_texts_are_refused_and_change_nothing)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "15m",
                                      "*8",
                                      "15m*",
                                      "15m*0",
                                      "15m*08",
                                      "15m*8x",
                                      "15m*-1",
                                      "1h*1001",
                                      "59s*1",
                                      "0*1",
                                      "15 m*8",
                                      "15m * 8",
                                      "15*8",
                                      "1h*2,",
                                      "1h*2*2",
                                      "off 1h*",
                                      "1h*99999999999999999999",
                                      "1h*1 1h*1 1h*1 1h*1 1h*1 1h*1 1h*1 1h*1 1h*1"};
    struct ladder l = {.count = 77};
    char longest[LADDER_TEXT_MAX + 8];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(ladder_parse(bad[i], &l), -EINVAL, "%s", bad[i]);
    memset(longest, ' ', sizeof longest);
    memcpy(longest + sizeof longest - 5, "1h*2", 5);
    cr_assert_eq(ladder_parse(longest, &l), -EINVAL);
    cr_assert_eq(l.count, 77);
}

Test(ladder, one_is_due_in_each_period_of_the_shortest_rung)
{
    struct ladder l = parsed("1h*2 15m*2 1d*2");
    int64_t made = 10 * DAY + 5 * MINUTE;

    cr_assert(ladder_is_due(&l, NULL, 0, made));
    cr_assert_not(ladder_is_due(&l, &made, 1, made));
    cr_assert_not(ladder_is_due(&l, &made, 1, 10 * DAY + 15 * MINUTE - 1));
    cr_assert(ladder_is_due(&l, &made, 1, 10 * DAY + 15 * MINUTE));
    cr_assert(ladder_is_due(&l, &made, 1, 10 * DAY - 1), "the clock was set back");
}

Test(ladder, a_rung_needs_the_first_of_each_period_and_the_newest_stays)
{
    struct ladder l = parsed("1h*2");
    const int64_t times[] = {DAY, DAY + HOUR, DAY + HOUR + 1, DAY + 2 * HOUR, DAY + 2 * HOUR + 1};
    bool needed[5];

    ladder_mark(&l, times, 5, needed);
    cr_assert(!needed[0] && needed[1] && !needed[2] && needed[3] && needed[4]);
}

Test(ladder, a_rest_of_a_month_loses_nothing)
{
    struct ladder l = parsed("1h*3");
    const int64_t times[] = {DAY, DAY + HOUR, 40 * DAY};
    bool needed[3];

    ladder_mark(&l, times, 3, needed);
    cr_assert(needed[0] && needed[1] && needed[2]);
}

Test(ladder, without_snapshots_none_is_needed)
{
    struct ladder l = parsed("1h*3");
    bool none = true;

    ladder_mark(&l, NULL, 0, &none);
    cr_assert(none);
}

/* ---- against a naive model ---- */

static uint64_t rng = 1;

static uint64_t draw(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

/* How many periods with snapshots are behind that of times[i]. */
static uint32_t periods_behind(const int64_t *times, size_t n, size_t i, int64_t interval)
{
    uint32_t behind = 0;

    for (size_t k = i + 1; k < n; k++)
        behind += times[k] / interval != times[k - 1] / interval;
    return behind;
}

static bool model_needs(const struct ladder *l, const int64_t *times, size_t n, size_t i)
{
    bool needed = i == n - 1;

    for (size_t r = 0; r < l->count; r++) {
        bool first = true;

        for (size_t k = 0; k < i; k++)
            first = first && times[k] / l->v[r].interval != times[i] / l->v[r].interval;
        needed = needed || (first && periods_behind(times, n, i, l->v[r].interval) < l->v[r].count);
    }
    return needed;
}

static struct ladder draw_ladder(void)
{
    struct ladder l = {.count = 1 + draw(LADDER_RUNGS_MAX)};

    for (size_t i = 0; i < l.count; i++)
        l.v[i] = (struct ladder_rung){(int64_t)(1 + draw(90)) * MINUTE, (uint32_t)(1 + draw(12))};
    return l;
}

Test(ladder, what_is_needed_is_what_a_naive_model_says)
{
    for (unsigned round = 0; round < 20000; round++) {
        struct ladder l = draw_ladder();
        int64_t times[MOST];
        bool needed[MOST];
        size_t n = 1 + draw(MOST);

        times[0] = (int64_t)draw(1000) * MINUTE;
        for (size_t i = 1; i < n; i++)
            times[i] = times[i - 1] + (int64_t)draw(40) * MINUTE;
        ladder_mark(&l, times, n, needed);
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(needed[i], model_needs(&l, times, n, i), "round %u, snapshot %zu", round,
                         i);
    }
}

Test(ladder, as_time_passes_at_most_the_sum_of_the_counts_and_one_are_kept)
{
    struct ladder l = parsed("15m*8 1h*24 1d*14");
    int64_t times[8 + 24 + 14 + 2];
    size_t n = 0, most = 0;

    for (int64_t t = 0; t < 60 * DAY; t += 15 * MINUTE) {
        bool needed[sizeof times / sizeof *times];
        size_t kept = 0;

        times[n++] = t;
        ladder_mark(&l, times, n, needed);
        for (size_t i = 0; i < n; i++)
            if (needed[i])
                times[kept++] = times[i];
        n = kept;
        most = n > most ? n : most;
        cr_assert_leq(n, 8 + 24 + 14 + 1);
    }
    cr_assert_geq(most, 24 + 14);
    cr_assert_leq(times[0], 47 * DAY, "it reaches back a fortnight");
}
