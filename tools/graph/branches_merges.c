// SPDX-License-Identifier: Apache-2.0
/* branches_merges: the arrows of the picture of branches.h. All that came into one row come by one
 * vertical line, its lane. */
#include "branches_parts.h"
#include "lanes.h"
#include "text_fit.h"

#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

enum { LANE = 9, FIRST_LANE = MERGES_X + 16, LANES = (MERGES_END - FIRST_LANE) / LANE + 1 };

static int middle_of(size_t row)
{
    return FIRST_ROW + (int)row * BRANCHES_ROW + BRANCHES_ROW / 2;
}

/* A dotted line from the name of a row to the arrows. */
static void draw_lead(const struct branches_view *v, size_t row, struct svg *s)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    struct branches_place p;
    branches_place(v, row, &p);
    row_name(v, row, &name);
    int from = p.name_x + text_width(name.s, NAME_SIZE) + 8;
    if (from < MERGES_X - 8) {
        svg_path(s, "lead", NULL, "M%d %dH%d", from, p.top + BRANCHES_ROW / 2, MERGES_X - 4);
    }
}

/* The part of a merge that is its own: from its row to the lane, and along it to the other row. */
static void draw_merge(const struct branches_view *v, size_t edge, int lane, struct svg *s)
{
    CLEANUP_STRBUF struct strbuf tip = STRBUF_INIT;
    const struct graph_edge *e = &v->g->edges[edge];
    size_t from, to;
    if (!merge_rows(v, edge, &from, &to)) {
        return;
    }
    int x = FIRST_LANE + lane * LANE, y = middle_of(from), end = middle_of(to);
    int turn = from > to ? -6 : 6;
    strbuf_addf(&tip, "%s was %s into %s by change %llu%s", v->g->nodes[e->from].name,
                e->commit ? "committed" : "merged", v->g->nodes[e->to].name, U(e->seq),
                e->undone ? ", which was undone" : "");
    svg_path(s, e->undone ? "undone" : "merge", tip.s, "M%d %dH%dq6 0 6 %dV%dq0 %d -6 %dH%d",
             MERGES_X, y, x - 6, turn, end - turn, turn, turn, MERGES_X + 6);
    svg_path(s, e->undone ? "more" : "tip", NULL, "M%d %dl8 -4v8z", MERGES_X, end);
    svg_circle(s, MERGES_X, y, 2, e->undone ? "more" : "tip", NULL);
}

/* Makes a line for each row into which something was merged. Returns how many; lines[] and ends[]
 * have room for all rows. */
static size_t collect(const struct branches_view *v, struct lane *lines, size_t *line_of,
                      bool *ends)
{
    size_t count = 0, from, to;
    for (size_t i = 0; i < v->f->count; i++) {
        line_of[i] = GRAPH_NONE;
    }
    for (size_t i = 0; i < v->g->edge_count; i++) {
        if (!merge_rows(v, i, &from, &to)) {
            continue;
        }
        if (line_of[to] == GRAPH_NONE) {
            line_of[to] = count;
            lines[count++] = (struct lane){.from = to, .to = to, .of = to};
        }
        struct lane *l = &lines[line_of[to]];
        l->from = from < l->from ? from : l->from;
        l->to = from > l->to ? from : l->to;
        ends[from] = ends[to] = true;
    }
    return count;
}

static void draw_all(const struct branches_view *v, struct svg *s, struct lane *lines,
                     size_t *line_of, bool *ends)
{
    size_t count = collect(v, lines, line_of, ends), from, to;
    lanes_assign(lines, count, LANES);
    for (size_t i = 0; i < count; i++) {
        line_of[lines[i].of] = i;
    }
    for (size_t i = 0; i < v->f->count; i++) {
        if (ends[i]) {
            draw_lead(v, i, s);
        }
    }
    for (size_t i = 0; i < v->g->edge_count; i++) {
        if (merge_rows(v, i, &from, &to)) {
            draw_merge(v, i, lines[line_of[to]].number, s);
        }
    }
}

void branches_merges(const struct branches_view *v, struct svg *s)
{
    size_t n = v->f->count + 1;
    struct lane *lines = calloc(n, sizeof(*lines));
    size_t *line_of = calloc(n, sizeof(*line_of));
    bool *ends = calloc(n, sizeof(*ends));
    if (lines && line_of && ends) {
        draw_all(v, s, lines, line_of, ends);
    } else {
        s->out->failed = true;
    }
    free(lines);
    free(line_of);
    free(ends);
}
