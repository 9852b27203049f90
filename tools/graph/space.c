// SPDX-License-Identifier: Apache-2.0
/* space: see the header. */
#include "space.h"

#include "array.h"
#include "svg.h"
#include "text_fit.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MARGIN = 32,
    LEFT = MARGIN + 8,
    DISK_Y = 92,
    FIRST_ROW = 208,
    NAME_WIDTH = 250,
    BAR_X = LEFT + NAME_WIDTH + 16,
    BAR_WIDTH = 400,
    ALONE_END = 840,
    SHARED_END = SPACE_WIDTH - MARGIN - 8,
    BETWEEN = 40, /* between the two parts of the list */
};

/* ---- rows ---- */

static int add(struct space_rows *r, const struct space_row *row)
{
    if (ARRAY_RESERVE(r->v, r->room, r->count + 1) < 0) {
        return -ENOMEM;
    }
    r->v[r->count++] = *row;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct space_row *x = a, *y = b;
    if (x->alone != y->alone) {
        return x->alone < y->alone ? 1 : -1;
    }
    if (x->shared != y->shared) {
        return x->shared < y->shared ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

static uint64_t known(uint64_t bytes)
{
    return bytes == GRAPH_UNKNOWN ? 0 : bytes;
}

static int add_namespaces(const struct graph *g, struct space_rows *r)
{
    int err = 0;
    for (size_t i = 0; i < g->count && err == 0; i++) {
        const struct graph_node *n = &g->nodes[i];
        struct space_row row = {
            .name = n->name, .alone = known(n->alone), .shared = known(n->shared)};
        err = n->kind == GRAPH_NAMESPACE ? add(r, &row) : 0;
    }
    if (r->count > 1) {
        qsort(r->v, r->count, sizeof(*r->v), compare);
    }
    return err;
}

/* The last ones share a row if there are too many. */
static void gather(struct space_rows *r)
{
    struct space_row rest = {.name = "more namespaces"};
    if (r->count <= SPACE_ROWS_MOST) {
        return;
    }
    for (size_t i = SPACE_ROWS_MOST - 1; i < r->count; i++) {
        rest.several++;
        rest.alone += r->v[i].alone;
    }
    r->count = SPACE_ROWS_MOST;
    r->v[r->count - 1] = rest;
}

static int add_store(const struct graph *g, struct space_rows *r)
{
    const struct space_row rows[] = {
        {.name = "Trash", .alone = g->trash, .part = SPACE_KEPT},
        {.name = "Snapshots", .alone = g->snapshots, .part = SPACE_KEPT},
        {.name = "What branches were made of", .alone = g->bases, .part = SPACE_KEPT},
        {.name = "Dead bytes in packs", .alone = g->packs_dead, .part = SPACE_DEAD},
        {.name = "Metadata", .alone = g->metadata, .part = SPACE_META},
    };
    int err = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && err == 0; i++) {
        err = add(r, &rows[i]);
    }
    return err;
}

int space_rows_of(const struct graph *g, bool all, struct space_rows *ret)
{
    *ret = (struct space_rows){.scale = 1};
    int err = add_namespaces(g, ret);
    if (err == 0 && !all) {
        gather(ret);
    }
    ret->namespaces = ret->count;
    err = err < 0 ? err : add_store(g, ret);
    for (size_t i = 0; i < ret->count; i++) {
        uint64_t bytes = ret->v[i].alone + ret->v[i].shared;
        ret->scale = bytes > ret->scale ? bytes : ret->scale;
    }
    if (err < 0) {
        space_rows_release(ret);
    }
    return err;
}

void space_rows_release(struct space_rows *r)
{
    free(r->v);
    *r = (struct space_rows){.v = NULL};
}

static void add_name(const struct space_row *row, struct strbuf *out)
{
    if (row->several > 0) {
        strbuf_addf(out, "and %zu ", row->several);
    }
    text_clean(out, row->name);
}

/* "main holds 1.2 GiB alone and shares 3 GiB" */
static void add_tip(const struct space_rows *r, size_t i, struct strbuf *out)
{
    char alone[UNIT_TEXT], shared[UNIT_TEXT];
    unit_bytes(r->v[i].alone, alone);
    unit_bytes(r->v[i].shared, shared);
    add_name(&r->v[i], out);
    if (i < r->namespaces && r->v[i].several == 0) {
        strbuf_addf(out, ": %s alone, %s shared", alone, shared);
    } else {
        strbuf_addf(out, ": %s", alone);
    }
}

/* ---- the picture ---- */

static int width_of(uint64_t bytes, uint64_t of, int width)
{
    int w = of > 0 ? (int)((double)bytes / (double)of * width) : 0;
    w = w > width ? width : w;
    return bytes > 0 && w < 2 ? 2 : w;
}

static int row_top(const struct space_rows *r, size_t i)
{
    return FIRST_ROW + (int)i * SPACE_ROW + (i >= r->namespaces ? BETWEEN : 0);
}

static void draw_number(struct svg *s, int x, int y, uint64_t bytes)
{
    char text[UNIT_TEXT];
    unit_bytes(bytes, text);
    svg_text(s, x, y, bytes > 0 ? "num" : "dim", text, NULL);
}

static void draw_row(const struct space_rows *r, size_t i, struct svg *s)
{
    static const char *const classes[] = {[SPACE_ALONE] = "alone",
                                          [SPACE_SHARED] = "shared",
                                          [SPACE_KEPT] = "kepts",
                                          [SPACE_DEAD] = "dead",
                                          [SPACE_META] = "meta"};
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT, fit = STRBUF_INIT, tip = STRBUF_INIT;
    const struct space_row *row = &r->v[i];
    int y = row_top(r, i), alone = width_of(row->alone, r->scale, BAR_WIDTH - 4);
    add_name(row, &name);
    text_fit(&fit, name.s, 13, NAME_WIDTH);
    add_tip(r, i, &tip);
    svg_text(s, LEFT, y + 17, row->several > 0 ? "faint" : "name", fit.s, tip.s);
    svg_rect(s, BAR_X, y + 6, BAR_WIDTH, 14, "free", NULL);
    if (alone > 0) {
        svg_rect(s, BAR_X, y + 6, alone, 14, classes[row->part], tip.s);
    }
    if (row->shared > 0) {
        svg_rect(s, BAR_X + alone, y + 6, width_of(row->shared, r->scale, BAR_WIDTH - 4), 14,
                 "shared", tip.s);
    }
    draw_number(s, ALONE_END, y + 17, row->alone);
    if (i < r->namespaces && row->several == 0) {
        draw_number(s, SHARED_END, y + 17, row->shared);
    }
}

static void draw_disk(const struct graph *g, struct svg *s)
{
    const int width = SPACE_WIDTH - 2 * LEFT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char used[UNIT_TEXT], free_text[UNIT_TEXT], all[UNIT_TEXT];
    uint64_t taken = g->disk > g->disk_free ? g->disk - g->disk_free : 0;
    unit_bytes(taken, used);
    unit_bytes(g->disk_free, free_text);
    unit_bytes(g->disk, all);
    strbuf_addf(&text,
                "The disk of the store: %s of %s are in use, by the store and by others; "
                "%s are free",
                used, all, free_text);
    svg_rect(s, LEFT, DISK_Y, width, 18, "free", text.s);
    svg_rect(s, LEFT, DISK_Y, width_of(taken, g->disk, width), 18, "other", text.s);
    svg_text(s, LEFT, DISK_Y + 36, "small", text.s, NULL);
    s->out->failed |= text.failed;
}

static void add_desc(const struct space_rows *r, struct strbuf *out)
{
    strbuf_addf(out,
                "%zu namespaces have a bar each: how many bytes only that namespace holds, "
                "which dropping it gives back, and how many it shares with others. Bytes that "
                "are shared are in the bar of each that has them. Below are the parts of the "
                "store that are of no namespace. ",
                r->namespaces);
    if (r->namespaces > 0 && r->v[r->namespaces - 1].several > 0) {
        strbuf_addf(out,
                    "%zu namespaces that hold least share one bar; tally graph space --all "
                    "draws them all.",
                    r->v[r->namespaces - 1].several);
    }
}

static void draw_heads(const struct space_rows *r, struct svg *s)
{
    CLEANUP_STRBUF struct strbuf to = STRBUF_INIT;
    char scale[UNIT_TEXT];
    int y = FIRST_ROW - 10;
    unit_bytes(r->scale, scale);
    strbuf_addf(&to, "0 to %s", scale);
    svg_rect(s, LEFT, y - 44, 14, 10, "alone", NULL);
    svg_text(s, LEFT + 20, y - 35, "small", "held alone", NULL);
    svg_rect(s, LEFT + 110, y - 44, 14, 10, "shared", NULL);
    svg_text(s, LEFT + 130, y - 35, "small", "shared with others", NULL);
    svg_text(s, LEFT, y, "label", "NAMESPACE", NULL);
    svg_text(s, BAR_X, y, "label", to.s, NULL);
    svg_text(s, ALONE_END, y, "right", "ALONE", NULL);
    svg_text(s, SHARED_END, y, "right", "SHARED", NULL);
    svg_rect(s, MARGIN, y + 7, SPACE_WIDTH - 2 * MARGIN, 1, "rule", NULL);
    y = row_top(r, r->namespaces) - 10;
    svg_text(s, LEFT, y, "label", "KEPT, AND OF NO NAMESPACE", NULL);
    svg_rect(s, MARGIN, y + 7, SPACE_WIDTH - 2 * MARGIN, 1, "rule", NULL);
    s->out->failed |= to.failed;
}

void space_svg(const struct graph *g, const struct space_rows *r, const char *store,
               struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf title = STRBUF_INIT, fit = STRBUF_INIT, desc = STRBUF_INIT;
    struct svg s;
    strbuf_addf(&title, "Space%s", store ? " of " : "");
    text_clean(&title, store ? store : "");
    text_fit(&fit, title.s, 20, SPACE_WIDTH - 2 * LEFT);
    add_desc(r, &desc);
    svg_begin(&s, out, SPACE_WIDTH, row_top(r, r->count) + MARGIN, fit.s, desc.s);
    svg_text(&s, LEFT, 46, "head", fit.s, NULL);
    svg_text(&s, LEFT, 68, "small", "What namespaces hold alone and share, and what else is stored",
             NULL);
    draw_disk(g, &s);
    draw_heads(r, &s);
    for (size_t i = 0; i < r->count; i++) {
        draw_row(r, i, &s);
    }
    svg_end(&s);
    out->failed |= title.failed || fit.failed || desc.failed;
}

/* ---- for a terminal ---- */

static void add_bar(const char *piece, int cells, struct strbuf *out)
{
    for (int i = 0; i < cells; i++) {
        strbuf_adds(out, piece);
    }
}

static void add_text_row(const struct space_rows *r, size_t i, int columns, struct strbuf *out)
{
    enum { CELLS = 28 };
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    const struct space_row *row = &r->v[i];
    char alone_text[UNIT_TEXT], shared_text[UNIT_TEXT] = "";
    int alone = (int)((double)row->alone / (double)r->scale * CELLS);
    int shared = (int)((double)(row->alone + row->shared) / (double)r->scale * CELLS) - alone;
    add_name(row, &name);
    unit_bytes(row->alone, alone_text);
    if (i < r->namespaces && row->several == 0) {
        unit_bytes(row->shared, shared_text);
    }
    strbuf_addf(out, "%s%*s ", name.s, columns - text_columns(name.s), "");
    add_bar("█", alone, out);
    add_bar("░", shared, out);
    strbuf_addf(out, "%*s %10s %10s\n", CELLS - alone - shared, "", alone_text, shared_text);
    out->failed |= name.failed;
}

void space_text(const struct graph *g, const struct space_rows *r, struct strbuf *out)
{
    char disk[UNIT_TEXT], free_text[UNIT_TEXT];
    int columns = 27;
    for (size_t i = 0; i < r->count; i++) {
        CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
        add_name(&r->v[i], &name);
        int wide = text_columns(name.s);
        columns = wide > columns && wide <= 40 ? wide : columns;
    }
    strbuf_addf(out, "%-*s %28s %10s %10s\n", columns, "NAMESPACE", "", "ALONE", "SHARED");
    for (size_t i = 0; i < r->count; i++) {
        if (i == r->namespaces) {
            strbuf_adds(out, "\n");
        }
        add_text_row(r, i, columns, out);
    }
    unit_bytes(g->disk, disk);
    unit_bytes(g->disk_free, free_text);
    strbuf_addf(out, "\n%s of the disk's %s are free\n", free_text, disk);
}
