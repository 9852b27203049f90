// SPDX-License-Identifier: Apache-2.0
/*
 * view_pool: what status, stats.json and metrics show of the pool that a store shares. For a store
 * alone each call does nothing. Errors are those of the strbuf.
 */
#pragma once

#include "strbuf.h"
#include <jansson.h>

struct state;

void view_pool_status(struct state *p, struct strbuf *out);
/* adds "pool": {…} to `o`; other than 0: no memory */
int view_pool_json(struct state *p, json_t *o);
void view_pool_metrics(struct state *p, struct strbuf *out);
