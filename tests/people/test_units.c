// SPDX-License-Identifier: Apache-2.0
/* Claims of units.h: numbers are short, and never wrong by more than the last digit that is shown. */
#include "units.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

static char out[UNIT_TEXT];

static const struct {
    uint64_t n;
    const char *text;
} sizes[] = {
    {0, "0 B"},
    {1, "1 B"},
    {1023, "1023 B"},
    {1024, "1 KiB"},
    {1536, "1.5 KiB"},
    {102348, "99.9 KiB"},
    {102400, "100 KiB"},
    {1023487, "999 KiB"},
    {1023488, "1 MiB"},
    {UINT64_C(412) << 20, "412 MiB"},
    {1395864371, "1.3 GiB"},
    {UINT64_C(1023) << 30, "1 TiB"},
    {UINT64_C(1) << 60, "1 EiB"},
    {UINT64_MAX, "16 EiB"},
};

Test(units, a_size_has_a_binary_prefix_and_three_digits_at_most)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        cr_expect_str_eq(unit_bytes(sizes[i].n, out), sizes[i].text);
    }
}

Test(units, a_count_has_a_comma_before_each_three_digits)
{
    cr_expect_str_eq(unit_count(0, out), "0");
    cr_expect_str_eq(unit_count(999, out), "999");
    cr_expect_str_eq(unit_count(1000, out), "1,000");
    cr_expect_str_eq(unit_count(83731, out), "83,731");
    cr_expect_str_eq(unit_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
}

Test(units, a_noun_is_in_the_plural_unless_there_is_one)
{
    cr_expect_str_eq(unit_noun(0, "file", out), "no files");
    cr_expect_str_eq(unit_noun(1, "file", out), "1 file");
    cr_expect_str_eq(unit_noun(2000, "file", out), "2,000 files");
    cr_expect_str_eq(unit_noun(1, "entry|entries", out), "1 entry");
    cr_expect_str_eq(unit_noun(2, "entry|entries", out), "2 entries");
}

static const struct {
    int64_t ms;
    const char *text;
} durations[] = {
    {-5, "0 ms"},      {0, "0 ms"},
    {999, "999 ms"},   {1000, "1 s"},
    {3200, "3.2 s"},   {59999, "59 s"},
    {60000, "1 min"},  {200000, "3 min 20 s"},
    {3600000, "1 h"},  {86340000, "23 h 59 min"},
    {86400000, "1 d"}, {187200000, "2 d 4 h"},
};

Test(units, a_duration_has_two_units_at_most)
{
    for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        cr_expect_str_eq(unit_duration(durations[i].ms, out), durations[i].text);
    }
}

static void set_zone(void)
{
    setenv("TZ", "UTC-1", 1); /* an hour before UTC */
    tzset();
}

#define NOW INT64_C(1795791900) /* 2026-11-27T15:05:00Z */

Test(units, a_time_is_local_and_says_how_far_it_is, .init = set_zone)
{
    cr_expect_str_eq(unit_time("2026-11-27T15:00:00Z", NOW, out), "2026-11-27 16:00 (5 min ago)");
    cr_expect_str_eq(unit_time("2026-11-27T15:05:00Z", NOW, out), "2026-11-27 16:05 (now)");
    cr_expect_str_eq(unit_time("2026-11-28T15:05:00Z", NOW, out), "2026-11-28 16:05 (in 1 d)");
    cr_expect_str_eq(unit_ago("2026-11-27T15:00:00Z", NOW, out), "5 min ago");
    cr_expect_str_eq(unit_moment("2026-11-27T15:00:00Z", out), "2026-11-27 16:00");
}

Test(units, a_text_that_is_no_time_stays)
{
    cr_expect_str_eq(unit_time("never", NOW, out), "never");
    cr_expect_str_eq(unit_ago("", NOW, out), "");
}
