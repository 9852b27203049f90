// SPDX-License-Identifier: Apache-2.0
/*
 * stuck: contents that could not be sealed. They stay in slots, which a commit can name, or the
 * commit keeps their bytes (held.h); they are tried again. Only where the disk is full, or more is
 * kept so than there may be, one of them keeps every commit waiting.
 *
 * To find their files takes walks through all trees (damage.h). So that is done once for each set
 * of such contents.
 *
 * Threads: any. The caller holds no lock, unless a function says otherwise.
 */
#pragma once

#include "lock.h"
#include "strbuf.h"
#include <stddef.h>
#include <stdint.h>

struct state;
struct content;

struct stuck {
    struct mutex lock; /* "stuck": a leaf */
    struct strbuf text GUARDED_BY(stuck);
    uint64_t sum GUARDED_BY(stuck); /* of those that `text` is about */
};

#define STUCK_TOLD 8 /* so many of them are described */

void stuck_init(struct state *p);
void stuck_release(struct state *p);

/* The last attempt to seal `c` returned `err`. Was it stuck before? Needs no lock; called for one
 * content at a time. */
bool stuck_note(struct state *p, struct content *c, int err);
/* How many there are: in slots; all. */
size_t stuck_slots(struct state *p);
size_t stuck_count(struct state *p);
/* A line for each of a few, with the file that has it and the error; nothing if there are none.
 * Each begins with `before` and ends with `after`. */
int stuck_describe(struct state *p, const char *before, const char *after, struct strbuf *out);
