// SPDX-License-Identifier: Apache-2.0
/* Claims of report.h. */
#include "report.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static char recent[REPORT_KEEP + 1][REPORT_TEXT];
static char heard[REPORT_TEXT];
static int calls;

static void listen_to(enum report_level level, const char *text, void *ctx)
{
    cr_assert_eq(level, REPORT_ALARM);
    cr_assert_eq(ctx, &calls);
    strcpy(heard, text);
    calls++;
    (void)report_count(REPORT_ALARM); /* a sink may ask */
}

static void *report_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        report(REPORT_NOTE, "%d", i);
    return arg;
}

static void hundred_notes(void)
{
    for (int i = 0; i < 100; i++)
        report(REPORT_NOTE, "note %d", i);
}

TestSuite(report, .init = report_reset);

Test(report, each_level_is_counted)
{
    report(REPORT_NOTE, "n");
    report(REPORT_ALARM, "a");
    report(REPORT_ALARM, "a");
    cr_assert_eq(report_count(REPORT_NOTE), 1);
    cr_assert_eq(report_count(REPORT_WARN), 0);
    cr_assert_eq(report_count(REPORT_ALARM), 2);
}

Test(report, the_newest_comes_first)
{
    report(REPORT_WARN, "first");
    report(REPORT_WARN, "second %d", 2);
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 2);
    cr_assert_str_eq(recent[0], "second 2");
    cr_assert_str_eq(recent[1], "first");
}

Test(report, what_was_said_again_is_there_once)
{
    report(REPORT_WARN, "seldom");
    for (int i = 0; i < 8; i++)
        report(REPORT_ALARM, "often");
    cr_assert_eq(report_recent(REPORT_WARN, recent, 8), 2);
    cr_assert_str_eq(recent[0], "often");
    cr_assert_str_eq(recent[1], "seldom");
    cr_assert_eq(report_count(REPORT_ALARM), 8);
}

Test(report, lower_levels_are_left_out)
{
    report(REPORT_ALARM, "alarm");
    report(REPORT_NOTE, "note");
    cr_assert_eq(report_recent(REPORT_WARN, recent, 8), 1);
    cr_assert_str_eq(recent[0], "alarm");
}

Test(report, only_the_last_ones_are_kept)
{
    hundred_notes();
    cr_assert_eq(report_recent(REPORT_NOTE, recent, REPORT_KEEP + 1), REPORT_KEEP);
    cr_assert_str_eq(recent[0], "note 99");
    cr_assert_str_eq(recent[REPORT_KEEP - 1], "note 68");
    cr_assert_eq(report_count(REPORT_NOTE), 100);
}

Test(report, a_long_message_is_cut)
{
    report(REPORT_NOTE, "%0500d", 7);
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 1), 1);
    cr_assert_eq(strlen(recent[0]), REPORT_TEXT - 1);
}

Test(report, the_sink_hears_each_message_with_its_context)
{
    report_set_sink(listen_to, &calls);
    report(REPORT_ALARM, "object %d", 7);
    report_set_sink(NULL, NULL);
    report(REPORT_ALARM, "unheard");
    cr_assert_eq(calls, 1);
    cr_assert_str_eq(heard, "object 7");
}

Test(report, threads_lose_no_message)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, report_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(t[i], NULL), 0);
    cr_assert_eq(report_count(REPORT_NOTE), 4000);
}

Test(report, reset_forgets)
{
    report(REPORT_ALARM, "x");
    report_reset();
    cr_assert_eq(report_count(REPORT_ALARM), 0);
    cr_assert_eq(report_recent(REPORT_NOTE, recent, 8), 0);
}
