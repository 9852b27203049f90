// SPDX-License-Identifier: Apache-2.0
/*
 * growth_chart: draws how a store has grown, from its samples (tally-growth(1)): one panel for
 * each figure, below each other, with the same axis of time. Each panel has a scale of its own, so
 * that a small figure can be read beside a large one.
 *
 * Errors: they are in the strbuf (strbuf_error).
 */
#pragma once

#include "strbuf.h"

#include <stddef.h>
#include <stdint.h>

enum growth_figure {
    GROWTH_LOGICAL, /* bytes */
    GROWTH_STORED,  /* bytes */
    GROWTH_DISK,    /* bytes that are free */
    GROWTH_OBJECTS,
    GROWTH_INODES,
    GROWTH_NAMESPACES,
    GROWTH_FIGURES,
};
#define GROWTH_UNKNOWN UINT64_MAX

struct growth_point {
    int64_t time;               /* ns since the epoch */
    uint64_t v[GROWTH_FIGURES]; /* GROWTH_UNKNOWN: not known */
};
struct growth_points {
    struct growth_point *v; /* by time */
    size_t count, room;
};

/* Asks the mount at `mnt` for its samples; `since` is a duration, or NULL: all. 0; 1 after a
 * sentence. The caller releases *ret in both cases. */
int growth_read(const char *mnt, const char *since, struct growth_points *ret);
void growth_points_release(struct growth_points *p);

#define GROWTH_WIDTH 1000
/* The least round number from `most` on, of which quarters are round as well: the end of a scale.
 * `bytes`: round as a size, with units of 1024. Not below 4. */
uint64_t growth_scale(uint64_t most, int bytes);

/* `store` is the label of the store, or NULL. */
void growth_svg(const struct growth_points *p, const char *store, struct strbuf *out);
void growth_json(const struct growth_points *p, struct strbuf *out);
void growth_text(const struct growth_points *p, struct strbuf *out);
