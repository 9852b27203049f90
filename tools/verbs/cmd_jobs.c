// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_jobs: shows the jobs of a mount, those that run and the last ones that ended: one line for
 * each, or everything that is known of one.
 */
#include "client.h"
#include "command.h"
#include "form.h"
#include "jobs.h"
#include "jobs_people.h"
#include "say.h"
#include "strbuf.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Prints one line for a job. */
static void print_row(const json_t *job)
{
    CLEANUP_STRBUF struct strbuf row = STRBUF_INIT;
    char how[128];
    const char *state = jobs_text(job, "state");
    bool runs = strcmp(state, "running") == 0;
    jobs_describe(job, how, sizeof(how));
    strbuf_addf(&row, "%-6lld %-10s %s", (long long)json_integer_value(json_object_get(job, "job")),
                state, how);
    if (*jobs_text(job, "detail")) {
        strbuf_addf(&row, " (%s)", jobs_text(job, "detail"));
    }
    strbuf_addf(&row, runs ? " since %s" : " %s", jobs_text(job, runs ? "started" : "ended"));
    if (strcmp(state, "failed") == 0) {
        const char *why = jobs_text(job, "why");
        strbuf_addf(&row, " %s%s%s", jobs_text(job, "error"), *why ? ": " : "", why);
    }
    strbuf_adds(&row, "\n");
    tally_print(row.s, row.len);
}

/* Prints a field of a job. An array has a line for each of its values. */
static void print_field(const char *key, const json_t *value)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    for (size_t i = 0; i < json_array_size(value); i++) {
        print_field(key, json_array_get(value, i));
    }
    if (json_is_array(value)) {
        return;
    }
    char *number = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    strbuf_addf(&line, "%-16s %s\n", key,
                json_is_string(value) ? json_string_value(value)
                : number              ? number
                                      : "");
    free(number);
    tally_print(line.s, line.len);
}

/* Prints all fields of a job, one a line. */
static void print_all(const json_t *job)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)job, key, value)
    {
        print_field(key, value);
    }
}

/* Prints a job, or all of them, for people. */
static void print_human(const json_t *what,
                        void (*add)(const json_t *, const struct people_call *, struct strbuf *))
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const struct people_call call = form_call("jobs", NULL, 0);
    add(what, &call, &text);
    tally_print(text.s, text.len);
}

/* Prints why `what` below MNT/.tally cannot be read (errno). Returns 1. */
static int cannot_read(const char *mnt, const char *what)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    if (!client_is_gone(-errno)) {
        return tally_fail("%s/.tally/%s: %m", mnt, what);
    }
    client_explain(mnt, -errno, &why);
    return tally_fail("%s", why.s);
}

/* Shows one job. Returns the exit code. */
static int show_one(const char *mnt, const char *word, bool json)
{
    uint64_t number;
    if (command_number(word, &number) < 0) {
        return tally_fail("%s is not the number of a job", word);
    }
    json_t *job = jobs_read(mnt, number);
    if (!job) {
        return errno == ENOENT ? tally_fail("there is no job %" PRIu64, number)
                               : cannot_read(mnt, "jobs");
    }
    if (json) {
        tally_print_json(job, JSON_INDENT(2));
    } else if (form_is_human()) {
        print_human(job, jobs_people_one);
    } else {
        print_all(job);
    }
    json_decref(job);
    return 0;
}

/* Shows all jobs, in the order of their numbers. Returns the exit code. */
static int show_all(const char *mnt, bool json)
{
    json_t *all = jobs_read_all(mnt), *job;
    size_t i;
    if (!all) {
        return cannot_read(mnt, "jobs");
    }
    if (json) {
        tally_print_json(all, JSON_INDENT(2));
    } else if (form_is_human()) {
        print_human(all, jobs_people_table);
    } else {
        json_array_foreach(all, i, job)
        {
            print_row(job);
        }
    }
    json_decref(all);
    return 0;
}

int cmd_jobs_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    struct tally_mountinfo m;
    bool json = false;
    int o;
    while ((o = form_getopt(argc, argv, "C:", options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'C') {
            tally_mount = optarg;
        }
        json |= o == 'j';
    }
    if (argc - optind > 1) {
        return verbs_misuse();
    }
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    return optind < argc ? show_one(m.point, argv[optind], json) : show_all(m.point, json);
}
