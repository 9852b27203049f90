// SPDX-License-Identifier: Apache-2.0
/*
 * view_pool: what status, stats.json and metrics say of the pool that a store shares. Of a store
 * alone they say nothing. Errors: those of the strbuf; of JSON, not 0.
 */
#pragma once

#include "strbuf.h"
#include <jansson.h>

struct state;

void view_pool_status(struct state *p, struct strbuf *out);
int view_pool_json(struct state *p, json_t *o); /* "pool": {…} */
void view_pool_metrics(struct state *p, struct strbuf *out);
