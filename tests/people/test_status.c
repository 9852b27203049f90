// SPDX-License-Identifier: Apache-2.0
/* Claims of status_people.h and jobs_people.h: what is well takes a few lines, what is not is said. */
#include "jobs_people.h"
#include "status_people.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1795791900) /* 2026-11-27T15:05:00Z */

/* The status of these stats, "key": value and so on, with that text; the caller releases it. */
static struct strbuf status(const char *more, const char *text, const char *jobs)
{
    struct strbuf json = STRBUF_INIT, out = STRBUF_INIT;
    strbuf_addf(
        &json,
        "{\"label\": \"a/b\", \"seq\": 7, \"durable_seq\": 7, \"namespaces\": 2, "
        "\"objects\": 3, \"stored_bytes\": 1024, \"disk_bytes\": 1024, \"disk_free_bytes\": 512, "
        "\"last_scrub_seconds\": %lld, \"state\": \"ok\"%s}",
        (long long)NOW - 100, more);
    json_t *stats = json_loads(json.s, 0, NULL), *list = json_loads(jobs, 0, NULL);
    cr_assert(stats && list, "%s", json.s);
    const struct status_facts f = {.mnt = "/m",
                                   .text = text,
                                   .stats = stats,
                                   .jobs = list,
                                   .inodes = 9,
                                   .bytes = 2048,
                                   .usage_known = true,
                                   .now = NOW};
    const struct status_word word = status_people_add(&f, &out);
    cr_expect_leq(word.at + word.len, out.len);
    json_decref(stats);
    json_decref(list);
    strbuf_release(&json);
    return out;
}

#define HAS(more, text, jobs, what)                                                                \
    do {                                                                                           \
        struct strbuf out = status(more, text, jobs);                                              \
        cr_expect(strstr(out.s, what), "no \"%s\" in %s", what, out.s);                            \
        strbuf_release(&out);                                                                      \
    } while (0)

Test(status, a_store_that_is_well_has_four_lines)
{
    struct strbuf out = status("", "state       ok\n", "[]");
    cr_expect_str_eq(
        out.s, "tallyfs store a/b at /m: all is well\n"
               "  2 KiB in 9 files and directories, in 2 namespaces; 3 contents of 1 KiB, each "
               "stored once\n"
               "  512 B of 1 KiB are free on its disk\n"
               "  all changes are on disk\n");
    strbuf_release(&out);
}

Test(status, what_compression_saves_is_said)
{
    HAS(", \"saved_bytes\": 734003200", "state       ok\n", "[]",
        "each stored once; compression saves 700 MiB of these\n");
}

Test(status, the_reason_stands_in_the_first_line)
{
    HAS(", \"state\": \"degraded\"", "state       degraded: a shard is away\nseq\n", "[]",
        "/m: DEGRADED: a shard is away\n");
    HAS(", \"state\": \"read-only\"", "state       read-only: it failed\n", "[]",
        "/m: READ-ONLY: it failed\n");
}

Test(status, what_is_not_on_disk_is_counted)
{
    HAS(", \"seq\": 8, \"last_commit_seconds\": 1795791897", "", "[]",
        "1 change is not on disk yet (the last flush was 3 s ago)");
}

Test(status, a_disk_that_is_full_and_a_trash_are_told)
{
    HAS(", \"disk_free_bytes\": 51, \"trash_frees_bytes\": 40", "", "[]",
        "! the disk is 95 % full");
    HAS(", \"disk_free_bytes\": 51, \"trash_frees_bytes\": 40", "", "[]",
        "! the trash has 40 B that `tally trash empty` gives back");
}

Test(status, a_scrub_is_due_when_it_was_never_or_long_ago)
{
    HAS(", \"last_scrub_seconds\": 0", "", "[]", "! no scrub has read all contents yet");
    HAS(", \"last_scrub_seconds\": 1792767800", "", "[]", "! the last scrub was 35 d ");
}

Test(status, a_running_scrub_is_a_job_and_not_due)
{
    const char *jobs = "[{\"job\": 3, \"verb\": \"scrub\", \"state\": \"running\", \"percent\": "
                       "42.5, \"left_seconds\": 90}]";
    struct strbuf out = status(", \"last_scrub_seconds\": 0", "", jobs);
    cr_expect(strstr(out.s, "  job 3, scrub, is running: 42 %, 1 min 30 s left\n"), "%s", out.s);
    cr_expect(!strchr(out.s, '!'), "%s", out.s);
    strbuf_release(&out);
}

Test(status, archives_are_current_or_named)
{
    HAS(", \"archives\": {\"9\": {\"url\": \"dir:/a\", \"state\": \"ok\", \"lag_milliseconds\": "
        "0}}",
        "", "[]", "all changes are on disk; the archive has what is on disk\n");
    HAS(", \"archives\": {\"9\": {\"url\": \"dir:/a\", \"state\": \"failing\", \"why\": \"away\", "
        "\"lag_milliseconds\": 90000}}",
        "", "[]",
        "! archive 9 (dir:/a) is failing: away\n"
        "! archive 9 (dir:/a) lacks what was changed in the last 1 min 30 s\n");
}

Test(status, bytes_that_are_elsewhere_have_a_line)
{
    HAS(", \"stored_bytes\": 10240, \"shards\": [{\"shard\": 1, \"url\": \"dir:/b\", \"state\": "
        "\"ok\", \"archive\": false, \"ghosts\": 1, \"bytes\": 1023}, {\"shard\": 65535, \"url\": "
        "\"dir:/a\", \"state\": \"ok\", \"archive\": true, \"ghosts\": 84769, \"bytes\": 9216}]",
        "", "[]",
        "each stored once\n"
        "  not here, but on shard 65535 (archive dir:/a): 84,769 contents of 9 KiB\n"
        "  512 B of");
    HAS(", \"shards\": [{\"shard\": 1, \"url\": \"dir:/b\", \"state\": \"ok\", \"archive\": false, "
        "\"ghosts\": null, \"bytes\": null}]",
        "", "[]", "each stored once\n  512 B of");
}

Test(status, requests_that_wait_for_long_are_told)
{
    HAS(", \"waiting_requests\": 2, \"longest_wait_seconds\": 3.5", "", "[]",
        "! 2 requests waiting for an answer, the longest for 3.5 s\n");
}

Test(status, the_last_messages_follow_their_number)
{
    HAS(", \"warnings\": 2",
        "alarms      alarms=0 warnings=2\n            one thing\n            another\nmounted     "
        "rw\n",
        "[]", "! 2 warnings since it was mounted:\n    one thing\n    another\n");
}

/* ---- jobs ---- */

static struct strbuf show(const char *json,
                          void (*add)(const json_t *, const struct people_call *, struct strbuf *))
{
    struct strbuf out = STRBUF_INIT;
    json_t *value = json_loads(json, 0, NULL);
    cr_assert(value);
    setenv("TZ", "UTC", 1);
    add(value, &(struct people_call){.verb = "jobs", .now = NOW}, &out);
    json_decref(value);
    return out;
}

Test(jobs, a_job_that_runs_has_a_bar)
{
    struct strbuf out = show("[{\"job\": 3, \"verb\": \"scrub\", \"state\": \"running\", "
                             "\"percent\": 42.5, \"left_seconds\": 90}]",
                             jobs_people_table);
    cr_expect_str_eq(out.s, "JOB  STATE    PROGRESS           WHEN             WHAT\n"
                            "  3  running  [####......] 42 %  1 min 30 s left  scrub\n");
    strbuf_release(&out);
}

Test(jobs, one_that_has_ended_says_its_result)
{
    struct strbuf out =
        show("{\"job\": 3, \"verb\": \"rebuild\", \"detail\": \"\", \"state\": \"done\", "
             "\"percent\": 100, \"seconds\": 2.5, \"started\": \"2026-11-27T15:00:00Z\", "
             "\"ended\": \"2026-11-27T15:00:02Z\", \"error\": 0, \"changed\": 1}",
             jobs_people_one);
    cr_expect_str_eq(out.s, "Job 3, rebuild, is done.\n"
                            "It began 2026-11-27 15:00 (5 min ago) and took 2.5 s.\n"
                            "All references were counted anew: 1 count put right.\n");
    strbuf_release(&out);
}

Test(jobs, one_that_failed_says_why)
{
    struct strbuf out =
        show("{\"job\": 3, \"verb\": \"move\", \"state\": \"failed\", \"percent\": 10, "
             "\"seconds\": 2.5, \"started\": \"2026-11-27T15:00:00Z\", \"ended\": "
             "\"2026-11-27T15:00:02Z\", \"error\": \"EHOSTUNREACH\", \"why\": \"it is away\"}",
             jobs_people_one);
    cr_expect(strstr(out.s, "Job 3, move, has failed: EHOSTUNREACH: it is away.\n"), "%s", out.s);
    strbuf_release(&out);
}

Test(jobs, no_jobs_are_a_sentence)
{
    struct strbuf out = show("[]", jobs_people_table);
    cr_expect(strstr(out.s, "There are no jobs"), "%s", out.s);
    strbuf_release(&out);
}
