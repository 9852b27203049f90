// SPDX-License-Identifier: Apache-2.0
/* branches_dot: the graph of branches.h for Graphviz. */
#include "branches.h"
#include "dot.h"
#include "units.h"

static void add_size(struct strbuf *out, const char *what, uint64_t bytes)
{
    char text[UNIT_TEXT];
    if (bytes != GRAPH_UNKNOWN) {
        unit_bytes(bytes, text);
        strbuf_addf(out, "\\n%s %s", text, what);
    }
}

static void add_node(const struct branches_view *v, size_t row, struct strbuf *out)
{
    static const char *const looks[GRAPH_KINDS] = {"shape=box, style=rounded", "shape=box",
                                                   "shape=box, style=dotted",
                                                   "shape=plaintext, fontcolor=gray40"};
    const struct family_row *r = &v->f->rows[row];
    strbuf_addf(out, "  n%zu [%s, label=", row, looks[r->kind]);
    if (r->several > 0) {
        strbuf_addf(out, "\"and %zu more (%s)", r->several, graph_kind_word(r->kind));
        add_size(out, "alone", r->alone);
    } else {
        const struct graph_node *n = &v->g->nodes[r->node];
        strbuf_adds(out, "\"");
        dot_inner(out, n->name);
        add_size(out, "alone", n->alone);
        add_size(out, "shared", n->shared);
    }
    strbuf_adds(out, "\"];\n");
}

void branches_dot(const struct branches_view *v, struct strbuf *out)
{
    strbuf_adds(out, "digraph ");
    dot_string(out, v->store ? v->store : "branches");
    strbuf_adds(out, " {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=11];\n");
    for (size_t i = 0; i < v->f->count; i++) {
        add_node(v, i, out);
    }
    for (size_t i = 0; i < v->f->count; i++) {
        if (v->f->rows[i].parent != GRAPH_NONE) {
            strbuf_addf(out, "  n%zu -> n%zu;\n", v->f->rows[i].parent, i);
        }
    }
    for (size_t i = 0; i < v->g->edge_count; i++) {
        const struct graph_edge *e = &v->g->edges[i];
        size_t from = v->f->row_of[e->from], to = v->f->row_of[e->to];
        if (from != GRAPH_NONE && to != GRAPH_NONE && from != to) {
            strbuf_addf(out,
                        "  n%zu -> n%zu [style=dashed, constraint=false, label=\"%s %llu%s\"];\n",
                        from, to, e->commit ? "commit" : "merge", (unsigned long long)e->seq,
                        e->undone ? ", undone" : "");
        }
    }
    strbuf_adds(out, "}\n");
}
