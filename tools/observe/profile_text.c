// SPDX-License-Identifier: Apache-2.0
#include "profile_text.h"

#include "clock.h"
#include "json_text.h"
#include "table.h"
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

char *profile_time(uint64_t us, char out[static PROFILE_TIME])
{
    const char *unit = us < 1000 ? "us" : us < 1000000 ? "ms" : "s";
    const double v = us < 1000 ? (double)us : us < 1000000 ? (double)us / 1e3 : (double)us / 1e6;
    snprintf(out, PROFILE_TIME, us < 1000 || v >= 9.95 ? "%.0f %s" : "%.1f %s", v, unit);
    return out;
}

static uint64_t mean_us(const struct histogram *h)
{
    const uint64_t n = histogram_count(h);
    return n ? h->sum_ns / NSEC_PER_USEC / n : 0;
}

/* ---- tables ---- */

static const char *const titles[] = {
    [COSTS_BY_OP] = "REQUEST", [COSTS_BY_NS] = "NAMESPACE", [COSTS_BY_PROGRAM] = "PROGRAM"};

static void add_group(struct table *t, const struct costs *s, const struct costs_group *g,
                      uint64_t all_ns, bool with_pid)
{
    char name[300], count[UNIT_TEXT], rate[32], share[16];
    char mean[PROFILE_TIME], p50[PROFILE_TIME], p99[PROFILE_TIME], max[PROFILE_TIME];
    const uint64_t n = histogram_count(&g->took);
    if (with_pid && g->pid) {
        snprintf(name, sizeof(name), "%s (%d)", g->name, g->pid);
    } else {
        snprintf(name, sizeof(name), "%s", *g->name ? g->name : "(gone)");
    }
    snprintf(rate, sizeof(rate), "%.0f", s->ms ? (double)n * 1000 / (double)s->ms : 0);
    snprintf(share, sizeof(share), "%.0f %%",
             all_ns ? (double)g->took.sum_ns * 100 / (double)all_ns : 0);
    table_add(t, (const char *[]){name, unit_count(n, count), rate,
                                  profile_time(mean_us(&g->took), mean),
                                  profile_time(costs_quantile(&g->took, g->max_us, 0.5), p50),
                                  profile_time(costs_quantile(&g->took, g->max_us, 0.99), p99),
                                  profile_time(g->max_us, max), share});
}

static int add_table(const struct costs *s, enum costs_by by, size_t most, size_t width,
                     struct strbuf *out)
{
    const struct table_column columns[] = {
        {.title = titles[by], .shrinks = true}, {.title = "COUNT", .right = true},
        {.title = "PER S", .right = true},      {.title = "MEAN", .right = true},
        {.title = "P50", .right = true},        {.title = "P99", .right = true},
        {.title = "MAX", .right = true},        {.title = "TIME", .right = true},
    };
    struct costs_group *groups;
    struct table t;
    uint64_t all_ns = 0;
    const ssize_t count = costs_group(s, by, &groups);
    if (count < 0) {
        return (int)count;
    }
    for (ssize_t i = 0; i < count; i++) {
        all_ns += groups[i].took.sum_ns;
    }
    table_init(&t, columns, sizeof(columns) / sizeof(*columns));
    for (ssize_t i = 0; i < count && (size_t)i < most; i++) {
        add_group(&t, s, &groups[i], all_ns, by == COSTS_BY_PROGRAM);
    }
    table_print(&t, width, out);
    if ((size_t)count > most) {
        strbuf_addf(out, "and %zu more\n", (size_t)count - most);
    }
    table_release(&t);
    free(groups);
    return strbuf_error(out);
}

int profile_text(const struct costs *s, size_t most, size_t width, struct strbuf *out)
{
    char count[UNIT_TEXT], time[UNIT_TEXT];
    int err = 0;
    strbuf_addf(out, "%s in %s\n", unit_noun(costs_requests(s), "request", count),
                unit_duration((int64_t)s->ms, time));
    for (enum costs_by by = COSTS_BY_OP; err == 0 && s->count && by <= COSTS_BY_PROGRAM; by++) {
        strbuf_adds(out, "\n");
        err = add_table(s, by, most, width, out);
    }
    return err < 0 ? err : strbuf_error(out);
}

/* ---- JSON ---- */

static json_t *row_json(const struct costs_row *r)
{
    return json_pack(
        "{s:o, s:i, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "program", json_text(r->program),
        "pid", r->pid, "ns", json_text(r->ns), "op", r->op, "count",
        (json_int_t)histogram_count(&r->took), "total_us",
        (json_int_t)(r->took.sum_ns / NSEC_PER_USEC), "mean_us", (json_int_t)mean_us(&r->took),
        "p50_us", (json_int_t)costs_quantile(&r->took, r->max_us, 0.5), "p99_us",
        (json_int_t)costs_quantile(&r->took, r->max_us, 0.99), "max_us", (json_int_t)r->max_us);
}

json_t *profile_json(const struct costs *s)
{
    json_t *root = json_object(), *rows = json_array();
    bool failed = json_object_set_new(root, "ms", json_integer((json_int_t)s->ms)) < 0;
    for (size_t i = 0; i < s->count; i++) {
        failed |= json_array_append_new(rows, row_json(&s->rows[i])) < 0;
    }
    failed |= json_object_set_new(root, "rows", rows) < 0;
    if (failed) {
        json_decref(root);
        return NULL;
    }
    return root;
}
