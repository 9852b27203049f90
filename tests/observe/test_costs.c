// SPDX-License-Identifier: Apache-2.0
/* Claims of costs.h and profile_text.h: replies of `profile`, merged and grouped. */
#include "clock.h"
#include "profile_text.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

static struct costs s;

static void down(void)
{
    costs_release(&s);
}

TestSuite(costs, .fini = down);

static const char two[] = "program=cat pid=7 ns=main op=READ count=3 total_us=30 max_us=20 "
                          "buckets=5:2,20:1\n"
                          "program=\"two words\" pid=8 ns=/ op=LOOKUP count=1 total_us=100 "
                          "max_us=100 buckets=27:1\n";

Test(costs, a_reply_becomes_rows)
{
    cr_assert_eq(costs_add_reply(&s, "ms=1000 requests=4 rows=2", two), 0);
    cr_assert_eq(s.count, 2);
    cr_assert_eq(s.ms, 1000);
    cr_assert_eq(costs_requests(&s), 4);
    cr_assert_str_eq(s.rows[1].program, "two words");
    cr_assert_eq(s.rows[0].took.sum_ns, 30 * NSEC_PER_USEC);
}

Test(costs, replies_of_the_same_program_are_merged)
{
    cr_assert_eq(costs_add_reply(&s, "ms=1000", two), 0);
    cr_assert_eq(costs_add_reply(&s, "ms=500",
                                 "program=cat pid=9 ns=main op=READ count=1 total_us=50 max_us=50 "
                                 "buckets=22:1\n"),
                 0);
    cr_assert_eq(s.count, 2);
    cr_assert_eq(s.ms, 1500);
    cr_assert_eq(histogram_count(&s.rows[0].took), 4);
    cr_assert_eq(s.rows[0].max_us, 50);
    cr_assert_eq(s.rows[0].pid, 0, "two processes");
}

Test(costs, groups_have_the_dearest_first)
{
    struct costs_group *g;

    cr_assert_eq(costs_add_reply(&s, "ms=1000", two), 0);
    cr_assert_eq(costs_group(&s, COSTS_BY_NS, &g), 2);
    cr_assert_str_eq(g[0].name, "/");
    cr_assert_str_eq(g[1].name, "main");
    free(g);
    cr_assert_eq(costs_group(&s, COSTS_BY_OP, &g), 2);
    cr_assert_str_eq(g[0].name, "LOOKUP");
    free(g);
}

Test(costs, rows_are_bounded_and_no_request_is_lost)
{
    char line[200];

    for (int i = 0; i < 5000; i++) {
        snprintf(line, sizeof line,
                 "program=p%d pid=7 ns=main op=READ count=1 total_us=1 max_us=1 buckets=1:1\n", i);
        cr_assert_eq(costs_add_reply(&s, "ms=1", line), 0);
    }
    cr_assert_eq(s.count, 4097);
    cr_assert_eq(costs_requests(&s), 5000);
    cr_assert_str_eq(s.rows[4096].program, "(others)");
}

Test(costs, what_is_no_such_reply_is_refused_and_changes_nothing_of_it)
{
    static const char *const bad[] = {"program=a ns=b op=c\n",
                                      "program=a ns=b op=c buckets=x\n",
                                      "program=a ns=b op=c buckets=1000:1\n",
                                      "program=a ns=b op=c buckets=1:\n",
                                      "program=a ns=b op=c buckets=1;2\n",
                                      "not key=value \" at all\n"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        cr_assert_eq(costs_add_reply(&s, "ms=1", bad[i]), -EPROTO, "%s", bad[i]);
    cr_assert_eq(s.count, 0);
    cr_assert_eq(s.ms, 0);
}

Test(costs, no_quantile_is_longer_than_the_longest)
{
    cr_assert_eq(costs_add_reply(&s, "ms=1000", two), 0);
    cr_assert_eq(histogram_quantile(&s.rows[0].took, 1), 64);
    cr_assert_eq(costs_quantile(&s.rows[0].took, s.rows[0].max_us, 1), 20);
}

Test(costs, the_tables_fit_into_the_terminal)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    cr_assert_eq(costs_add_reply(&s, "ms=1000", two), 0);
    cr_assert_eq(profile_text(&s, 10, 80, &out), 0);
    cr_assert(strstr(out.s, "4 requests in 1 s\n"), "%s", out.s);
    cr_assert(strstr(out.s, "\ncat (7) "), "%s", out.s);
    for (const char *p = out.s; *p; p += strcspn(p, "\n") + 1)
        cr_assert_leq(strcspn(p, "\n"), 80, "%s", p);
}

Test(costs, more_rows_than_are_wanted_are_counted)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    cr_assert_eq(costs_add_reply(&s, "ms=1000", two), 0);
    cr_assert_eq(profile_text(&s, 1, 0, &out), 0);
    cr_assert(strstr(out.s, "and 1 more\n"), "%s", out.s);
}

Test(costs, durations_have_a_unit_that_fits)
{
    char t[PROFILE_TIME];

    cr_assert_str_eq(profile_time(0, t), "0 us");
    cr_assert_str_eq(profile_time(999, t), "999 us");
    cr_assert_str_eq(profile_time(1000, t), "1.0 ms");
    cr_assert_str_eq(profile_time(12345, t), "12 ms");
    cr_assert_str_eq(profile_time(3400000, t), "3.4 s");
    cr_assert_str_eq(profile_time(134000000, t), "134 s");
}
