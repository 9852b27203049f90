// SPDX-License-Identifier: Apache-2.0
/*
 * view_numbers: the numbers of stats.json and metrics. Both texts have the same ones: whoever has
 * numbers lists them once, and they become members of a JSON object, or lines in the text format of
 * Prometheus. Keys are stable, since programs read them.
 */
#pragma once

#include "strbuf.h"
#include "view.h"
#include <jansson.h>

enum view_metric {
    VIEW_NO_METRIC, /* in stats.json alone */
    VIEW_GAUGE,
    /* only grows, from 0 at the start of the daemon; the name of its metric ends in _total */
    VIEW_COUNTER,
};

struct view_number {
    const char *key;
    enum view_metric metric;
    uint64_t value;
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
