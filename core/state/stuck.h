// SPDX-License-Identifier: Apache-2.0
/*
 * stuck: contents that could not be sealed. They stay in slots, which a commit can name, or a
 * commit keeps their bytes (held.h). They are tried again. One of them keeps every commit waiting
 * only if the store's own disk is full, or if more would be kept than is allowed.
 *
 * To find their files takes walks through all trees (damage_live.h), each time that they are
 * described: names change.
 *
 * Threads: any. The caller holds no lock, unless a function says otherwise.
 */
#pragma once

#include "strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;
struct content;

#define STUCK_TOLD 8 /* contents that are described, at most */

/* Notes that the last attempt to seal `c` returned `err`. Returns whether `c` was stuck before.
 * Called by one thread at a time for one content. */
bool stuck_note(struct state *p, struct content *c, int err);
/* How many contents are stuck: those in slots; all. */
size_t stuck_slots(struct state *p);
size_t stuck_count(struct state *p);
/* Appends a line for each of the first few, with the file that has it and the error; nothing if
 * there are none. Each line begins with `before` and ends with `after`. */
int stuck_describe(struct state *p, const char *before, const char *after, struct strbuf *out);
