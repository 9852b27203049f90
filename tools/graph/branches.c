// SPDX-License-Identifier: Apache-2.0
/* branches: see the header. The picture. */
#include "branches.h"

#include "branches_parts.h"
#include "svg.h"
#include "text_fit.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- places ---- */

/* A part of a bar. What is not 0 can be seen. */
static int bar_width(const struct branches_view *v, uint64_t bytes)
{
    int width = (int)((double)bytes / (double)v->scale * (BAR_WIDTH - 4));
    return bytes > 0 && width < 2 ? 2 : width;
}

static int level_x(const struct branches_view *v, int depth)
{
    int levels = v->f->depth > 0 ? v->f->depth : 1;
    int step = TREE_DEPTH / levels;
    return step >= STEP ? TREE_X + depth * STEP : TREE_X + (int)((long)depth * TREE_DEPTH / levels);
}

void branches_place(const struct branches_view *v, size_t row, struct branches_place *ret)
{
    int x = level_x(v, v->f->rows[row].depth);
    *ret = (struct branches_place){
        .top = FIRST_ROW + (int)row * BRANCHES_ROW,
        .node_x = x,
        .name_x = x + 14,
        .name_room = NAMES_END - x - 14,
        .bar_x = BAR_X,
        .alone_width = bar_width(v, row_alone(v, row)),
        .shared_width = bar_width(v, row_shared(v, row)),
    };
}

/* ---- parts of the picture ---- */

static const char *class_of(const struct family_row *row)
{
    static const char *const classes[GRAPH_KINDS] = {"node", "snap", "kept", "gone"};
    return row->several > 0 ? "more" : classes[row->kind];
}

/* "main@v1: snapshot, made by change 17 at …; alone 3 MiB, shared 1 GiB" */
static void add_tip(const struct branches_view *v, size_t row, struct strbuf *out)
{
    const struct graph_node *n = row_node(v, row);
    char alone[UNIT_TEXT], shared[UNIT_TEXT];
    unit_bytes(row_alone(v, row), alone);
    unit_bytes(row_shared(v, row), shared);
    if (!n) {
        strbuf_addf(out, "%zu more of this kind (%s), which hold %s alone", v->f->rows[row].several,
                    graph_kind_word(v->f->rows[row].kind), alone);
        return;
    }
    strbuf_addf(out, "%s: %s", n->name, graph_kind_word(n->kind));
    if (n->seq > 0) {
        strbuf_addf(out, ", made by change %llu", U(n->seq));
    }
    if (n->time) {
        strbuf_addf(out, ", %s", n->time);
    }
    if (n->alone != GRAPH_UNKNOWN) {
        strbuf_addf(out, "; holds %s alone", alone);
    }
    if (n->shared != GRAPH_UNKNOWN) {
        strbuf_addf(out, ", shares %s", shared);
    }
}

static void draw_link(const struct branches_view *v, size_t row, struct svg *s)
{
    struct branches_place here, up;
    size_t parent = v->f->rows[row].parent;
    if (parent == GRAPH_NONE) {
        return;
    }
    branches_place(v, row, &here);
    branches_place(v, parent, &up);
    int y = here.top + BRANCHES_ROW / 2, from = up.top + BRANCHES_ROW / 2;
    int bend = here.node_x - up.node_x < 8 ? here.node_x - up.node_x : 8;
    svg_path(s, "link", NULL, "M%d %dV%dq0 %d %d %dH%d", up.node_x, from, y - bend, bend, bend,
             bend, here.node_x);
}

static void draw_bar(const struct branches_view *v, size_t row, struct svg *s)
{
    struct branches_place p;
    CLEANUP_STRBUF struct strbuf tip = STRBUF_INIT;
    branches_place(v, row, &p);
    add_tip(v, row, &tip);
    if (p.alone_width > 0) {
        svg_rect(s, p.bar_x, p.top + 8, p.alone_width, 12, "alone", tip.s);
    }
    if (p.shared_width > 0) {
        svg_rect(s, p.bar_x + p.alone_width, p.top + 8, p.shared_width, 12, "shared", tip.s);
    }
}

static void draw_number(struct svg *s, int x, int y, uint64_t bytes)
{
    char text[UNIT_TEXT];
    if (bytes == GRAPH_UNKNOWN) {
        svg_text(s, x, y, "dim", "–", NULL);
        return;
    }
    unit_bytes(bytes, text);
    svg_text(s, x, y, bytes > 0 ? "num" : "dim", text, NULL);
}

static void draw_numbers(const struct branches_view *v, size_t row, int y, struct svg *s)
{
    const struct graph_node *n = row_node(v, row);
    char date[11] = "";
    draw_number(s, ALONE_END, y, n ? n->alone : row_alone(v, row));
    draw_number(s, SHARED_END, y, n ? n->shared : GRAPH_UNKNOWN);
    if (n && n->time) {
        snprintf(date, sizeof(date), "%s", n->time);
    }
    svg_text(s, MADE_END, y, "dim", *date ? date : "–", NULL);
}

static void draw_row(const struct branches_view *v, size_t row, struct svg *s)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT, fit = STRBUF_INIT, tip = STRBUF_INIT;
    const struct family_row *r = &v->f->rows[row];
    struct branches_place p;
    branches_place(v, row, &p);
    row_name(v, row, &name);
    text_fit(&fit, name.s, NAME_SIZE, p.name_room);
    add_tip(v, row, &tip);
    int middle = p.top + BRANCHES_ROW / 2;
    svg_circle(s, p.node_x, middle, r->kind == GRAPH_NAMESPACE && r->several == 0 ? 5 : 4,
               class_of(r), tip.s);
    svg_text(s, p.name_x, middle + 5,
             r->several > 0 || r->kind == GRAPH_GONE || r->kind == GRAPH_TRASH ? "faint" : "name",
             fit.s, tip.s);
    draw_bar(v, row, s);
    draw_numbers(v, row, middle + 5, s);
}

/* ---- around it ---- */

static void add_desc(const struct branches_view *v, struct strbuf *out)
{
    branches_summary(v, out);
    strbuf_adds(out, ". Each line is a namespace, a snapshot, or what is in the trash, below what "
                     "it was made of. Arrows are merges. A bar says how many bytes it holds alone, "
                     "which dropping it gives back, and how many it shares with others.");
    if (v->f->hidden > 0) {
        strbuf_addf(out,
                    " %zu share lines that say so, since they have no branches and hold least "
                    "alone; tally graph branches --all draws them all.",
                    v->f->hidden);
    }
}

static int draw_key(struct svg *s, int x, const char *class, bool round, const char *text)
{
    if (round) {
        svg_circle(s, x + 5, 92, 4, class, NULL);
    } else {
        svg_rect(s, x, 87, 14, 10, class, NULL);
    }
    svg_text(s, x + (round ? 15 : 20), 96, "small", text, NULL);
    return x + (round ? 15 : 20) + text_width(text, 12) + 18;
}

static void draw_keys(const struct branches_view *v, struct svg *s)
{
    int x = MARGIN + 8;
    x = draw_key(s, x, "node", true, "namespace");
    x = count_kind(v, GRAPH_SNAPSHOT) ? draw_key(s, x, "snap", true, "snapshot") : x;
    x = count_kind(v, GRAPH_TRASH) ? draw_key(s, x, "kept", true, "in the trash") : x;
    x = count_kind(v, GRAPH_GONE) ? draw_key(s, x, "gone", true, "gone") : x;
    if (count_merges(v) > 0) {
        svg_path(s, "merge", NULL, "M%d 92h18", x + 6);
        svg_path(s, "tip", NULL, "M%d 92l8 -4v8z", x);
        svg_text(s, x + 30, 96, "small", "merged into", NULL);
    }
    x = draw_key(s, BAR_X, "alone", false, "held alone");
    draw_key(s, x, "shared", false, "shared with others");
}

static void draw_heads(const struct branches_view *v, struct svg *s)
{
    int y = FIRST_ROW - 10;
    char scale[UNIT_TEXT];
    CLEANUP_STRBUF struct strbuf to = STRBUF_INIT;
    unit_bytes(v->scale, scale);
    strbuf_addf(&to, "0 to %s", scale);
    svg_text(s, MARGIN + 8, y, "label", "NAME", NULL);
    svg_text(s, BAR_X, y, "label", to.s, NULL);
    svg_text(s, ALONE_END, y, "right", "ALONE", NULL);
    svg_text(s, SHARED_END, y, "right", "SHARED", NULL);
    svg_text(s, MADE_END, y, "right", "MADE", NULL);
    svg_rect(s, MARGIN, FIRST_ROW - 1, BRANCHES_WIDTH - 2 * MARGIN, 1, "rule", NULL);
}

static void add_title(const struct branches_view *v, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    strbuf_adds(&clean, "Branches");
    if (v->store) {
        strbuf_adds(&clean, " of ");
        text_clean(&clean, v->store);
    }
    text_fit(out, clean.s, 20, BRANCHES_WIDTH - 2 * MARGIN - 8);
}

void branches_svg(const struct branches_view *v, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf title = STRBUF_INIT, desc = STRBUF_INIT, summary = STRBUF_INIT;
    struct svg s;
    add_title(v, &title);
    add_desc(v, &desc);
    branches_summary(v, &summary);
    svg_begin(&s, out, BRANCHES_WIDTH, FIRST_ROW + (int)v->f->count * BRANCHES_ROW + MARGIN,
              title.s, desc.s);
    svg_text(&s, MARGIN + 8, 46, "head", title.s, NULL);
    svg_text(&s, MARGIN + 8, 68, "small", summary.s, NULL);
    draw_keys(v, &s);
    draw_heads(v, &s);
    for (size_t i = 1; i < v->f->count; i += 2) {
        svg_rect(&s, MARGIN, FIRST_ROW + (int)i * BRANCHES_ROW, BRANCHES_WIDTH - 2 * MARGIN,
                 BRANCHES_ROW, "stripe", NULL);
    }
    for (size_t i = 0; i < v->f->count; i++) {
        draw_link(v, i, &s);
    }
    branches_merges(v, &s);
    for (size_t i = 0; i < v->f->count; i++) {
        draw_row(v, i, &s);
    }
    svg_end(&s);
    out->failed |= title.failed || desc.failed || summary.failed;
}
