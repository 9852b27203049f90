// SPDX-License-Identifier: Apache-2.0
/*
 * view_numbers: the numbers of stats.json and metrics. Both texts have the same ones: whoever has
 * numbers lists them once, and they become members of a JSON object, or lines in the text format of
 * Prometheus. Keys are stable, since programs read them. A metric has the name of its key, in
 * the units of Prometheus: one of "_ms" or "_milliseconds" is "_seconds", a point in time is
 * "_timestamp_seconds".
 */
#pragma once

#include "histogram.h"
#include "strbuf.h"
#include "view.h"
#include <jansson.h>

enum view_metric {
    VIEW_NO_METRIC, /* in stats.json alone */
    VIEW_GAUGE,
    VIEW_COUNTER,   /* only grows; the name of its metric ends in _total */
    VIEW_TIME,      /* a point in time, in seconds since the epoch */
    VIEW_HISTOGRAM, /* of durations */
};

struct view_number {
    const char *key;
    enum view_metric metric;
    uint64_t value;
    const char *help; /* of the metric, a sentence that stands alone; no quotes, no backslashes */
};

/* Where numbers go: to the end of `metrics`, or, where that is NULL, into the object `json`. */
struct view_numbers {
    json_t *json; /* NULL also if there was no memory for it: what is added then sets *failed */
    struct strbuf *metrics;
    const char *prefix; /* of the names of metrics, behind "tallyfs_" */
    bool *failed; /* set if there is no memory for a value; NULL for metrics: the strbuf has it */
};

void view_add_numbers(struct view_numbers *n, const struct view_number *v, size_t count);
/* Adds one number for each name: an object with a member for each, or a metric whose label `label`
 * has the name. */
void view_add_labelled(struct view_numbers *n, struct view_number head, const char *label,
                       const struct view_count *v, size_t count);
/* Adds a member to the object, and takes the reference of `value`; NULL is a lack of memory. */
void view_add_json(struct view_numbers *n, const char *key, json_t *value);
/* Numbers of a group: those of the member `key` of the object, an object that this adds, or those
 * whose metrics begin with `prefix`. */
struct view_numbers view_add_group(struct view_numbers *n, const char *key, const char *prefix);

/* Histograms of durations: view_begin_histogram once, and then view_add_histogram for each. In JSON
 * `name` (NULL: none) becomes a member of `n` with the quantiles; as a metric it is the value of
 * the label `label`. */
void view_begin_histogram(const struct view_numbers *n, const struct view_number *head);
void view_add_histogram(struct view_numbers *n, const struct view_number *head, const char *label,
                        const char *name, const struct histogram *h);

/* Appends the two lines before a metric: its help and its type. */
void view_metric_head(const struct view_numbers *n, const struct view_number *v);
