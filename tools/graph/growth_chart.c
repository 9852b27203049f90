// SPDX-License-Identifier: Apache-2.0
/* growth_chart: see the header. The drawings. */
#include "growth_chart.h"

#include "graph_data.h"
#include "svg.h"
#include "text_fit.h"
#include "units.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define U(x) ((unsigned long long)(x))

enum {
    MARGIN = 32,
    LEFT = 128, /* of the diagrams; numbers of the scale are left of it */
    RIGHT = GROWTH_WIDTH - 150,
    FIRST = 112, /* the top of the first panel */
    PANEL = 96,
    PITCH = PANEL + 44,
    QUARTERS = 4,
};

static const struct figure {
    const char *name, *what;
    int bytes;
} figures[GROWTH_FIGURES] = {
    {"Logical", "bytes of all namespaces, each as if it were alone", 1},
    {"Stored", "bytes of distinct contents, each stored once", 1},
    {"Disk free", "bytes that the disk of the store has left", 1},
    {"Objects", "distinct contents", 0},
    {"Inodes", "files and directories of all namespaces", 0},
    {"Namespaces", "namespaces of the root", 0},
};

/* ---- numbers ---- */

uint64_t growth_scale(uint64_t most, int bytes)
{
    uint64_t unit = 1;
    const uint64_t step = bytes ? 1024 : 1000;
    static const uint64_t tops[] = {1, 2, 4, 8, 12, 20, 40, 60, 80, 100, 200, 400, 600, 800};
    while (most / unit >= step && unit <= UINT64_MAX / step / step) {
        unit *= step;
    }
    for (size_t i = 0; i < sizeof(tops) / sizeof(*tops); i++) {
        if (most <= tops[i] * unit && tops[i] * unit >= QUARTERS) {
            return tops[i] * unit;
        }
    }
    return most / unit < step ? step * unit : most;
}

static void number_text(const struct figure *f, uint64_t n, char out[UNIT_TEXT])
{
    if (n == GROWTH_UNKNOWN) {
        snprintf(out, UNIT_TEXT, "–");
    } else if (f->bytes) {
        unit_bytes(n, out);
    } else if (n < 10000) {
        snprintf(out, UNIT_TEXT, "%llu", U(n));
    } else {
        static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
        double value = (double)n;
        size_t unit = 0;
        for (; value >= 999.5; unit++) {
            value /= 1000;
        }
        snprintf(out, UNIT_TEXT, "%.3g %s", value, units[unit]);
    }
}

static uint64_t most_of(const struct growth_points *p, size_t figure)
{
    uint64_t most = 0;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t n = p->v[i].v[figure];
        most = n != GROWTH_UNKNOWN && n > most ? n : most;
    }
    return most;
}

/* The last sample's figure. */
static uint64_t last_of(const struct growth_points *p, size_t figure)
{
    return p->count > 0 ? p->v[p->count - 1].v[figure] : GROWTH_UNKNOWN;
}

static void date_text(int64_t time_ns, int64_t span_ns, char out[32])
{
    time_t seconds = (time_t)(time_ns / SECOND);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) ||
        strftime(out, 32, span_ns > 3 * 86400 * SECOND ? "%Y-%m-%d" : "%m-%d %H:%M", &tm) == 0) {
        out[0] = '\0';
    }
}

/* ---- the picture ---- */

static int64_t span_of(const struct growth_points *p)
{
    int64_t span = p->count > 0 ? p->v[p->count - 1].time - p->v[0].time : 0;
    return span > 0 ? span : 1;
}

static int time_x(const struct growth_points *p, size_t i)
{
    double part = (double)(p->v[i].time - p->v[0].time) / (double)span_of(p);
    return p->count == 1 ? RIGHT : LEFT + (int)(part * (RIGHT - LEFT));
}

static int value_y(uint64_t value, uint64_t scale, int top)
{
    return top + PANEL - (int)((double)value / (double)scale * PANEL);
}

/* Adds the points of the curve as "Mx yLx y…"; a sample whose figure is not known is passed over.
 * Returns how many there are; *ret_first and *ret_last are their places from the left. */
static size_t add_curve(const struct growth_points *p, size_t figure, uint64_t scale, int top,
                        struct strbuf *out, int *ret_first, int *ret_last)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t value = p->v[i].v[figure];
        if (value == GROWTH_UNKNOWN) {
            continue;
        }
        *ret_last = time_x(p, i);
        *ret_first = n == 0 ? *ret_last : *ret_first;
        strbuf_addf(out, "%c%d %d", n == 0 ? 'M' : 'L', *ret_last, value_y(value, scale, top));
        n++;
    }
    return n;
}

static void draw_curve(const struct growth_points *p, size_t figure, uint64_t scale, int top,
                       struct svg *s)
{
    CLEANUP_STRBUF struct strbuf d = STRBUF_INIT, tip = STRBUF_INIT;
    int first = 0, last = 0;
    char now[UNIT_TEXT];
    size_t n = add_curve(p, figure, scale, top, &d, &first, &last);
    number_text(&figures[figure], last_of(p, figure), now);
    strbuf_addf(&tip, "%s: %s, %s at last", figures[figure].name, figures[figure].what, now);
    if (n > 1) {
        svg_path(s, figure % 2 ? "area2" : "area", tip.s, "%sV%dH%dZ", d.s, top + PANEL, first);
        svg_path(s, figure % 2 ? "curve2" : "curve", tip.s, "%s", d.s);
    }
    if (n > 0 && last_of(p, figure) != GROWTH_UNKNOWN) {
        svg_circle(s, last, value_y(last_of(p, figure), scale, top), 4,
                   figure % 2 ? "snap" : "node", tip.s);
    }
    s->out->failed |= d.failed || tip.failed;
}

static void draw_panel(const struct growth_points *p, size_t figure, int top, struct svg *s)
{
    const struct figure *f = &figures[figure];
    uint64_t scale = growth_scale(most_of(p, figure), f->bytes);
    char text[UNIT_TEXT];
    svg_text(s, LEFT, top - 10, "name", f->name, NULL);
    svg_text(s, LEFT + text_width(f->name, 13) + 10, top - 10, "small", f->what, NULL);
    for (int i = 0; i <= QUARTERS; i++) {
        int y = top + PANEL - i * PANEL / QUARTERS;
        svg_path(s, "grid", NULL, "M%d %dH%d", LEFT, y, RIGHT);
        if (i % 2 == 0) {
            number_text(f, scale / QUARTERS * (uint64_t)i, text);
            svg_text(s, LEFT - 10, y + 4, "right", text, NULL);
        }
    }
    draw_curve(p, figure, scale, top, s);
    number_text(f, last_of(p, figure), text);
    svg_text(s, GROWTH_WIDTH - MARGIN - 8, top + PANEL / 2 + 6, "big", text, NULL);
}

static void draw_times(const struct growth_points *p, int y, struct svg *s)
{
    enum { TIMES = 5 };
    char text[32];
    for (int i = 0; p->count > 1 && i < TIMES; i++) {
        int64_t span = span_of(p), time = p->v[0].time + span / (TIMES - 1) * i;
        date_text(time, span, text);
        svg_text(s, LEFT + (RIGHT - LEFT) / (TIMES - 1) * i, y, "middle", text, NULL);
    }
}

/* "312 samples from 2026-01-31 to 2026-11-27 (UTC)" */
static void add_summary(const struct growth_points *p, struct strbuf *out)
{
    char from[32], to[32];
    if (p->count == 0) {
        strbuf_adds(out, "The store has taken no sample yet");
        return;
    }
    date_text(p->v[0].time, span_of(p), from);
    date_text(p->v[p->count - 1].time, span_of(p), to);
    if (p->count == 1) {
        strbuf_addf(out, "One sample, %s (UTC)", to);
    } else {
        strbuf_addf(out, "%zu samples from %s to %s (UTC)", p->count, from, to);
    }
}

static void add_title(const char *store, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    strbuf_addf(&clean, "Growth%s", store ? " of " : "");
    text_clean(&clean, store ? store : "");
    text_fit(out, clean.s, 20, GROWTH_WIDTH - 2 * MARGIN - 8);
    out->failed |= clean.failed;
}

void growth_svg(const struct growth_points *p, const char *store, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf title = STRBUF_INIT, summary = STRBUF_INIT, desc = STRBUF_INIT;
    struct svg s;
    add_title(store, &title);
    add_summary(p, &summary);
    strbuf_addf(&desc,
                "%s. Each panel shows one figure over time, with a scale of its own; the "
                "number on the right is that of the last sample.",
                summary.s);
    int end = FIRST + (GROWTH_FIGURES - 1) * PITCH + PANEL;
    svg_begin(&s, out, GROWTH_WIDTH, end + 56, title.s, desc.s);
    svg_text(&s, MARGIN + 8, 46, "head", title.s, NULL);
    svg_text(&s, MARGIN + 8, 68, "small", summary.s, NULL);
    for (size_t i = 0; i < GROWTH_FIGURES; i++) {
        draw_panel(p, i, FIRST + (int)i * PITCH, &s);
    }
    draw_times(p, end + 24, &s);
    svg_end(&s);
    out->failed |= title.failed || summary.failed || desc.failed;
}

/* ---- for a terminal ---- */

/* Adds a line of blocks: in each column the last sample of its part of the time. */
static void add_sparkline(const struct growth_points *p, size_t figure, struct strbuf *out)
{
    enum { COLUMNS = 48 };
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint64_t most = most_of(p, figure), value = GROWTH_UNKNOWN;
    size_t at = 0;
    for (int column = 0; column < COLUMNS; column++) {
        int64_t end = span_of(p) / COLUMNS * (column + 1);
        for (; at < p->count && (column == COLUMNS - 1 || p->v[at].time - p->v[0].time <= end);
             at++) {
            value = p->v[at].v[figure];
        }
        if (value == GROWTH_UNKNOWN) {
            strbuf_adds(out, " ");
        } else {
            strbuf_adds(out, blocks[most > 0 ? (int)((double)value / (double)most * 7 + 0.5) : 0]);
        }
    }
}

void growth_text(const struct growth_points *p, struct strbuf *out)
{
    char first[UNIT_TEXT], last[UNIT_TEXT];
    for (size_t i = 0; p->count > 0 && i < GROWTH_FIGURES; i++) {
        number_text(&figures[i], p->v[0].v[i], first);
        number_text(&figures[i], last_of(p, i), last);
        strbuf_addf(out, "%-11s %*s%s ", figures[i].name, 9 - text_columns(first), "", first);
        add_sparkline(p, i, out);
        strbuf_addf(out, " %*s%s\n", 9 - text_columns(last), "", last);
    }
    add_summary(p, out);
    strbuf_adds(out, "\n");
}
