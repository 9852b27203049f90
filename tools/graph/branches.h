// SPDX-License-Identifier: Apache-2.0
/*
 * branches: draws how namespaces descend from each other, and what each holds alone and shares: as
 * a picture, as text for a terminal, and as a graph for Graphviz.
 *
 * In the picture each row of a family (family.h) has a line of its own, with these columns from the
 * left: the tree with names, merges as arrows, a bar, and numbers. branches_place says where they
 * are. No column reaches into the next one: names are shortened, and a tree that is deep has
 * smaller steps.
 *
 * Errors: they are in the strbuf (strbuf_error).
 */
#pragma once

#include "family.h"
#include "strbuf.h"

#define BRANCHES_WIDTH 1180
#define BRANCHES_ROW 28 /* the height of a line */

/* Where the parts of a row are, in pixels. */
struct branches_place {
    int top;               /* of its line */
    int node_x;            /* the middle of its point */
    int name_x, name_room; /* where the name begins, and how wide it may be */
    int bar_x, alone_width, shared_width;
};
struct branches_view {
    const struct graph *g;
    const struct family *f;
    const char *store; /* the label of the store, or NULL */
    uint64_t scale;    /* bytes of the longest bar; branches_view_of sets it */
};

/* A view of all rows. The arguments are borrowed. */
struct branches_view branches_view_of(const struct graph *g, const struct family *f,
                                      const char *store);
void branches_place(const struct branches_view *v, size_t row, struct branches_place *ret);

void branches_svg(const struct branches_view *v, struct strbuf *out);
void branches_text(const struct branches_view *v, struct strbuf *out);
void branches_dot(const struct branches_view *v, struct strbuf *out);
