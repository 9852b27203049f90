// SPDX-License-Identifier: Apache-2.0
/* gc_impl: private to the files of the coordinator. */
#pragma once

#include "gc.h"
#include "lock.h"

/* ---- the table of objects (gc_table.c): one sorted array ---- */

struct gc_object {
    struct id id;
    int64_t since;  /* ticks; UNREFERENCED, MARKED */
    uint32_t mark;  /* MARKED: serial of the list it first was in */
    uint16_t nodes; /* how many nodes name it */
    uint8_t state;  /* enum gc_state; GC_NONE: gc_table_squeeze removes it */
};
struct gc_table {
    struct gc_object *v;
    size_t count, room;
};
/* The index of the first object whose id is not below this one. */
static inline size_t gc_table_at(const struct gc_table *t, const struct id *id)
{
    return id_lower_bound(t->v, t->count, sizeof *t->v, id);
}
/* Reserves room for `more` objects, so that gc_table_merge cannot fail. -ENOMEM. */
int gc_table_reserve(struct gc_table *t, size_t more);
/* Removes the objects that are GC_NONE. */
void gc_table_squeeze(struct gc_table *t);
/* Merges in the objects of `found`, whose ids are ascending and not in the table. */
void gc_table_merge(struct gc_table *t, const struct gc_table *found);

/* ---- known nodes (gc_nodes.c) ---- */

struct gc_node {
    uint64_t id, serial, ack;
    /* the node has acknowledged marks up to this serial, as far as this coordinator saw */
    uint64_t covers;
    int64_t timestamp; /* its own clock */
    int64_t seen;      /* ticks when its serial was last seen to advance, or was first seen */
    bool proven, own;
    /* `present`: it has a report in this cycle; `behind`: that one is older than one seen before */
    bool present, behind;
};
struct gc_nodes {
    struct gc_node *v; /* ascending by id */
    size_t count, room;
};
int gc_nodes_copy(const struct gc_nodes *from, struct gc_nodes *ret);
void gc_nodes_release(struct gc_nodes *nodes);
struct gc_node *gc_nodes_find(const struct gc_nodes *nodes, uint64_t id);
/* Updates the nodes from the reports of a cycle. `marks` is the serial that was published last,
 * `now` is in ticks. -EUCLEAN: a node is there twice, or has number 0; -E2BIG: more than
 * GC_NODES_MAX nodes. */
int gc_nodes_observe(struct gc_nodes *nodes, const struct gc_report *r, size_t count,
                     uint64_t marks, int64_t now);
bool gc_node_is_stale(const struct gc_node *n, const struct gc_config *c, int64_t now);
/* Has the node a report that proves that it is alive? */
bool gc_node_reports(const struct gc_node *n, const struct gc_config *c, int64_t now);
/* The highest serial up to which all nodes have acknowledged the marks. */
uint64_t gc_nodes_covers(const struct gc_nodes *nodes);

/* ---- the coordinator ---- */

struct gc {
    const struct clock *clock;
    struct mutex lock;       /* "gc": guards the fields below */
    struct gc_table objects; /* its array and order change only at the end of a cycle */
    struct gc_nodes nodes;
    bool running; /* a cycle runs; it alone may change the array */
    /* the list in force has objects that are not marked any more, so a new one is due */
    bool unpublished;
    uint64_t cycles;
    uint64_t serial; /* of the last list of marks; up to UINT32_MAX */
    struct gc_record history[GC_HISTORY_MAX];
    uint64_t records;
};

/* Puts a cycle into the history; see gc.c. The caller holds gc->lock. */
void gc_record_cycle(struct gc *gc, const struct gc_result *r, struct id *ids);

/* How many of the eligible objects the history keeps. */
static inline size_t gc_recorded(const struct gc_result *r)
{
    return r->eligible_count < GC_HISTORY_IDS ? r->eligible_count : GC_HISTORY_IDS;
}
