// SPDX-License-Identifier: Apache-2.0
/*
 * graph_data: what the pictures show: the namespaces of a store, what is kept of them, how one was
 * made of the other, and what each takes. Plain memory; graph_read fills it from a mount.
 *
 *     struct graph g = GRAPH_INIT;
 *     err = graph_add(&g, &(struct graph_node){...}, &index);
 *     graph_release(&g);
 *
 * A parent has a lower index than its children. So there are no cycles, and a loop over the nodes
 * meets each parent before its children.
 *
 * Errors: 0 or -ENOMEM; then all is as it was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAPH_NONE SIZE_MAX      /* no node */
#define GRAPH_UNKNOWN UINT64_MAX /* a size that was not found out */

enum graph_kind {
    GRAPH_NAMESPACE,
    GRAPH_SNAPSHOT,
    GRAPH_TRASH, /* dropped, and can be taken back */
    GRAPH_GONE,  /* it is not there any more, but others descend from it */
    GRAPH_KINDS,
};

struct graph_node {
    char *name; /* as users call it: NS, NS@NAME, or NS@dropped-SEQ; owned by the graph */
    char *time; /* when it was made, as 2026-01-31T23:59:59Z; NULL: not known; owned */
    enum graph_kind kind;
    size_t parent;    /* what it was made of; GRAPH_NONE: of nothing, or that is not known */
    uint64_t seq;     /* the change that made it; 0: not known */
    uint64_t dropped; /* the change that dropped it; 0: none */
    /* Bytes that only this one holds, that others hold, too, and of all of its files. */
    uint64_t alone, shared, logical;
};

/* `from` was brought into `to` by a merge or a commit. */
struct graph_edge {
    size_t from, to;
    uint64_t seq;
    bool commit;
    bool undone;
};

struct graph {
    struct graph_node *nodes;
    size_t count, room;
    struct graph_edge *edges;
    size_t edge_count, edge_room;
    /* Bytes of the store and of its disk. */
    uint64_t trash, snapshots, bases; /* only what each of these holds alone, summed up */
    uint64_t packs, packs_dead, metadata, disk, disk_free;
};
#define GRAPH_INIT                                                                                 \
    {                                                                                              \
        .nodes = NULL                                                                              \
    }

/* Adds a node; the texts of *node are copied. *ret is its index. */
int graph_add(struct graph *g, const struct graph_node *node, size_t *ret);
int graph_add_edge(struct graph *g, const struct graph_edge *edge);
/* Gives a node another name. */
int graph_rename(struct graph_node *node, const char *name);
/* The node of that kind and name; GRAPH_NONE: there is none. */
size_t graph_find(const struct graph *g, enum graph_kind kind, const char *name);
/* The topmost node from which it descends. */
size_t graph_root(const struct graph *g, size_t node);
/* A word for people: "namespace", "snapshot", "in the trash", "gone". */
const char *graph_kind_word(enum graph_kind kind);
void graph_release(struct graph *g);
