// SPDX-License-Identifier: Apache-2.0
/* gc_pool_impl: what the files of gc_pool share. Nobody else includes this. */
#pragma once

#include "pool_held.h"
#include "pool_node_impl.h"
#include "pool_report.h"

#define LOOK_AT_ONCE 1024 /* removals between two looks at all heads */
#define BEAT_EVERY (LEASE_PATIENCE / 8)

/* One node, as a cycle sees it. */
struct member {
    struct pool_report *report; /* NULL: it has none, or only its head was read */
    struct pool_report *newer;  /* that came meanwhile */
    uint64_t ack;               /* as the report has it */
};

/* A cycle, or a look at the nodes alone; p->node->running is taken. */
struct gc_pool_run {
    struct state *p;
    struct job *job;
    bool heads_only;
    struct member *members; /* by node - 1 */
    struct gc_report *reports;
    unsigned nodes;
    struct pool_held held;
    uint64_t in_force; /* serial of the list that is, as far as we know */
    bool alone;        /* it was the newest when we looked last */
    uint64_t looks;
    struct id *gone; /* to be removed */
    size_t gone_count, gone_room;
    int64_t beaten; /* ticks */
    char *why;
};

static inline struct disk *disk_of(const struct gc_pool_run *c)
{
    return c->p->shared->disk;
}

/* ---- gc_pool.c ---- */

/* Put a sentence into c->why, and return err. */
int gc_pool_say(struct gc_pool_run *c, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* From now on the coordinator stands where the list in force says. */
int gc_pool_follow(struct gc_pool_run *c);

/* ---- gc_pool_reports.c ---- */

/* All nodes, and the reports of those that have one; released before. */
int gc_pool_read(struct gc_pool_run *c);
/* Reports that came since, beside the old ones. */
int gc_pool_read_newer(struct gc_pool_run *c);
void gc_pool_forget(struct gc_pool_run *c);
/* gc_sources.names; `ctx` is the run. */
int gc_pool_names(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                  uint8_t *ret);
/* The least acknowledgement of those that are not retired; 0: somebody has none. */
uint64_t gc_pool_least_ack(const struct gc_pool_run *c);

/* ---- gc_pool_beyond.c ---- */

/* gc_sources.beyond. */
int gc_pool_beyond(void *ctx, const bool *counts, uint64_t *ret_active, uint64_t *ret_pinned);

/* ---- gc_pool_nodes.c ---- */

/* The coordinator looks at the heads of all nodes. */
int gc_pool_look(struct gc_pool_run *c);
/* Packs of nodes that are retired get the index that was not made then: what such a node wrote
 * until it learned of it. */
int gc_pool_index_retired(struct gc_pool_run *c);
/* Retire all that are stale, as it knows them. */
int gc_pool_retire_stale(struct gc_pool_run *c, const char *by, size_t *ret_retired);
