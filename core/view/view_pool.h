// SPDX-License-Identifier: Apache-2.0
/*
 * view_pool: what status, stats.json and metrics show of the pool that a store shares. For a store
 * alone each call does nothing.
 */
#pragma once

#include "view_numbers.h"

void view_pool_status(struct state *p, struct strbuf *out);
/* Adds the group "pool". */
void view_pool_numbers(struct state *p, struct view_numbers *n);
