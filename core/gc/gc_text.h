// SPDX-License-Identifier: Apache-2.0
/* gc_text: what a GC cycle found, as lines for people. */
#pragma once

#include "gc.h"
#include "strbuf.h"

/* How an id of a cycle is described: leak_describe for what a store alone found, gc_describe_key
 * for keys of a pool. `whole`: the id whose key it is, where it is known, or NULL. */
typedef void gc_describe(const struct id *key, const struct id *whole, struct strbuf *out);
void gc_describe_key(const struct id *key, const struct id *whole, struct strbuf *out);
/* The first of the eligible, a line each, and how many more there are. */
void gc_add_eligible(const struct gc_result *r, gc_describe *describe, struct strbuf *out);
