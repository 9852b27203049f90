// SPDX-License-Identifier: Apache-2.0
/* gc_pool_impl: private to the files of gc_pool. */
#pragma once

#include "pool_held.h"
#include "pool_node_impl.h"
#include "pool_report.h"

#define LOOK_AT_ONCE 1024               /* removals between two looks at all reports' heads */
#define BEAT_EVERY (LEASE_PATIENCE / 8) /* ns between two beats of the lease */

/* One node, as a cycle sees it. */
struct member {
    struct pool_report *report; /* NULL: the node has no report, or only its head was read */
    struct pool_report *newer;  /* a report that came after `report`; NULL: none */
    uint64_t ack;               /* what the report acknowledges */
};

/* A cycle, whose thread has set p->node->running, or a look at the nodes alone, whose thread holds
 * p->node->looking. */
struct gc_pool_run {
    struct state *p;
    struct job *job;
    bool heads_only;           /* read heads of reports, and no names */
    struct member *members;    /* index: node - 1 */
    struct gc_report *reports; /* index: node - 1 */
    unsigned nodes;
    struct pool_held held;
    uint64_t in_force; /* serial of the newest list of marks that is known */
    bool alone;        /* that list was the newest at the last look */
    uint64_t looks;    /* calls of look_up so far */
    struct id *gone;   /* keys to remove when the cycle is over */
    size_t gone_count, gone_room;
    int64_t beaten;                  /* last beat of the lease, ticks */
    bool lost;                       /* another node took the lease */
    char *why;                       /* GC_POOL_WHY bytes of the caller */
    const _Atomic bool *interrupted; /* of a verb: true: it is to end soon; NULL: none */
};

static inline struct disk *disk_of(const struct gc_pool_run *c)
{
    return c->p->shared->disk;
}

/* ---- gc_pool.c ---- */

/* Formats a sentence into c->why, and returns err. */
int gc_pool_say(struct gc_pool_run *c, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes the coordinator go on from the list in force, if that is not the one it knows. */
int gc_pool_follow(struct gc_pool_run *c);

/* ---- gc_pool_reports.c ---- */

/* Reads all nodes and the reports of those that have one. gc_pool_forget frees them; it also
 * follows an error. */
int gc_pool_read(struct gc_pool_run *c);
/* Reads the reports that came since, into `newer`. */
int gc_pool_read_newer(struct gc_pool_run *c);
void gc_pool_forget(struct gc_pool_run *c);
/* gc_sources.names; `ctx` is the run. */
int gc_pool_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                  uint8_t *ret);
/* The least acknowledgement of the nodes that are not retired; 0: one of them has none. */
uint64_t gc_pool_least_ack(const struct gc_pool_run *c);

/* ---- gc_pool_beyond.c ---- */

/* gc_sources.beyond. */
int gc_pool_beyond(void *ctx, const bool *counts, uint64_t *ret_active, uint64_t *ret_pinned);

/* ---- gc_pool_nodes.c ---- */

/* Lets the coordinator read the heads of all nodes' reports. */
int gc_pool_look(struct gc_pool_run *c);
/* Does for all retired nodes what a retiring that ended before (an error, an interrupt, a loss of
 * power) left: removes their reports and slots, and indexes their packs, also those that such a
 * node wrote until it learned that it was retired. Returns the first error of an index, and goes on
 * after it. */
int gc_pool_finish_retired(struct gc_pool_run *c);
/* Retires all nodes that the coordinator knows to be stale, but this one. `by` names the cause in
 * the report to people. */
int gc_pool_retire_stale(struct gc_pool_run *c, const char *by, size_t *ret_retired);
