// SPDX-License-Identifier: Apache-2.0
/* view_sweep: what status, stats.json and metrics show of other shards, of ghosts and of sweeps. */
#pragma once

#include "shard_traffic.h"
#include "view_numbers.h"

/* Appends lines of status. A store that has no shard, and never had a ghost, has no lines about
 * shards. */
void view_sweep_status(struct state *p, struct strbuf *out);
/* Adds the numbers of ghosts, those of each shard, and the group "sweep". */
void view_sweep_numbers(struct state *p, struct view_numbers *n);
/* Appends " puts=N gets=N ... sent=N received=N": what went to a place. */
void view_traffic(const struct shard_traffic *t, struct strbuf *out);
/* The reason why shards, ghosts or sweeps make the store degraded, as static text; NULL: there is
 * none. */
const char *view_sweep_trouble(struct state *p);
