// SPDX-License-Identifier: Apache-2.0
/*
 * family: the nodes of a graph as a list of rows, each below what it was made of, as a directory
 * tree is printed.
 *
 *     struct family f;
 *     err = family_build(&g, &(struct family_call){.of = "main"}, &f);
 *     family_release(&f);
 *
 * Children are in the order of the changes that made them, and then of their names, so the same
 * store gives the same list. What is gone has a row only if something that is there descends from
 * it. Of many children of one kind without children of their own those that hold most alone have
 * rows; the others share one row, which comes last.
 *
 * Errors: 0 or -ENOMEM; -ENOENT: nothing is called `of`.
 */
#pragma once

#include "graph_data.h"

#define FAMILY_NAMESPACES_MOST 60 /* children that are namespaces, and have rows of their own */
#define FAMILY_KEPT_MOST 8        /* that are snapshots, or in the trash */

struct family_row {
    size_t node;   /* GRAPH_NONE: the row stands for several */
    size_t parent; /* the row of what it was made of; GRAPH_NONE */
    int depth;     /* 0: it has no parent */
    bool last;     /* no row below it has the same parent */
    enum graph_kind kind;
    size_t several; /* how many the row stands for; 0: it has a node */
    uint64_t alone; /* of a row for several: what each of them holds alone, summed up */
};
struct family {
    struct family_row *rows;
    size_t count, room;
    size_t *row_of; /* of each node; GRAPH_NONE: it has none of its own */
    size_t hidden;  /* nodes that share rows */
    int depth;      /* of the deepest row */
};
struct family_call {
    const char *of; /* only the family of that namespace; NULL: all */
    bool all;       /* each has a row of its own */
};

int family_build(const struct graph *g, const struct family_call *c, struct family *ret);
void family_release(struct family *f);
