// SPDX-License-Identifier: Apache-2.0
/* Claims of top_screen.h: what is on the screen, and that it fits. */
#include "top_screen.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define ROWS 60

static struct costs s;
static struct top_line lines[ROWS];
static size_t count;

static void add_requests(void)
{
    char line[400];

    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof line,
                 "program=program%d pid=7 ns=\"a long name of a namespace, number %d, \\033[31m\" "
                 "op=KIND%d count=3 total_us=%d max_us=20 buckets=5:2,20:1\n",
                 i, i, i, i);
        cr_assert_eq(costs_add_reply(&s, "ms=100", line), 0);
    }
}

static void draw(const char *stats, const char *jobs, size_t rows, size_t columns)
{
    json_t *st = stats ? json_loads(stats, 0, NULL) : NULL, *j = json_loads(jobs, 0, NULL);
    const struct top_facts f = {.mnt = "/mnt", .stats = st, .jobs = j, .costs = &s};

    cr_assert(!stats || st);
    count = top_screen(&f, rows, columns, lines);
    cr_assert_leq(count, rows);
    json_decref(st);
    json_decref(j);
}

static void down(void)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i].text);
    costs_release(&s);
}

TestSuite(top_screen, .fini = down);

static bool shows(const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(lines[i].text, text))
            return true;
    return false;
}

#define BUSY                                                                                       \
    "{\"state\": \"degraded\", \"label\": \"org/p\", \"seq\": 9, \"durable_seq\": 7,"              \
    " \"disk_bytes\": 100, \"disk_free_bytes\": 50, \"archives\": {\"65535\": {\"state\":"         \
    " \"failing\", \"lag_milliseconds\": 5000, \"url\": \"dir:/a\"}}, \"shards\": [{\"shard\": 1," \
    " \"state\": \"unreachable\", \"url\": \"dir:/b\", \"ghosts\": 4}]}"
#define JOBS                                                                                       \
    "[{\"job\": 1, \"verb\": \"scrub\", \"state\": \"running\", \"percent\": 50.0},"               \
    " {\"job\": 2, \"verb\": \"gc\", \"state\": \"done\"}]"

Test(top_screen, a_mount_that_does_not_answer_says_so)
{
    draw(NULL, "[]", 24, 80);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(lines[0].text, "/mnt does not answer");
    cr_assert_eq(lines[0].style, TOP_BAD);
}

Test(top_screen, it_has_what_is_in_memory_archives_shards_and_jobs_that_run)
{
    draw(BUSY, JOBS, 24, 80);
    cr_assert(shows("org/p at /mnt"));
    cr_assert(shows("state   degraded"));
    cr_assert(shows("2 changes not on disk"));
    cr_assert(shows("[##########          ] 50 B free of 100 B"));
    cr_assert(shows("archive failing, behind 5 s"));
    cr_assert(shows("shard 1 unreachable, 4 objects"));
    cr_assert(shows("[##########          ] scrub"));
    cr_assert(!shows("gc"));
}

Test(top_screen, it_fits_into_every_window)
{
    add_requests();
    for (size_t rows = 1; rows <= ROWS; rows += 7)
        for (size_t columns = 20; columns <= 200; columns += 30) {
            draw(BUSY, JOBS, rows, columns);
            for (size_t i = 0; i < count; i++) {
                cr_assert(!strchr(lines[i].text, '\033'));
                free(lines[i].text);
            }
            count = 0;
        }
}

Test(top_screen, a_window_of_80_by_24_has_requests_namespaces_and_programs)
{
    add_requests();
    draw("{\"state\": \"ok\"}", "[]", 23, 80);
    cr_assert(shows("REQUEST"));
    cr_assert(shows("NAMESPACE"));
    cr_assert(shows("PROGRAM"));
    cr_assert(shows("KIND39"));
    cr_assert(shows("program39"));
    for (size_t i = 0; i < count; i++)
        cr_assert_leq(strlen(lines[i].text), 80 + 4, "an ellipsis has three bytes");
}
