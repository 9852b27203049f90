// SPDX-License-Identifier: Apache-2.0
/*
 * stuck: contents that could not be sealed. They stay in slots, which a commit can name, and each
 * flush tries them again; one that found no place in a slot either is what a commit waits for.
 *
 * Whose they are takes walks through all trees (damage.h): it is looked up once for each set of
 * them.
 *
 * Threads: any. Holding nothing.
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

#define STUCK_TOLD 8 /* so many are told of */

void stuck_init(struct project *p);
void stuck_release(struct project *p);

/* `err` came of it. Was it so before? Needs no lock; one seal at a time. */
bool stuck_note(struct project *p, struct content *c, int err);
/* How many there are: in slots; all. */
size_t stuck_slots(struct project *p);
size_t stuck_count(struct project *p);
/* A line for each of a few, with the file that has it and the error; nothing if there are none.
 * Each begins with `before` and ends with `after`. */
int stuck_describe(struct project *p, const char *before, const char *after, struct strbuf *out);
