// SPDX-License-Identifier: Apache-2.0
/* graphs: graphs for claims, by hand and at random. */
#pragma once

#include "graph_data.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Adds a node that holds so many bytes alone; its change is its index and 1. */
static inline size_t add_node(struct graph *g, const char *name, enum graph_kind kind,
                              size_t parent, uint64_t alone)
{
    struct graph_node node = {.name = (char *)(uintptr_t)name,
                              .time = (char *)(uintptr_t) "2026-01-31T23:59:59Z",
                              .kind = kind,
                              .parent = parent,
                              .seq = g->count + 1,
                              .alone = alone};
    size_t at;
    cr_assert_eq(graph_add(g, &node, &at), 0);
    return at;
}

static inline uint64_t draw_number(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Makes a forest of so many nodes of all kinds, with merges. */
static inline void make_random(struct graph *g, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        char name[300];
        size_t parent = i == 0 || draw_number(&seed) % 9 == 0 ? GRAPH_NONE
                        : draw_number(&seed) % 2              ? i - 1
                                                              : draw_number(&seed) % i;
        snprintf(name, sizeof(name), "n%zu-%0*d", i, (int)(draw_number(&seed) % 250), 7);
        add_node(g, name, (enum graph_kind)(draw_number(&seed) % GRAPH_KINDS), parent,
                 draw_number(&seed) % 3 ? draw_number(&seed) : 0);
        g->nodes[i].shared = draw_number(&seed) % 4 ? draw_number(&seed) : GRAPH_UNKNOWN;
    }
    for (size_t i = 0; i < count / 3; i++) {
        struct graph_edge edge = {.from = draw_number(&seed) % count,
                                  .to = draw_number(&seed) % count,
                                  .seq = i,
                                  .undone = draw_number(&seed) % 5 == 0};
        cr_assert_eq(graph_add_edge(g, &edge), 0);
    }
}
