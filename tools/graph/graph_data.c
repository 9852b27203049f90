// SPDX-License-Identifier: Apache-2.0
/* graph_data: see the header. */
#include "graph_data.h"

#include "array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int graph_add(struct graph *g, const struct graph_node *node, size_t *ret)
{
    struct graph_node copy = *node;
    if (ARRAY_RESERVE(g->nodes, g->room, g->count + 1) < 0) {
        return -ENOMEM;
    }
    copy.name = strdup(node->name);
    copy.time = node->time ? strdup(node->time) : NULL;
    if (!copy.name || (node->time && !copy.time)) {
        free(copy.name);
        free(copy.time);
        return -ENOMEM;
    }
    *ret = g->count;
    g->nodes[g->count++] = copy;
    return 0;
}

int graph_add_edge(struct graph *g, const struct graph_edge *edge)
{
    if (ARRAY_RESERVE(g->edges, g->edge_room, g->edge_count + 1) < 0) {
        return -ENOMEM;
    }
    g->edges[g->edge_count++] = *edge;
    return 0;
}

int graph_rename(struct graph_node *node, const char *name)
{
    char *copy = strdup(name);
    if (!copy) {
        return -ENOMEM;
    }
    free(node->name);
    node->name = copy;
    return 0;
}

size_t graph_find(const struct graph *g, enum graph_kind kind, const char *name)
{
    for (size_t i = 0; i < g->count; i++) {
        if (g->nodes[i].kind == kind && strcmp(g->nodes[i].name, name) == 0) {
            return i;
        }
    }
    return GRAPH_NONE;
}

size_t graph_root(const struct graph *g, size_t node)
{
    while (g->nodes[node].parent != GRAPH_NONE) {
        node = g->nodes[node].parent;
    }
    return node;
}

const char *graph_kind_word(enum graph_kind kind)
{
    static const char *const words[GRAPH_KINDS] = {"namespace", "snapshot", "in the trash", "gone"};
    return words[kind];
}

void graph_release(struct graph *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->nodes[i].name);
        free(g->nodes[i].time);
    }
    free(g->nodes);
    free(g->edges);
    *g = (struct graph)GRAPH_INIT;
}
