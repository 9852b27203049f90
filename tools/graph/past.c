// SPDX-License-Identifier: Apache-2.0
/* past: see the header. */
#include "past.h"

#include "array.h"
#include "strbuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int past_begin(struct past *p, struct graph *g)
{
    *p = (struct past){.g = g, .live = json_object()};
    return p->live ? 0 : -ENOMEM;
}

static uint64_t number_of(const struct command *c, const char *key)
{
    const char *word = command_option(c, key);
    uint64_t n;
    return word && command_number(word, &n) == 0 ? n : 0;
}

static size_t find_live(const struct past *p, const char *name)
{
    const json_t *at = json_object_get(p->live, name);
    return at ? (size_t)json_integer_value(at) : GRAPH_NONE;
}

static int set_live(struct past *p, const char *name, size_t node)
{
    json_t *number = json_integer((json_int_t)node);
    return json_object_set_new_nocheck(p->live, name, number) < 0 ? -ENOMEM : 0;
}

/* The name before the last '@', in `out`; false: there is none. */
static bool base_name(const char *label, struct strbuf *out)
{
    const char *at = strrchr(label, '@');
    if (at) {
        strbuf_add(out, label, (size_t)(at - label));
    }
    return at && strbuf_error(out) == 0;
}

/* What NAME@dropped-SEQ means: of those that were dropped under that name the first one that was
 * dropped behind that change. */
static size_t find_dropped(const struct past *p, const char *label)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    const char *at = strrchr(label, '@');
    uint64_t seq;
    size_t found = GRAPH_NONE;
    if (!base_name(label, &name) || strncmp(at, "@dropped-", 9) != 0 ||
        command_number(at + 9, &seq) < 0) {
        return GRAPH_NONE;
    }
    for (size_t i = 0; i < p->g->count; i++) {
        const struct graph_node *n = &p->g->nodes[i];
        if (n->dropped >= seq && n->dropped > 0 && strcmp(n->name, name.s) == 0 &&
            (found == GRAPH_NONE || n->dropped < p->g->nodes[found].dropped)) {
            found = i;
        }
    }
    return found;
}

/* ---- operations ---- */

/* Adds a node that has the name from now on. */
static int add(struct past *p, const char *name, enum graph_kind kind, size_t parent,
               const struct command *c)
{
    struct graph_node node = {.name = (char *)(uintptr_t)name,
                              .kind = kind,
                              .parent = parent,
                              .alone = GRAPH_UNKNOWN,
                              .shared = GRAPH_UNKNOWN,
                              .logical = GRAPH_UNKNOWN};
    size_t at;
    if (c) {
        node.seq = number_of(c, "seq");
        node.time = (char *)(uintptr_t)command_option(c, "time");
    }
    int err = graph_add(p->g, &node, &at);
    return err < 0 ? err : set_live(p, name, at);
}

/* Finds what a label means; if nothing is known of it, a node is made. */
static int find_or_add(struct past *p, const char *label, size_t *ret)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    *ret = find_live(p, label);
    if (*ret == GRAPH_NONE) {
        *ret = find_dropped(p, label);
    }
    if (*ret != GRAPH_NONE) {
        return 0;
    }
    if (!base_name(label, &name)) {
        strbuf_adds(&name, label);
    }
    if (strbuf_error(&name) < 0) {
        return -ENOMEM;
    }
    *ret = find_live(p, name.s);
    if (*ret != GRAPH_NONE) {
        return 0;
    }
    int err = add(p, name.s, GRAPH_GONE, GRAPH_NONE, NULL);
    *ret = p->g->count - 1;
    return err;
}

static int apply_branch(struct past *p, const struct command *c, const char *ns)
{
    const char *from = command_option(c, "from");
    size_t parent = GRAPH_NONE;
    int err = from ? find_or_add(p, from, &parent) : 0;
    return err < 0 ? err : add(p, ns, GRAPH_NAMESPACE, parent, c);
}

static int apply_create(struct past *p, const struct command *c, const char *ns)
{
    return find_live(p, ns) == GRAPH_NONE ? add(p, ns, GRAPH_NAMESPACE, GRAPH_NONE, c) : 0;
}

static void apply_drop(struct past *p, const struct command *c, const char *ns)
{
    size_t node = find_live(p, ns);
    if (node != GRAPH_NONE) {
        p->g->nodes[node].dropped = number_of(c, "seq");
        json_object_del(p->live, ns);
    }
}

/* The last one that was dropped under that name is back. */
static int apply_undrop(struct past *p, const struct command *c, const char *ns)
{
    size_t found = GRAPH_NONE;
    for (size_t i = 0; i < p->g->count; i++) {
        const struct graph_node *n = &p->g->nodes[i];
        if (n->dropped > 0 && strcmp(n->name, ns) == 0 &&
            (found == GRAPH_NONE || n->dropped > p->g->nodes[found].dropped)) {
            found = i;
        }
    }
    if (found == GRAPH_NONE) {
        return apply_create(p, c, ns);
    }
    p->g->nodes[found].dropped = 0;
    return set_live(p, ns, found);
}

/* Gives a node, which has the name `from`, the name `to`. */
static int move_name(struct past *p, size_t node, const char *from, const char *to)
{
    json_object_del(p->live, from);
    int err = graph_rename(&p->g->nodes[node], to);
    return err < 0 ? err : set_live(p, to, node);
}

/* The snapshots of a namespace are called by its name. */
static int move_snapshots(struct past *p, size_t of, const char *to)
{
    int err = 0;
    for (size_t i = of + 1; i < p->g->count && err == 0; i++) {
        CLEANUP_STRBUF struct strbuf old = STRBUF_INIT, name = STRBUF_INIT;
        const struct graph_node *n = &p->g->nodes[i];
        if (n->parent != of || n->kind != GRAPH_SNAPSHOT || find_live(p, n->name) != i) {
            continue;
        }
        strbuf_adds(&old, n->name);
        strbuf_addf(&name, "%s%s", to, strrchr(n->name, '@'));
        err = strbuf_error(&old) < 0 || strbuf_error(&name) < 0 ? -ENOMEM
                                                                : move_name(p, i, old.s, name.s);
    }
    return err;
}

static int apply_rename(struct past *p, const struct command *c, const char *ns)
{
    const char *to = command_option(c, "to");
    size_t node = find_live(p, ns);
    if (!to || node == GRAPH_NONE) {
        return to ? apply_create(p, c, to) : 0;
    }
    int err = move_name(p, node, ns, to);
    return err < 0 ? err : move_snapshots(p, node, to);
}

static int apply_exchange(struct past *p, const struct command *c, const char *ns)
{
    const char *with = command_option(c, "with");
    size_t a = find_live(p, ns), b = with ? find_live(p, with) : GRAPH_NONE;
    if (a == GRAPH_NONE || b == GRAPH_NONE) {
        return 0;
    }
    int err = move_name(p, a, ns, with);
    err = err < 0 ? err : graph_rename(&p->g->nodes[b], ns);
    err = err < 0 ? err : set_live(p, ns, b);
    err = err < 0 ? err : move_snapshots(p, a, with);
    return err < 0 ? err : move_snapshots(p, b, ns);
}

static int apply_snapshot(struct past *p, const struct command *c, const char *ns, bool made)
{
    CLEANUP_STRBUF struct strbuf label = STRBUF_INIT;
    const char *name = command_option(c, "snapshot");
    size_t of;
    if (!name) {
        return 0;
    }
    strbuf_addf(&label, "%s@%s", ns, name);
    if (strbuf_error(&label) < 0) {
        return -ENOMEM;
    }
    if (!made) {
        json_object_del(p->live, label.s);
        return 0;
    }
    int err = find_or_add(p, ns, &of);
    return err < 0 ? err : add(p, label.s, GRAPH_SNAPSHOT, of, c);
}

static int apply_merge(struct past *p, const struct command *c, const char *ns, bool commit)
{
    const char *from = command_option(c, "from");
    struct graph_edge edge = {.seq = number_of(c, "seq"), .commit = commit};
    int err = from ? find_or_add(p, from, &edge.from) : 0;
    err = err < 0 ? err : find_or_add(p, ns, &edge.to);
    return err < 0 || !from ? err : graph_add_edge(p->g, &edge);
}

/* A merge was taken back, or done again. */
static void mark_merge(struct past *p, uint64_t seq, bool undone)
{
    for (size_t i = 0; i < p->g->edge_count; i++) {
        if (p->g->edges[i].seq == seq) {
            p->g->edges[i].undone = undone;
        }
    }
}

static bool is_word(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int past_apply(struct past *p, const struct command *c)
{
    const char *op = command_option(c, "op"), *ns = command_option(c, "ns"),
               *did = command_option(c, "did");
    if (!op || !ns) {
        return 0;
    }
    const char *word = did ? did : op;
    if (is_word(word, "merge", "commit")) {
        if (did) {
            mark_merge(p, number_of(c, "of"), strcmp(op, "undo") == 0);
            return 0;
        }
        return apply_merge(p, c, ns, strcmp(word, "commit") == 0);
    }
    if (is_word(word, "create", "import")) {
        return apply_create(p, c, ns);
    }
    if (is_word(word, "drop", "expire") || is_word(word, "remove", "remove")) {
        apply_drop(p, c, ns);
        return 0;
    }
    if (is_word(word, "snapshot", "unsnapshot")) {
        return apply_snapshot(p, c, ns, strcmp(word, "snapshot") == 0);
    }
    return is_word(word, "branch", "branch")       ? apply_branch(p, c, ns)
           : is_word(word, "undrop", "undrop")     ? apply_undrop(p, c, ns)
           : is_word(word, "rename", "replace")    ? apply_rename(p, c, ns)
           : is_word(word, "exchange", "exchange") ? apply_exchange(p, c, ns)
                                                   : 0;
}

/* ---- what is there ---- */

/* Notes that a listing has the node. */
static int mark_taken(struct past *p, size_t node)
{
    size_t before = p->room;
    int err = ARRAY_RESERVE(p->taken, p->room, node + 1);
    if (err < 0) {
        return err;
    }
    memset(p->taken + before, 0, (p->room - before) * sizeof(*p->taken));
    p->taken[node] = true;
    return 0;
}

/* The node of one that is listed; it is made if the history does not know it. */
static int find_listed(struct past *p, enum graph_kind kind, const char *name,
                       const struct command *line, size_t *ret)
{
    CLEANUP_STRBUF struct strbuf of = STRBUF_INIT;
    size_t parent = GRAPH_NONE;
    *ret = kind == GRAPH_TRASH ? find_dropped(p, name) : find_live(p, name);
    if (*ret != GRAPH_NONE) {
        return 0;
    }
    if (kind == GRAPH_SNAPSHOT && base_name(name, &of)) {
        parent = find_live(p, of.s);
    }
    int err = add(p, name, kind, parent, line);
    *ret = p->g->count - 1;
    return err;
}

int past_take(struct past *p, enum graph_kind kind, const struct command *line, size_t *ret)
{
    const char *ns = command_option(line, "ns"), *since = command_option(line, "since");
    const char *name = ns ? ns : line->nargs > 0 ? line->args[0].text : NULL;
    if (!name) {
        return 0;
    }
    int err = find_listed(p, kind, name, line, ret);
    if (err < 0) {
        return err;
    }
    struct graph_node *n = &p->g->nodes[*ret];
    n->kind = kind;
    if (!n->time && since) {
        n->time = strdup(since);
        err = n->time ? 0 : -ENOMEM;
    }
    if (command_option(line, "frees")) {
        n->alone = number_of(line, "frees") + number_of(line, "tree");
    }
    if (ns) {
        n->shared = number_of(line, "shared");
        n->logical = number_of(line, "logical");
    }
    err = err < 0 ? err : mark_taken(p, *ret);
    return err < 0 ? err : graph_rename(n, name);
}

void past_end(struct past *p)
{
    for (size_t i = 0; i < p->g->count; i++) {
        if (i >= p->room || !p->taken[i]) {
            p->g->nodes[i].kind = GRAPH_GONE;
        }
    }
    free(p->taken);
    json_decref(p->live);
    *p = (struct past){.g = NULL};
}
