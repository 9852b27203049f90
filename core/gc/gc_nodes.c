// SPDX-License-Identifier: Apache-2.0
/*
 * gc_nodes: which nodes use the pool, and which marks each is known to have seen. The time in a
 * report is not believed: `seen` is when this coordinator saw the serial advance. `covers` grows
 * only then, since a report that was there before may be of any age.
 */
#include "array.h"
#include "gc_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int gc_nodes_copy(const struct gc_nodes *from, struct gc_nodes *ret)
{
    struct gc_nodes nodes = {.count = from->count};

    if (ARRAY_RESERVE(nodes.v, nodes.room, from->count) < 0)
        return -ENOMEM;
    if (from->count)
        memcpy(nodes.v, from->v, from->count * sizeof *nodes.v);
    *ret = nodes;
    return 0;
}

void gc_nodes_release(struct gc_nodes *nodes)
{
    free(nodes->v);
    *nodes = (struct gc_nodes){0};
}

/* The index of the node, or the one at which it would be inserted. */
static size_t place(const struct gc_nodes *nodes, uint64_t id)
{
    size_t i = 0;

    while (i < nodes->count && nodes->v[i].id < id)
        i++;
    return i;
}

struct gc_node *gc_nodes_find(const struct gc_nodes *nodes, uint64_t id)
{
    size_t i = place(nodes, id);

    return i < nodes->count && nodes->v[i].id == id ? &nodes->v[i] : NULL;
}

/* Inserts a node in the order of ids. -E2BIG, -ENOMEM */
static int insert(struct gc_nodes *nodes, const struct gc_node *n)
{
    size_t i = place(nodes, n->id);

    if (nodes->count == GC_NODES_MAX)
        return -E2BIG;
    if (ARRAY_RESERVE(nodes->v, nodes->room, nodes->count + 1) < 0)
        return -ENOMEM;
    memmove(nodes->v + i + 1, nodes->v + i, (nodes->count - i) * sizeof *nodes->v);
    nodes->v[i] = *n;
    nodes->count++;
    return 0;
}

static void forget(struct gc_nodes *nodes, struct gc_node *n)
{
    nodes->count--;
    memmove(n, n + 1, (size_t)(nodes->v + nodes->count - n) * sizeof *n);
}

/* Takes over a report that is proven to be new: its serial advanced since the last look, or it is
 * our own. An acknowledgement of a list that was never published does not count. */
static void advance(struct gc_node *n, const struct gc_report *r, uint64_t marks, int64_t now)
{
    n->serial = r->serial;
    n->ack = r->ack;
    n->covers = r->ack <= marks ? r->ack : 0;
    n->timestamp = r->timestamp;
    n->seen = now;
    n->proven = true;
}

/* Updates a node from one report. A new node is added; it is not proven before its serial
 * advances. A node that is gone is forgotten. */
static int observe_one(struct gc_nodes *nodes, const struct gc_report *r, uint64_t marks,
                       int64_t now)
{
    struct gc_node *n = gc_nodes_find(nodes, r->node);
    int err = r->node == 0 || (n && n->present) ? -EUCLEAN : 0;

    if (err == 0 && r->gone) {
        if (n)
            forget(nodes, n);
        return 0;
    }
    if (err == 0 && !n) {
        err = insert(nodes, &(struct gc_node){.id = r->node,
                                              .serial = r->serial,
                                              .ack = r->ack,
                                              .timestamp = r->timestamp,
                                              .seen = now});
        n = gc_nodes_find(nodes, r->node);
    }
    if (err < 0)
        return err;
    n->present = true;
    n->own = r->own;
    n->behind = r->serial < n->serial;
    if (r->serial > n->serial || (r->own && !n->behind))
        advance(n, r, marks, now);
    /* the same serial with a lower acknowledgement: believe the lower one */
    else if (r->ack < n->covers)
        n->covers = r->ack;
    return 0;
}

int gc_nodes_observe(struct gc_nodes *nodes, const struct gc_report *r, size_t count,
                     uint64_t marks, int64_t now)
{
    int err = 0;

    for (size_t i = 0; i < nodes->count; i++)
        nodes->v[i].present = nodes->v[i].behind = false;
    for (size_t i = 0; i < count && err == 0; i++)
        err = observe_one(nodes, &r[i], marks, now);
    return err;
}

bool gc_node_is_stale(const struct gc_node *n, const struct gc_config *c, int64_t now)
{
    return !n->own && now - n->seen >= c->stale_report_threshold;
}

bool gc_node_reports(const struct gc_node *n, const struct gc_config *c, int64_t now)
{
    return n->present && !n->behind && n->proven && !gc_node_is_stale(n, c, now);
}

uint64_t gc_nodes_covers(const struct gc_nodes *nodes)
{
    uint64_t covers = UINT64_MAX;

    for (size_t i = 0; i < nodes->count; i++) {
        const struct gc_node *n = &nodes->v[i];
        /* A node without a report, or with an older one than before, has acknowledged nothing. */
        uint64_t own = n->present && !n->behind ? n->covers : 0;
        if (own < covers)
            covers = own;
    }
    return covers;
}

/* ---- for people ---- */

int gc_node_list(struct gc *gc, const struct gc_config *config, struct gc_node_info **ret_v,
                 size_t *ret_count)
{
    int64_t now = clock_ticks(gc->clock);
    MUTEX_GUARD(&gc->lock);
    struct gc_node_info *v = calloc(gc->nodes.count + 1, sizeof *v);

    if (!v)
        return -ENOMEM;
    for (size_t i = 0; i < gc->nodes.count; i++) {
        const struct gc_node *n = &gc->nodes.v[i];
        v[i] = (struct gc_node_info){.node = n->id,
                                     .serial = n->serial,
                                     .ack = n->ack,
                                     .timestamp = n->timestamp,
                                     .age = now - n->seen,
                                     .stale = gc_node_is_stale(n, config, now),
                                     .proven = n->proven,
                                     .own = n->own};
    }
    *ret_v = v;
    *ret_count = gc->nodes.count;
    return 0;
}
