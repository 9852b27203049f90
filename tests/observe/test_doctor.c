// SPDX-License-Identifier: Apache-2.0
/* Claims of doctor.h: what is found in given facts, and what of it is in a report. */
#include "doctor_report.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NOW 1800000000

static struct doctor_finding found[DOCTOR_CHECKS_MAX];
static size_t count;
static json_t *stats;
static struct doctor_facts facts;

static void look(const char *json)
{
    stats = json_loads(json, 0, NULL);
    cr_assert(stats);
    facts.stats = stats;
    facts.why = facts.why ? facts.why : "";
    facts.store_fs = facts.store_fs ? facts.store_fs : "ext4";
    facts.now = NOW;
    count = doctor_check(&facts, found);
}

static void down(void)
{
    doctor_release(found, count);
    json_decref(stats);
}

TestSuite(doctor, .fini = down);

/* The level of a finding, which must be there. */
static enum doctor_level level(const char *subject)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(found[i].subject, subject) == 0)
            return found[i].level;
    cr_assert_fail("nothing was found about %s", subject);
    return DOCTOR_BAD;
}

/* The sentence of a finding, which must be there. */
static const char *text(const char *subject)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(found[i].subject, subject) == 0)
            return found[i].text.s;
    cr_assert_fail("nothing was found about %s", subject);
    return "";
}

static bool looked_at(const char *subject)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(found[i].subject, subject) == 0)
            return true;
    return false;
}

#define HEALTHY                                                                                    \
    "{\"state\": \"ok\", \"transport\": \"io_uring\", \"passthrough\": \"yes\","                   \
    " \"disk_bytes\": 1000, \"disk_free_bytes\": 500, \"last_scrub_seconds\": 1799999999,"         \
    " \"uptime_seconds\": 100, \"archives\": {\"65535\": {\"state\": \"ok\","                      \
    " \"drill_time\": 1799999999}}, \"shards\": [{\"state\": \"ok\", \"archive\": false}]}"

Test(doctor, a_healthy_mount_has_no_hint)
{
    facts = (struct doctor_facts){
        .kernel_major = 6, .kernel_minor = 18, .files_limit = 100000, .boots = true};
    look(HEALTHY);
    cr_assert_gt(count, 9);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(found[i].level, DOCTOR_GOOD, "%s: %s", found[i].subject, found[i].text.s);
}

Test(doctor, what_is_in_danger_is_bad)
{
    facts.why = "the last scrub found damage";
    look("{\"state\": \"degraded\", \"alarms\": 2, \"scrub_damaged\": 1, \"disk_bytes\": 1000,"
         " \"disk_free_bytes\": 5, \"archives\": {\"65535\": {\"state\": \"refused\"}},"
         " \"shards\": [{\"state\": \"unreachable\", \"archive\": false}]}");
    cr_assert_eq(level("state"), DOCTOR_BAD);
    cr_assert_eq(level("messages"), DOCTOR_BAD);
    cr_assert_eq(level("disk"), DOCTOR_BAD);
    cr_assert_eq(level("scrub"), DOCTOR_BAD);
    cr_assert_eq(level("archives"), DOCTOR_BAD);
    cr_assert_eq(level("shards"), DOCTOR_BAD);
    cr_assert_str_eq(text("archives"), "nothing can be shipped to an archive");
    cr_assert_str_eq(text("shards"), "the shard cannot be used");
}

Test(doctor, how_much_is_bad)
{
    look("{\"state\": \"ok\", \"archives\": {\"65535\": {\"state\": \"failing\","
         " \"lag_milliseconds\": 90000}}, \"shards\": [{\"state\": \"ok\", \"archive\": false},"
         " {\"state\": \"unreachable\", \"archive\": false}]}");
    cr_assert_str_eq(text("archives"), "nothing can be shipped to an archive, which lacks what was "
                                       "changed in the last 1 min 30 s");
    cr_assert_str_eq(text("shards"), "1 of 2 shards cannot be used");
}

Test(doctor, everything_that_is_not_good_has_advice)
{
    facts = (struct doctor_facts){.kernel_major = 6,
                                  .kernel_minor = 1,
                                  .uring = 'N',
                                  .files_limit = 1024,
                                  .in_tmp = true,
                                  .store_fs = "nfs4"};
    look("{\"state\": \"ok\", \"transport\": \"threads\", \"passthrough\": \"no: an old kernel\","
         " \"uptime_seconds\": 100, \"writers_waited_ms\": 50000, \"pack_file_bytes\": 100000000,"
         " \"pack_dead_bytes\": 60000000, \"log_sync_duration\": {\"count\": 100, \"p99_us\":"
         " 60000}, \"request_duration\": {\"LOOKUP\": {\"count\": 1000, \"p99_us\": 30000}}}");
    for (size_t i = 0; i < count; i++)
        cr_assert(found[i].level == DOCTOR_GOOD || found[i].advice.len > 0, "%s", found[i].subject);
    cr_assert_eq(level("requests"), DOCTOR_HINT);
    cr_assert_eq(level("passthrough"), DOCTOR_HINT);
    cr_assert_eq(level("kernel"), DOCTOR_HINT);
    cr_assert_eq(level("writers"), DOCTOR_HINT);
    cr_assert_eq(level("packs"), DOCTOR_HINT);
    cr_assert_eq(level("syncs"), DOCTOR_HINT);
    cr_assert_eq(level("lookups"), DOCTOR_HINT);
    cr_assert_eq(level("store"), DOCTOR_HINT);
    cr_assert_eq(level("start"), DOCTOR_HINT);
    cr_assert_eq(level("place"), DOCTOR_HINT);
}

Test(doctor, a_few_numbers_are_no_reason_to_judge)
{
    look("{\"state\": \"ok\", \"log_sync_duration\": {\"count\": 99, \"p99_us\": 60000},"
         " \"request_duration\": {\"LOOKUP\": {\"count\": 999, \"p99_us\": 30000}}}");
    cr_assert(!looked_at("syncs") && !looked_at("lookups") && !looked_at("disk"));
}

Test(doctor, a_report_has_numbers_and_no_names)
{
    struct doctor_case c = {.store_fs = "ext4", .settings = STRBUF_INIT};

    strbuf_adds(&c.settings, "flush_interval=5s default=5s\nns:secret.ttl=1d default=off\n"
                             "\"ns:very secret.ttl\"=1d\n");
    look("{\"state\": \"ok\", \"label\": \"secret/store\", \"seq\": 7, \"archives\": {\"65535\":"
         " {\"url\": \"s3://secret\", \"why\": \"secret\", \"state\": \"ok\", \"seq\": 5}},"
         " \"shards\": [{\"url\": \"dir:/secret\", \"bytes\": 9}]}");
    c.stats = stats;
    c.jobs = json_loads(
        "[{\"job\": 1, \"verb\": \"digest\", \"detail\": \"secret/file\", \"ns\": 20240131,"
        " \"state\": \"failed\", \"why\": \"secret\"}]",
        0, NULL);
    c.facts = facts;
    json_t *report = doctor_report(&c, found, count, "1.2");
    char *text = json_dumps(report, JSON_INDENT(1));
    cr_assert(!strstr(text, "secret") && !strstr(text, "20240131"), "%s", text);
    cr_assert(strstr(text, "\"seq\": 7") && strstr(text, "\"bytes\": 9"), "%s", text);
    cr_assert(strstr(text, "\"flush_interval\": \"5s\""), "%s", text);
    cr_assert(strstr(text, "\"state\": \"failed\""), "%s", text);
    free(text);
    json_decref(report);
    json_decref(c.jobs);
    strbuf_release(&c.settings);
}
