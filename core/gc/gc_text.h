// SPDX-License-Identifier: Apache-2.0
/* gc_text: what a GC cycle found, as lines for people. */
#pragma once

#include "gc.h"
#include "strbuf.h"

/* Appends a description of an id of a cycle: leak_describe for those of a store alone,
 * gc_describe_key for keys of a pool. `whole` is the whole id that the key stands for; NULL: not
 * known. */
typedef void gc_describe(const struct id *key, const struct id *whole, struct strbuf *out);
void gc_describe_key(const struct id *key, const struct id *whole, struct strbuf *out);
/* Appends the first eligible objects, a line each, and then how many more there are. */
void gc_add_eligible(const struct gc_result *r, gc_describe *describe, struct strbuf *out);
