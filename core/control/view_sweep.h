// SPDX-License-Identifier: Apache-2.0
/* view_sweep: what status, stats.json and metrics show of other shards, of ghosts and of sweeps. */
#pragma once

#include "strbuf.h"
#include <jansson.h>

struct state;

/* Appends lines of status. A store that has no shard, and never had a ghost, has no lines about
 * shards. */
void view_sweep_status(struct state *p, struct strbuf *out);
/* Adds four members to `o`: "ghosts" and "ghosts_lost", numbers; "shards", an array with an object
 * for each shard; and "sweep", an object. Other than 0: no memory. */
int view_sweep_json(struct state *p, json_t *o);
void view_sweep_metrics(struct state *p, struct strbuf *out);
/* The reason why shards, ghosts or sweeps make the store degraded, as static text; NULL: there is
 * none. */
const char *view_sweep_trouble(struct state *p);
