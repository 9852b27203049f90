// SPDX-License-Identifier: Apache-2.0
/* view_sweep: what status, stats.json and metrics say of other shards, of ghosts and of sweeps, and the
 * list of ghosts. */
#pragma once

#include "strbuf.h"
#include <jansson.h>

struct project;

/* Lines of status; of shards none where there are none and never were ghosts. */
void view_sweep_status(struct project *p, struct strbuf *out);
/* "shards": one object each; "sweeps": one. 0, or not. */
int view_sweep_json(struct project *p, json_t *o);
void view_sweep_metrics(struct project *p, struct strbuf *out);
/* What is wrong, if it makes the store degraded; NULL. Of static storage. */
const char *view_sweep_trouble(struct project *p);
