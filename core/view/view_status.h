// SPDX-License-Identifier: Apache-2.0
/*
 * view_status: the text of `.tally/status`, by which people and programs see how a store is.
 */
#pragma once

#include "strbuf.h"

struct state;
struct view_edge;
struct view_facts;

/* Appends the text. `edge` NULL: nothing serves the store. An error is in the strbuf. */
void view_status(struct state *p, const struct view_facts *f, const struct view_edge *edge,
                 struct strbuf *out);
