// SPDX-License-Identifier: Apache-2.0
/*
 * view_stats: the numbers of a store for programs: `stats.json`, and metrics in the text format of
 * Prometheus.
 */
#pragma once

#include "strbuf.h"

struct state;
struct view_edge;
struct view_facts;

/* Both append a text with the same numbers. `edge` NULL: nothing serves the store. 0, -ENOMEM. */
int view_stats_json(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                    struct strbuf *out);
int view_metrics(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                 struct strbuf *out);
