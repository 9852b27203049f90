// SPDX-License-Identifier: Apache-2.0
/*
 * stuck: contents that could not be sealed. They stay in slots, which a commit can name, and each
 * flush tries them again. A content that is not in a slot either keeps every commit waiting.
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

struct project;
struct content;

struct stuck {
    struct mutex lock; /* "stuck": a leaf */
    uint64_t sum;      /* of those that `text` is about */
    struct strbuf text;
};

#define STUCK_TOLD 8 /* so many of them are described */

void stuck_init(struct project *p);
void stuck_release(struct project *p);

/* The last attempt to seal `c` returned `err`. Was it stuck before? Needs no lock; called for one
 * content at a time. */
bool stuck_note(struct project *p, struct content *c, int err);
/* How many there are: in slots; all. */
size_t stuck_slots(struct project *p);
size_t stuck_count(struct project *p);
/* A line for each of a few, with the file that has it and the error; nothing if there are none.
 * Each begins with `before` and ends with `after`. */
int stuck_describe(struct project *p, const char *before, const char *after, struct strbuf *out);
