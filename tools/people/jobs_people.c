// SPDX-License-Identifier: Apache-2.0
#include "jobs_people.h"

#include "jobs.h"
#include "replies.h"
#include "table.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

#define BAR_CELLS 10 /* characters of a bar */

static double number(const json_t *job, const char *key)
{
    return json_number_value(json_object_get(job, key));
}

static bool is(const json_t *job, const char *state)
{
    return strcmp(jobs_text(job, "state"), state) == 0;
}

/* ---- the table ---- */

static void add_bar(const json_t *job, struct strbuf *out)
{
    const int full = (int)(number(job, "percent") * BAR_CELLS / 100);
    if (is(job, "queued") || is(job, "done")) {
        return;
    }
    strbuf_adds(out, "[");
    for (int i = 0; i < BAR_CELLS; i++) {
        strbuf_adds(out, i < full ? "#" : ".");
    }
    strbuf_addf(out, "] %d %%", (int)number(job, "percent"));
}

/* When it began or ended; of one that runs, how much is left. */
static void add_when(const json_t *job, const struct people_call *c, struct strbuf *out)
{
    char text[UNIT_TEXT];
    if (json_object_get(job, "left_seconds")) {
        strbuf_addf(out, "%s left",
                    unit_duration((int64_t)number(job, "left_seconds") * 1000, text));
    } else {
        const char *ended = jobs_text(job, "ended");
        strbuf_adds(out, unit_ago(*ended ? ended : jobs_text(job, "started"), c->now, text));
    }
}

static void add_what(const json_t *job, struct strbuf *out)
{
    const char *detail = jobs_text(job, "detail");
    strbuf_adds(out, jobs_text(job, "verb"));
    if (*detail) {
        strbuf_addf(out, " (%s)", detail);
    }
}

static void add_failure(const json_t *job, struct strbuf *out)
{
    const char *why = jobs_text(job, "why");
    if (is(job, "failed")) {
        strbuf_addf(out, "%s%s%s", jobs_text(job, "error"), *why ? ": " : "", why);
    }
}

static void add_row(const json_t *job, const struct people_call *c, struct table *t)
{
    CLEANUP_STRBUF struct strbuf n = STRBUF_INIT, bar = STRBUF_INIT, when = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf what = STRBUF_INIT, note = STRBUF_INIT;
    strbuf_addf(&n, "%.0f", number(job, "job"));
    add_bar(job, &bar);
    add_when(job, c, &when);
    add_what(job, &what);
    add_failure(job, &note);
    const char *const texts[] = {n.s, jobs_text(job, "state"), bar.s, when.s, what.s, note.s};
    t->failed |= n.failed || bar.failed || when.failed || what.failed || note.failed;
    table_add(t, texts);
}

void jobs_people_table(const json_t *jobs, const struct people_call *c, struct strbuf *out)
{
    static const struct table_column columns[] = {
        {"JOB", true, false, false},       {"STATE", false, false, false},
        {"PROGRESS", false, false, false}, {"WHEN", false, false, false},
        {"WHAT", false, true, false},      {"ERROR", false, true, true},
    };
    struct table t;
    size_t i;
    json_t *job;
    if (json_array_size(jobs) == 0) {
        strbuf_adds(out, "There are no jobs: none runs, and none has ended since the mount.\n");
        return;
    }
    table_init(&t, columns, sizeof(columns) / sizeof(*columns));
    json_array_foreach(jobs, i, job)
    {
        add_row(job, c, &t);
    }
    table_print(&t, c->width, out);
    table_release(&t);
}

/* ---- one job ---- */

/* The keys that every job has. What else it has is its result. */
static bool is_common(const char *key)
{
    static const char *const common[] = {
        "job",   "verb",       "detail",           "state",        "percent",    "done",
        "total", "bytes_done", "seconds",          "bytes_total",  "per_second", "started",
        "ended", "error",      "bytes_per_second", "left_seconds", "queue_pages"};
    for (size_t i = 0; i < sizeof(common) / sizeof(*common); i++) {
        if (strcmp(key, common[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A value as a text. */
static json_t *as_text(const json_t *value)
{
    if (json_is_string(value)) {
        return json_string(json_string_value(value));
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    json_t *result = text ? json_string(text) : NULL;
    free(text);
    return result;
}

/* Adds the values of one that has several, one a line, and the result as a sentence, or as lines if
 * none fits. */
static void add_result(const json_t *job, const struct people_call *c, struct strbuf *out)
{
    json_t *result = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)job, key, value)
    {
        if (!is_common(key) && !json_is_array(value)) {
            json_object_set_new(result, key, as_text(value));
        }
    }
    const struct sentence_of of = {result, NULL, 0, c->now, c->bytes};
    if (json_object_size(result) > 0 && replies_add("wait", NULL, &of, out)) {
        strbuf_adds(out, "\n");
    } else {
        json_object_foreach(result, key, value)
        {
            strbuf_addf(out, "%s: %s\n", key, json_string_value(value));
        }
    }
    json_decref(result);
}

static void add_lines(const json_t *job, struct strbuf *out)
{
    const char *key;
    json_t *value, *line;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)job, key, value)
    {
        if (json_is_array(value)) {
            strbuf_addf(out,
                        strcmp(key, "ghost") == 0 ? "On other shards:\n" : "It would collect:\n");
        }
        json_array_foreach(value, i, line)
        {
            strbuf_addf(out, "  %s\n", json_string_value(line));
        }
    }
}

/* How far it is, of one that has begun. */
static void add_progress(const json_t *job, struct strbuf *out)
{
    char done[UNIT_TEXT], total[UNIT_TEXT], bytes[UNIT_TEXT], of[UNIT_TEXT];
    strbuf_addf(out, "%.0f %%", number(job, "percent"));
    if (json_object_get(job, "total")) {
        strbuf_addf(out, ", %s of %s steps", unit_count((uint64_t)number(job, "done"), done),
                    unit_count((uint64_t)number(job, "total"), total));
    }
    if (json_object_get(job, "bytes_total")) {
        strbuf_addf(out, ", %s of %s", unit_bytes((uint64_t)number(job, "bytes_done"), bytes),
                    unit_bytes((uint64_t)number(job, "bytes_total"), of));
    }
    if (json_object_get(job, "bytes_per_second")) {
        strbuf_addf(out, ", %s a second",
                    unit_bytes((uint64_t)number(job, "bytes_per_second"), bytes));
    } else if (json_object_get(job, "per_second")) {
        strbuf_addf(out, ", %s steps a second",
                    unit_count((uint64_t)number(job, "per_second"), done));
    }
    if (json_object_get(job, "left_seconds")) {
        strbuf_addf(out, ", %s left",
                    unit_duration((int64_t)number(job, "left_seconds") * 1000, done));
    }
}

void jobs_people_one(const json_t *job, const struct people_call *c, struct strbuf *out)
{
    char when[UNIT_TEXT], time[UNIT_TEXT];
    const char *ended = jobs_text(job, "ended");
    strbuf_addf(out, "Job %.0f, ", number(job, "job"));
    add_what(job, out);
    strbuf_addf(out, is(job, "failed") ? ", has %s" : ", is %s", jobs_text(job, "state"));
    if (is(job, "failed")) {
        strbuf_adds(out, ": ");
        add_failure(job, out);
    }
    strbuf_addf(out, ".\nIt began %s", unit_time(jobs_text(job, "started"), c->now, when));
    if (*ended) {
        const int64_t ms = (int64_t)(number(job, "seconds") * 1000);
        strbuf_addf(out, " and took %s.\n", ms < 100 ? "less than 0.1 s" : unit_duration(ms, time));
    } else {
        strbuf_adds(out, ": ");
        add_progress(job, out);
        strbuf_adds(out, ".\n");
    }
    if (is(job, "done")) {
        add_result(job, c, out);
        add_lines(job, out);
    }
}
