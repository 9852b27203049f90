// SPDX-License-Identifier: Apache-2.0
/* ship_mark: see ship.h. The points say it, so nothing waits for a round that is under way. */
#include "ship_impl.h"

#include <errno.h>

static bool is_of(const struct ns *point, const struct ns *ns)
{
    return point->hidden.of.ns == ns->number && point->hidden.of.generation == ns->generation;
}

/* The last change of the namespace that a point has which the archive has; 0: there is none. */
static uint64_t shipped_up_to(struct state *p, uint16_t archive, const struct ns *ns)
{
    struct ns_point note;
    uint64_t seq = 0;
    struct ns *point;

    for (uint32_t at = 0; ns_point_next(p, at, &point, &note) == 0;) {
        at = point->number;
        if (note.archive == archive && note.serial && is_of(point, ns) &&
            point->hidden.of.seq > seq)
            seq = point->hidden.of.seq;
        ns_put(p, point);
    }
    return seq;
}

static uint64_t last_change(struct ns *ns)
{
    READ_GUARD(&ns->lock);

    return ns->seq;
}

/* Up to which change of the store the archive has all; 0: it is not known, or no such archive. */
static uint64_t store_up_to(struct state *p, uint16_t archive)
{
    struct ship_stats s;

    return ship_next(p, archive - 1u, &s) == 0 && s.archive == archive ? s.seq : 0;
}

struct ship_mark ship_mark(struct state *p, uint16_t archive, struct ns *ns)
{
    const uint64_t all = store_up_to(p, archive), last = last_change(ns);
    struct ship_mark m = {.last = last, .off = ship_mode_of(p, ns) == SHIP_MODE_OFF};

    m.seq = !m.off && all >= last ? last : shipped_up_to(p, archive, ns);
    return m;
}
