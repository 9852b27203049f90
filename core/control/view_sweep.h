// SPDX-License-Identifier: Apache-2.0
/* view_sweep: what status, stats.json and metrics say of other shards, of ghosts and of sweeps, and
 * the list of ghosts. */
#pragma once

#include "strbuf.h"
#include <jansson.h>

struct state;

/* Lines of status. A store that has no shard, and never had a ghost, has no lines about shards. */
void view_sweep_status(struct state *p, struct strbuf *out);
/* Puts two members into `o`: "shards", an array with an object for each shard, and "sweeps", an
 * object. Non-zero: there is no memory. */
int view_sweep_json(struct state *p, json_t *o);
void view_sweep_metrics(struct state *p, struct strbuf *out);
/* What of shards, ghosts or sweeps makes the store degraded, as static text, or NULL. */
const char *view_sweep_trouble(struct state *p);
