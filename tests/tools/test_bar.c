// SPDX-License-Identifier: Apache-2.0
/* Claims of the bar of jobs.h: its text is whole, however narrow the terminal is. */
#include "jobs.h"

#include <criterion/criterion.h>
#include <string.h>

static char line[200];

Test(bar, it_is_as_full_as_the_job)
{
    bar_line(50, "scrub 50.0%", 79, line, sizeof(line));
    cr_expect_str_eq(line, "[############............] scrub 50.0%");
    bar_line(100, "scrub 100.0%", 79, line, sizeof(line));
    cr_expect_str_eq(line, "[########################] scrub 100.0%");
}

Test(bar, it_gets_shorter_where_the_text_is_long)
{
    const char *text = "restore 99.9%, 167525 of 167525, 53898/s, 0:02 left";
    bar_line(100, text, 70, line, sizeof(line));
    cr_expect_eq(strlen(line), 70, "%s", line);
    cr_expect(strstr(line, "] restore") && strstr(line, "0:02 left"), "%s", line);
}

Test(bar, there_is_none_where_it_would_have_no_room)
{
    bar_line(50, "scrub 50.0%", 14, line, sizeof(line));
    cr_expect_str_eq(line, "scrub 50.0%");
}
