// SPDX-License-Identifier: Apache-2.0
/* branches_text: the tree of branches.h for a terminal. */
#include "branches_parts.h"
#include "text_fit.h"
#include "units.h"

/* The lines of the tree before the name: those of the levels above, and its own. */
static void add_lines(const struct family *f, size_t row, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf before = STRBUF_INIT;
    const struct family_row *r = &f->rows[row];
    if (r->parent == GRAPH_NONE) {
        return;
    }
    int left = 40; /* levels; of a deeper tree those next to the row are drawn */
    for (size_t up = r->parent; f->rows[up].parent != GRAPH_NONE && left-- > 0;
         up = f->rows[up].parent) {
        const char *line = f->rows[up].last ? "  " : "│ ";
        struct strbuf joined = STRBUF_INIT;
        strbuf_addf(&joined, "%s%s", line, before.s);
        out->failed |= joined.failed;
        strbuf_release(&before);
        before = joined;
    }
    strbuf_addf(out, "%s%s", before.s, r->last ? "╰─" : "├─");
}

static void add_number(struct strbuf *out, uint64_t bytes)
{
    char text[UNIT_TEXT] = "–";
    if (bytes != GRAPH_UNKNOWN) {
        unit_bytes(bytes, text);
    }
    strbuf_addf(out, " %*s", 10 + (bytes == GRAPH_UNKNOWN ? 2 : 0), text);
}

static void add_text_row(const struct branches_view *v, size_t row, int columns, struct strbuf *out)
{
    static const char *const marks[GRAPH_KINDS] = {"● ", "○ ", "◌ ", "× "};
    const struct graph_node *n = row_node(v, row);
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    add_lines(v->f, row, &name);
    strbuf_adds(&name, n ? marks[n->kind] : "⋯ ");
    row_name(v, row, &name);
    strbuf_addf(out, "%s%*s", name.s, columns - text_columns(name.s), "");
    add_number(out, n ? n->alone : row_alone(v, row));
    add_number(out, n ? n->shared : GRAPH_UNKNOWN);
    strbuf_adds(out, "\n");
    out->failed |= name.failed;
}

void branches_text(const struct branches_view *v, struct strbuf *out)
{
    int columns = 24;
    for (size_t i = 0; i < v->f->count; i++) {
        CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
        add_lines(v->f, i, &name);
        row_name(v, i, &name);
        int wide = text_columns(name.s) + 2;
        columns = wide > columns ? wide : columns;
        out->failed |= name.failed;
    }
    columns = columns > 56 ? 56 : columns;
    strbuf_addf(out, "%-*s %10s %10s\n", columns, "NAME", "ALONE", "SHARED");
    for (size_t i = 0; i < v->f->count; i++) {
        add_text_row(v, i, columns, out);
    }
    strbuf_adds(out, "\n");
    CLEANUP_STRBUF struct strbuf summary = STRBUF_INIT;
    branches_summary(v, &summary);
    strbuf_addf(out, "%s\n", summary.s);
    out->failed |= summary.failed;
}
