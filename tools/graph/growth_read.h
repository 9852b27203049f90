// SPDX-License-Identifier: Apache-2.0
/*
 * growth_read: the samples that a store has taken of itself (tally-growth(1)), from a mount, and as
 * JSON.
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

/* An array of objects with the keys of the reply. An error is in the strbuf. */
void growth_json(const struct growth_points *p, struct strbuf *out);
