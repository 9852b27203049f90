// SPDX-License-Identifier: Apache-2.0
/* view_numbers: see the header. */
#include "view_numbers.h"
#include "clock.h"
#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* The bounds of a histogram in metrics: from 8 us to 8.4 s, each twice the one before. */
#define BOUND_FIRST 3
#define BOUND_LAST 23

/* What the key of a number ends with, and the metric ends with instead. */
struct unit {
    enum view_metric metric; /* VIEW_NO_METRIC: any */
    const char *key, *name;
    unsigned per; /* the metric shows value / per */
};

static const struct unit *unit_of(const struct view_number *v)
{
    static const struct unit units[] = {
        {VIEW_TIME, "_seconds", "_timestamp_seconds", 1},
        {VIEW_TIME, "_time", "_timestamp_seconds", 1},
        {VIEW_HISTOGRAM, "", "_seconds", 1},
        {VIEW_NO_METRIC, "_ms", "_seconds", 1000},
        {VIEW_NO_METRIC, "_milliseconds", "_seconds", 1000},
        {VIEW_NO_METRIC, "", "", 1},
    };
    const size_t len = strlen(v->key);
    const struct unit *u = units;

    while ((u->metric != VIEW_NO_METRIC && u->metric != v->metric) || strlen(u->key) > len ||
           strcmp(v->key + len - strlen(u->key), u->key) != 0)
        u++; /* the last one fits all */
    return u;
}

/* Appends the name of a metric, with `suffix`. */
static void add_name(const struct view_numbers *n, const struct view_number *v, const char *suffix)
{
    const struct unit *u = unit_of(v);

    strbuf_addf(n->metrics, "tallyfs_%s%.*s%s%s%s", n->prefix,
                (int)(strlen(v->key) - strlen(u->key)), v->key, u->name,
                v->metric == VIEW_COUNTER ? "_total" : "", suffix);
}

void view_metric_head(const struct view_numbers *n, const struct view_number *v)
{
    static const char *const types[] = {[VIEW_GAUGE] = "gauge",
                                        [VIEW_COUNTER] = "counter",
                                        [VIEW_TIME] = "gauge",
                                        [VIEW_HISTOGRAM] = "histogram"};

    strbuf_adds(n->metrics, "# HELP ");
    add_name(n, v, "");
    strbuf_addf(n->metrics, " %s\n# TYPE ", v->help);
    add_name(n, v, "");
    strbuf_addf(n->metrics, " %s\n", types[v->metric]);
}

/* Appends one line, without a label if `name` is NULL. */
static void add_metric(const struct view_numbers *n, const struct view_number *v, uint64_t value,
                       const char *label, const char *name)
{
    const unsigned per = unit_of(v)->per;

    add_name(n, v, "");
    if (name)
        strbuf_addf(n->metrics, "{%s=\"%s\"}", label, name);
    if (per > 1)
        strbuf_addf(n->metrics, " %.3f\n", (double)value / per);
    else
        strbuf_addf(n->metrics, " %llu\n", U(value));
}

void view_add_json(struct view_numbers *n, const char *key, json_t *value)
{
    *n->failed |= json_object_set_new(n->json, key, value) < 0;
}

static void add_integer(struct view_numbers *n, const char *key, uint64_t value)
{
    view_add_json(n, key, json_integer((json_int_t)value));
}

void view_add_numbers(struct view_numbers *n, const struct view_number *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!n->metrics) {
            add_integer(n, v[i].key, v[i].value);
        } else if (v[i].metric != VIEW_NO_METRIC) {
            view_metric_head(n, &v[i]);
            add_metric(n, &v[i], v[i].value, NULL, NULL);
        }
    }
}

void view_add_labelled(struct view_numbers *n, struct view_number head, const char *label,
                       const struct view_count *v, size_t count)
{
    struct view_numbers group = view_add_group(n, head.key, n->prefix);

    if (n->metrics)
        view_metric_head(n, &head);
    for (size_t i = 0; i < count; i++)
        if (!n->metrics)
            add_integer(&group, v[i].name, v[i].count);
        else
            add_metric(n, &head, v[i].count, label, v[i].name);
}

struct view_numbers view_add_group(struct view_numbers *n, const char *key, const char *prefix)
{
    struct view_numbers group = *n;

    group.prefix = prefix;
    if (!n->metrics) {
        view_add_json(n, key, json_object());
        group.json = json_object_get(n->json, key);
    }
    return group;
}

/* ---- histograms ---- */

void view_begin_histogram(const struct view_numbers *n, const struct view_number *head)
{
    if (n->metrics)
        view_metric_head(n, head);
}

static void add_bucket(const struct view_numbers *n, const struct view_number *head,
                       const char *labels, const char *le, uint64_t count)
{
    add_name(n, head, "_bucket");
    strbuf_addf(n->metrics, "{%sle=\"%s\"} %llu\n", labels, le, U(count));
}

/* Appends the lines of one histogram. `name` NULL: it has no label but "le". */
static void add_histogram_metric(const struct view_numbers *n, const struct view_number *head,
                                 const char *label, const char *name, const struct histogram *h)
{
    char labels[80] = "", plain[80] = "", le[24];

    if (name) {
        snprintf(labels, sizeof labels, "%s=\"%s\",", label, name);
        snprintf(plain, sizeof plain, "{%s=\"%s\"}", label, name);
    }
    for (unsigned i = BOUND_FIRST; i <= BOUND_LAST; i++) {
        snprintf(le, sizeof le, "%.6f", (double)(UINT64_C(1) << i) / 1e6);
        add_bucket(n, head, labels, le, histogram_count_to(h, UINT64_C(1) << i));
    }
    add_bucket(n, head, labels, "+Inf", histogram_count(h));
    add_name(n, head, "_sum");
    strbuf_addf(n->metrics, "%s %.9f\n", plain, (double)h->sum_ns / 1e9);
    add_name(n, head, "_count");
    strbuf_addf(n->metrics, "%s %llu\n", plain, U(histogram_count(h)));
}

static json_t *histogram_json(const struct histogram *h)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)histogram_count(h),
                     "total_us", (json_int_t)(h->sum_ns / NSEC_PER_USEC), "p50_us",
                     (json_int_t)histogram_quantile(h, 0.5), "p99_us",
                     (json_int_t)histogram_quantile(h, 0.99), "max_us",
                     (json_int_t)histogram_quantile(h, 1));
}

void view_add_histogram(struct view_numbers *n, const struct view_number *head, const char *label,
                        const char *name, const struct histogram *h)
{
    if (n->metrics)
        add_histogram_metric(n, head, label, name, h);
    else
        view_add_json(n, name ? name : head->key, histogram_json(h));
}
