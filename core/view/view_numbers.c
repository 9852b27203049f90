// SPDX-License-Identifier: Apache-2.0
/* view_numbers: see the header. */
#include "view_numbers.h"

static void add_metric_type(const struct view_numbers *n, const struct view_number *v)
{
    bool counter = v->metric == VIEW_COUNTER;

    strbuf_addf(n->metrics, "# TYPE tallyfs_%s%s%s %s\n", n->prefix, v->key,
                counter ? "_total" : "", counter ? "counter" : "gauge");
}

/* Appends one line, without a label if `name` is NULL. */
static void add_metric(const struct view_numbers *n, const struct view_number *v, uint64_t value,
                       const char *label, const char *name)
{
    strbuf_addf(n->metrics, "tallyfs_%s%s%s", n->prefix, v->key,
                v->metric == VIEW_COUNTER ? "_total" : "");
    if (name)
        strbuf_addf(n->metrics, "{%s=\"%s\"}", label, name);
    strbuf_addf(n->metrics, " %llu\n", (unsigned long long)value);
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
            add_metric_type(n, &v[i]);
            add_metric(n, &v[i], v[i].value, NULL, NULL);
        }
    }
}

void view_add_labelled(struct view_numbers *n, struct view_number head, const char *label,
                       const struct view_count *v, size_t count)
{
    struct view_numbers group = view_add_group(n, head.key, n->prefix);

    if (n->metrics)
        add_metric_type(n, &head);
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
