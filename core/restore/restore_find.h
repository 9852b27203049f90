// SPDX-License-Identifier: Apache-2.0
/*
 * restore_find: which section of which segment has a namespace at a moment. Private to
 * core/restore.
 *
 * From the begin of the catalogue on, and without one, a change is looked for in the segment before
 * it and in the one behind it. Before the begin it is looked for in the kept states before it and
 * behind it: a namespace that has not changed between the moment and the later one is as it was at
 * the moment. Otherwise it is the earlier one.
 *
 * Threads: one for a planner. Errors: those of ns_restore.h.
 */
#pragma once

#include "catalogue.h"
#include "ns_restore.h"

struct planner {
    struct state *p; /* NULL: there is no store */
    struct shard *shard;
    const struct restore_ask *ask;
    struct restore_plan *plan;
    struct strbuf *why;
    struct segment_pos limit; /* nothing behind it belongs to the history; none: all does */
    /* The moment is before the oldest state of the lineage that can be restored, which is `oldest`.
     * None: there is none, or it cannot be read. */
    bool too_early;
    struct kept_state oldest;
    bool elsewhere; /* it is a lineage that the one of the ask goes on from */
    /* the last catalogue, or that of the ask; NULL: it is not looked at */
    const struct catalogue *kept;
};

/* Adds a sentence to `why`, and returns `err`. */
int planner_fail(struct planner *r, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Reads the section of the namespace that a segment has; if there are several the one that leads
 * furthest back (`far`), or least. -EUCLEAN: there is none. */
int planner_section(struct planner *r, struct segment_pos at, const struct segment_instant *of,
                    bool far, struct restore_step *ret, int64_t *ret_time);
/* Finds the section that has the namespace at the moment and leads furthest back, and says in the
 * plan what it leads to. -ENOENT, without a sentence if the moment is too early. */
int planner_find(struct planner *r, struct restore_step *ret);
/* Says in the plan what that step, its last one, leads to. */
void planner_say_last(struct planner *r, const struct restore_step *last);
