// SPDX-License-Identifier: Apache-2.0
/*
 * branches_parts: what the rows and arrows of branches.h say, whichever way they are drawn.
 */
#pragma once

#include "branches.h"
#include "svg.h"

const struct graph_node *row_node(const struct branches_view *v, size_t row); /* NULL: of several */
/* Bytes for the bar of a row; what is not known counts as 0. */
uint64_t row_alone(const struct branches_view *v, size_t row);
uint64_t row_shared(const struct branches_view *v, size_t row);
/* Adds what a row is called, as clean text (text_fit.h). */
void row_name(const struct branches_view *v, size_t row, struct strbuf *out);
/* Between which rows the arrow of a merge leads. False: it has none, since one of the two has no
 * row of its own, or a later merge of the same two is drawn for both. */
bool merge_rows(const struct branches_view *v, size_t edge, size_t *ret_from, size_t *ret_to);
size_t count_merges(const struct branches_view *v); /* those that have an arrow */
/* How many of that kind the rows stand for. */
size_t count_kind(const struct branches_view *v, enum graph_kind kind);
/* Adds "5 namespaces, 3 snapshots, 1 merge". */
void branches_summary(const struct branches_view *v, struct strbuf *out);

/* ---- the picture ---- */

/* Columns and heights, in pixels. */
enum {
    MARGIN = 32,
    FIRST_ROW = 148,
    TREE_X = 46,      /* the points of the first level */
    TREE_DEPTH = 240, /* how wide the levels are together, at most */
    STEP = 24,
    NAMES_END = 500,
    MERGES_X = 508,
    MERGES_END = 580,
    BAR_X = 600,
    BAR_WIDTH = 260,
    ALONE_END = 950,
    SHARED_END = 1040,
    MADE_END = BRANCHES_WIDTH - MARGIN,
    NAME_SIZE = 13,
};

/* Draws the arrows of merges. Those into the same namespace have one line in common. */
void branches_merges(const struct branches_view *v, struct svg *s);
