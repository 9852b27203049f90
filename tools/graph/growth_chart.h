// SPDX-License-Identifier: Apache-2.0
/*
 * growth_chart: draws how a store has grown, from its samples (tally-growth(1)): one panel for
 * each figure, below each other, with the same axis of time. Each panel has a scale of its own, so
 * that a small figure can be read beside a large one.
 *
 * Errors: they are in the strbuf (strbuf_error).
 */
#pragma once

#include "growth_read.h"
#include "strbuf.h"

#include <stdint.h>

#define GROWTH_WIDTH 1000
/* The least round number from `most` on, of which quarters are round as well: the end of a scale.
 * `bytes`: round as a size, with units of 1024. Not below 4. */
uint64_t growth_scale(uint64_t most, int bytes);

/* `store` is the label of the store, or NULL. */
void growth_svg(const struct growth_points *p, const char *store, struct strbuf *out);
void growth_text(const struct growth_points *p, struct strbuf *out);
