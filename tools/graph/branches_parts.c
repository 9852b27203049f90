// SPDX-License-Identifier: Apache-2.0
/* branches_parts: see the header. */
#include "branches_parts.h"

#include "text_fit.h"

static uint64_t known(uint64_t bytes)
{
    return bytes == GRAPH_UNKNOWN ? 0 : bytes;
}

const struct graph_node *row_node(const struct branches_view *v, size_t row)
{
    size_t node = v->f->rows[row].node;
    return node == GRAPH_NONE ? NULL : &v->g->nodes[node];
}

uint64_t row_alone(const struct branches_view *v, size_t row)
{
    const struct graph_node *n = row_node(v, row);
    return n ? known(n->alone) : v->f->rows[row].alone;
}

uint64_t row_shared(const struct branches_view *v, size_t row)
{
    const struct graph_node *n = row_node(v, row);
    return n ? known(n->shared) : 0;
}

struct branches_view branches_view_of(const struct graph *g, const struct family *f,
                                      const char *store)
{
    struct branches_view v = {.g = g, .f = f, .store = store, .scale = 1};
    for (size_t i = 0; i < f->count; i++) {
        uint64_t bytes = row_alone(&v, i) + row_shared(&v, i);
        v.scale = bytes > v.scale ? bytes : v.scale;
    }
    return v;
}

/* What a row is called. */
void row_name(const struct branches_view *v, size_t row, struct strbuf *out)
{
    static const char *const kinds[GRAPH_KINDS] = {"branches", "snapshots", "in the trash",
                                                   "that are gone"};
    const struct family_row *r = &v->f->rows[row];
    if (r->several > 0) {
        strbuf_addf(out, "and %zu more %s", r->several,
                    r->parent == GRAPH_NONE && r->kind == GRAPH_NAMESPACE ? "namespaces"
                                                                          : kinds[r->kind]);
        return;
    }
    text_clean(out, v->g->nodes[r->node].name);
}

/* Is there a later merge of the same two, in the same state? It is drawn for both. */
static bool is_repeated(const struct graph *g, size_t edge)
{
    const struct graph_edge *e = &g->edges[edge];
    for (size_t i = edge + 1; i < g->edge_count && i < edge + 1000; i++) {
        const struct graph_edge *o = &g->edges[i];
        if (o->from == e->from && o->to == e->to && o->undone == e->undone) {
            return true;
        }
    }
    return false;
}

/* Can the merge be drawn, and between which rows? */
bool merge_rows(const struct branches_view *v, size_t edge, size_t *ret_from, size_t *ret_to)
{
    const struct graph_edge *e = &v->g->edges[edge];
    *ret_from = v->f->row_of[e->from];
    *ret_to = v->f->row_of[e->to];
    return *ret_from != GRAPH_NONE && *ret_to != GRAPH_NONE && *ret_from != *ret_to &&
           !is_repeated(v->g, edge);
}

size_t count_merges(const struct branches_view *v)
{
    size_t n = 0, from, to;
    for (size_t i = 0; i < v->g->edge_count; i++) {
        n += merge_rows(v, i, &from, &to);
    }
    return n;
}

size_t count_kind(const struct branches_view *v, enum graph_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < v->f->count; i++) {
        const struct family_row *r = &v->f->rows[i];
        n += r->kind == kind ? (r->several > 0 ? r->several : 1) : 0;
    }
    return n;
}

static void add_count(struct strbuf *out, const char *before, size_t n, const char *one,
                      const char *several)
{
    if (n > 0) {
        strbuf_addf(out, "%s%zu %s", out->len > 0 ? before : "", n, n == 1 ? one : several);
    }
}

/* "5 namespaces, 3 snapshots, 2 in the trash; 1 merge" */
void branches_summary(const struct branches_view *v, struct strbuf *out)
{
    add_count(out, ", ", count_kind(v, GRAPH_NAMESPACE), "namespace", "namespaces");
    add_count(out, ", ", count_kind(v, GRAPH_SNAPSHOT), "snapshot", "snapshots");
    add_count(out, ", ", count_kind(v, GRAPH_TRASH), "in the trash", "in the trash");
    add_count(out, ", ", count_kind(v, GRAPH_GONE), "that is gone", "that are gone");
    add_count(out, ", ", count_merges(v), "merge", "merges");
    if (out->len == 0) {
        strbuf_adds(out, "The store has no namespace");
    }
}
