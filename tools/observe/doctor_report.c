// SPDX-License-Identifier: Apache-2.0
#include "doctor_report.h"

#include "io.h"

#include <string.h>
#include <sys/sysinfo.h>

/* Texts under these keys are words of tallyfs, and never names. */
static bool is_plain(const char *key)
{
    static const char *const keys[] = {"state", "transport", "verb", "error"};
    for (size_t i = 0; key && i < sizeof(keys) / sizeof(*keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* A copy of a value without any text that may be a name. NULL: nothing is left of it. */
static json_t *without_names(const char *key, const json_t *v)
{
    const char *k;
    json_t *member, *copy;
    size_t i;
    if (json_is_string(v) && !is_plain(key)) {
        return NULL;
    }
    if (json_is_object(v)) {
        copy = json_object();
        json_object_foreach((json_t *)(uintptr_t)v, k, member)
        {
            (void)json_object_set_new(copy, k, without_names(k, member));
        }
        return copy;
    }
    if (json_is_array(v)) {
        copy = json_array();
        json_array_foreach(v, i, member)
        {
            (void)json_array_append_new(copy, without_names(key, member));
        }
        return copy;
    }
    return json_deep_copy(v);
}

/* The jobs, with the keys that each has. What else a job has is its result, in which a namespace
 * may be called as a number is. */
static json_t *jobs_json(const json_t *jobs)
{
    static const char *const keys[] = {
        "job",         "verb",       "state",   "percent", "done",    "total",       "bytes_done",
        "bytes_total", "per_second", "seconds", "error",   "damaged", "left_seconds"};
    json_t *all = json_array(), *job;
    size_t i;
    json_array_foreach(jobs, i, job)
    {
        json_t *copy = json_object();
        for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
            (void)json_object_set_new(copy, keys[k],
                                      without_names(keys[k], json_object_get(job, keys[k])));
        }
        (void)json_array_append_new(all, copy);
    }
    return all;
}

/* The settings of the store, without those of namespaces. */
static json_t *settings_json(const struct strbuf *settings)
{
    json_t *all = json_object();
    for (const char *p = settings->s; p && *p;) {
        const size_t len = strcspn(p, "\n"), key = strcspn(p, "=");
        const size_t value = strcspn(p + key, " \n");
        if (key < len && strncmp(p, "ns:", 3) != 0 && *p != '"') {
            CLEANUP_FREE char *name = strndup(p, key);
            if (name) {
                (void)json_object_set_new(all, name, json_stringn(p + key + 1, value - 1));
            }
        }
        p += len + (p[len] == '\n');
    }
    return all;
}

static json_t *findings_json(const struct doctor_finding *findings, size_t count)
{
    json_t *all = json_object();
    for (size_t i = 0; i < count; i++) {
        (void)json_object_set_new(all, findings[i].subject,
                                  json_string(doctor_levels[findings[i].level]));
    }
    return all;
}

static json_t *machine_json(const struct doctor_case *c)
{
    struct sysinfo s = {0};
    char kernel[32];
    (void)sysinfo(&s);
    snprintf(kernel, sizeof(kernel), "%d.%d", c->facts.kernel_major, c->facts.kernel_minor);
    return json_pack("{s:s, s:i, s:I, s:s, s:b, s:I}", "kernel", kernel, "cpus", get_nprocs(),
                     "memory_bytes", (json_int_t)s.totalram * (json_int_t)s.mem_unit, "store_fs",
                     c->store_fs, "uring", c->facts.uring == 'Y', "files_limit",
                     (json_int_t)c->facts.files_limit);
}

json_t *doctor_report(const struct doctor_case *c, const struct doctor_finding *findings,
                      size_t count, const char *version)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o*, s:o*}", "version", version, "machine",
                     machine_json(c), "findings", findings_json(findings, count), "settings",
                     settings_json(&c->settings), "stats", without_names(NULL, c->stats), "jobs",
                     jobs_json(c->jobs));
}
