// SPDX-License-Identifier: Apache-2.0
/*
 * latency: how long requests took, from when the edge read them to when it answered. There is a
 * histogram for each kind of request, since the store was opened.
 *
 * What the edge serves of `.tally` is not noted here, since a command waits for as long as the user
 * wants. Threads: any. Each number is right, but numbers that are read at the same time may belong
 * to different instants.
 */
#pragma once

#include "histogram.h"

#include <stdint.h>

#define LATENCY_KINDS 64

struct latency;

/* Gives the kinds their names: `names` has LATENCY_KINDS static texts, NULL for kinds that are
 * noted as kind 0. It is called once, before the first note. */
void latency_set_names(struct latency *l, const char *const *names);
/* Notes that a request of this kind took that long. It costs some 20 ns, and never waits. */
void latency_note(struct latency *l, uint32_t kind, int64_t ns);
/* The histogram of a kind, and its name. NULL: no request of this kind was noted. */
const char *latency_get(const struct latency *l, uint32_t kind, struct histogram *ret);
/* The name of a kind, or of kind 0; "" if there are no names yet. */
const char *latency_name(const struct latency *l, uint32_t kind);

struct latency *latency_new(void); /* NULL: no memory */
void latency_free(struct latency *l);
