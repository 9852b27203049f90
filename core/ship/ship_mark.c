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

struct ship_mark ship_mark(struct state *p, uint16_t archive, struct ns *ns)
{
    struct ship_stats s;
    const bool is_there = ship_next(p, archive - 1u, &s) == 0 && s.archive == archive;
    struct ship_mark m = {.last = last_change(ns), .off = is_there && !ship_goes_to(p, ns, s.url)};

    m.seq = is_there && !m.off && s.seq >= m.last ? m.last : shipped_up_to(p, archive, ns);
    return m;
}
