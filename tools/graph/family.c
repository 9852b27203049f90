// SPDX-License-Identifier: Apache-2.0
/* family: see the header. */
#include "family.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* While the list is made. The children of each node stand together in `order`. */
struct making {
    const struct graph *g;
    const struct family_call *call;
    struct family *f;
    size_t *order;        /* nodes by parent, then by change and name */
    size_t *first, *size; /* of each node: its children in `order`; the last one is for those that
                             have no parent */
    size_t *sorted;       /* for gather() */
    bool *shown;
    bool *parent;             /* one of its children is shown */
    struct family_row *stack; /* rows that are to be made, the next one last */
    size_t count, room;
};

static uint64_t alone_of(const struct graph_node *n)
{
    return n->alone == GRAPH_UNKNOWN ? 0 : n->alone;
}

/* ---- orders ---- */

static int compare_births(const struct graph_node *a, const struct graph_node *b)
{
    return a->seq != b->seq ? (a->seq > b->seq) - (a->seq < b->seq) : strcmp(a->name, b->name);
}

static int compare_children(const void *a, const void *b, void *ctx)
{
    const struct graph *g = ctx;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const struct graph_node *x = &g->nodes[i], *y = &g->nodes[k];
    if (x->parent != y->parent) {
        return x->parent < y->parent ? -1 : 1;
    }
    int order = compare_births(x, y);
    return order != 0 ? order : (i > k) - (i < k);
}

/* By kind, and of one kind that first which holds more. */
static int compare_weights(const void *a, const void *b, void *ctx)
{
    const struct graph *g = ctx;
    const struct graph_node *x = &g->nodes[*(const size_t *)a], *y = &g->nodes[*(const size_t *)b];
    if (x->kind != y->kind) {
        return (int)x->kind - (int)y->kind;
    }
    if (alone_of(x) != alone_of(y)) {
        return alone_of(x) < alone_of(y) ? 1 : -1;
    }
    return compare_children(a, b, ctx);
}

/* ---- what is shown ---- */

/* A parent has a lower index than its children, so each node is decided before its parent. */
static int choose(struct making *m)
{
    size_t root = GRAPH_NONE;
    const char *of = m->call->of;
    for (size_t i = 0; of && i < m->g->count && root == GRAPH_NONE; i++) {
        if (m->g->nodes[i].kind != GRAPH_GONE && strcmp(m->g->nodes[i].name, of) == 0) {
            root = graph_root(m->g, i);
        }
    }
    if (of && root == GRAPH_NONE) {
        return -ENOENT;
    }
    for (size_t i = m->g->count; i-- > 0;) {
        const struct graph_node *n = &m->g->nodes[i];
        m->shown[i] =
            (n->kind != GRAPH_GONE || m->parent[i]) && (!of || graph_root(m->g, i) == root);
        if (m->shown[i] && n->parent != GRAPH_NONE) {
            m->parent[n->parent] = true;
        }
    }
    return 0;
}

static void sort_children(struct making *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->g->count; i++) {
        if (m->shown[i]) {
            m->order[count++] = i;
        }
    }
    qsort_r(m->order, count, sizeof(*m->order), compare_children, (void *)(uintptr_t)m->g);
    for (size_t i = count; i-- > 0;) {
        size_t parent = m->g->nodes[m->order[i]].parent;
        size_t slot = parent == GRAPH_NONE ? m->g->count : parent;
        m->first[slot] = i;
        m->size[slot]++;
    }
}

/* ---- rows ---- */

static int push(struct making *m, const struct family_row *row)
{
    if (ARRAY_RESERVE(m->stack, m->room, m->count + 1) < 0) {
        return -ENOMEM;
    }
    m->stack[m->count++] = *row;
    return 0;
}

/* Sorts those of the children that have no children into m->sorted. Returns how many; left[] is how
 * many there are of each kind. */
static size_t sort_leaves(struct making *m, const size_t *v, size_t count, size_t left[GRAPH_KINDS])
{
    size_t leaves = 0;
    for (size_t i = 0; i < count; i++) {
        if (!m->parent[v[i]]) {
            m->sorted[leaves++] = v[i];
            left[m->g->nodes[v[i]].kind]++;
        }
    }
    qsort_r(m->sorted, leaves, sizeof(*m->sorted), compare_weights, (void *)(uintptr_t)m->g);
    return leaves;
}

/* Of kinds of which there are too many children without children: those that are beyond the most
 * are not shown, and are summed up in rest[]. */
static void gather(struct making *m, const size_t *v, size_t count,
                   struct family_row rest[GRAPH_KINDS])
{
    size_t left[GRAPH_KINDS] = {0}, met[GRAPH_KINDS] = {0};
    size_t leaves = sort_leaves(m, v, count, left);
    for (size_t i = 0; i < leaves; i++) {
        const struct graph_node *n = &m->g->nodes[m->sorted[i]];
        size_t most = n->kind == GRAPH_NAMESPACE ? FAMILY_NAMESPACES_MOST : FAMILY_KEPT_MOST;
        if (left[n->kind] <= most || ++met[n->kind] < most) {
            continue;
        }
        m->shown[m->sorted[i]] = false;
        rest[n->kind].several++;
        rest[n->kind].alone += alone_of(n);
        m->f->hidden++;
    }
}

/* Puts the children of a node, or of none, on the stack: the first one is the next, and what shares
 * a row is behind all of them. */
static int push_children(struct making *m, size_t node, size_t row)
{
    size_t slot = node == GRAPH_NONE ? m->g->count : node;
    const size_t *v = m->order + m->first[slot];
    struct family_row rest[GRAPH_KINDS] = {{.several = 0}};
    size_t begin = m->count;
    int err = 0;
    if (!m->call->all) {
        gather(m, v, m->size[slot], rest);
    }
    for (size_t kind = GRAPH_KINDS; kind-- > 0 && err == 0;) {
        rest[kind].kind = (enum graph_kind)kind;
        rest[kind].node = GRAPH_NONE;
        rest[kind].parent = row;
        err = rest[kind].several > 0 ? push(m, &rest[kind]) : 0;
    }
    for (size_t i = m->size[slot]; i-- > 0 && err == 0;) {
        struct family_row one = {.node = v[i], .parent = row, .kind = m->g->nodes[v[i]].kind};
        err = m->shown[v[i]] ? push(m, &one) : 0;
    }
    if (m->count > begin) {
        m->stack[begin].last = true;
    }
    return err;
}

static int add_row(struct family *f, const struct family_row *row)
{
    if (ARRAY_RESERVE(f->rows, f->room, f->count + 1) < 0) {
        return -ENOMEM;
    }
    struct family_row *added = &f->rows[f->count];
    *added = *row;
    added->depth = row->parent == GRAPH_NONE ? 0 : f->rows[row->parent].depth + 1;
    f->depth = added->depth > f->depth ? added->depth : f->depth;
    if (row->node != GRAPH_NONE) {
        f->row_of[row->node] = f->count;
    }
    f->count++;
    return 0;
}

static int make_rows(struct making *m)
{
    int err = push_children(m, GRAPH_NONE, GRAPH_NONE);
    while (err == 0 && m->count > 0) {
        struct family_row row = m->stack[--m->count];
        err = add_row(m->f, &row);
        if (err == 0 && row.node != GRAPH_NONE) {
            err = push_children(m, row.node, m->f->count - 1);
        }
    }
    return err;
}

static int allocate(struct making *m)
{
    size_t n = m->g->count + 1;
    m->order = calloc(n, sizeof(*m->order));
    m->first = calloc(n, sizeof(*m->first));
    m->size = calloc(n, sizeof(*m->size));
    m->sorted = calloc(n, sizeof(*m->sorted));
    m->shown = calloc(n, sizeof(*m->shown));
    m->parent = calloc(n, sizeof(*m->parent));
    m->f->row_of = malloc(n * sizeof(*m->f->row_of));
    for (size_t i = 0; m->f->row_of && i < n; i++) {
        m->f->row_of[i] = GRAPH_NONE;
    }
    return m->order && m->first && m->size && m->sorted && m->shown && m->parent && m->f->row_of
               ? 0
               : -ENOMEM;
}

int family_build(const struct graph *g, const struct family_call *c, struct family *ret)
{
    struct making m = {.g = g, .call = c, .f = ret};
    *ret = (struct family){.rows = NULL};
    int err = allocate(&m);
    err = err < 0 ? err : choose(&m);
    if (err == 0) {
        sort_children(&m);
        err = make_rows(&m);
    }
    free(m.order);
    free(m.first);
    free(m.size);
    free(m.sorted);
    free(m.shown);
    free(m.parent);
    free(m.stack);
    if (err < 0) {
        family_release(ret);
    }
    return err;
}

void family_release(struct family *f)
{
    free(f->rows);
    free(f->row_of);
    *f = (struct family){.rows = NULL};
}
