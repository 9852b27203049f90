// SPDX-License-Identifier: Apache-2.0
/* tree_walk: see the header. How deep a tree is, only memory limits: there is a stack, and no
 * recursion. */
#include "tree_walk.h"

#include "array.h"
#include "strbuf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct name {
    char *s; /* owned */
    uint64_t node;
};
/* A directory of which the entries are visited. */
struct level {
    struct name *v;
    size_t count, room, next;
    size_t path_len; /* of its own path */
    int error;       /* of the listing */
};
struct walk {
    struct state *p;
    struct level *v; /* the way from the top to the present directory */
    size_t count, room;
    struct strbuf path;
    tree_walk_fn *fn;
    void *ctx;
};

static void level_release(struct level *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->v[i].s);
    free(l->v);
}

static bool add_name(const struct vfs_dirent *d, void *ctx)
{
    struct level *l = ctx;
    char *copy;

    if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
        return true;
    copy = strdup(d->name);
    if (!copy || ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0) {
        free(copy);
        l->error = -ENOMEM;
        return false;
    }
    l->v[l->count++] = (struct name){copy, d->attr.nodeid};
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->s, ((const struct name *)b)->s);
}

/* Puts a directory, whose path is that of the walk, on the stack. */
static int enter(struct walk *w, uint64_t node)
{
    struct level l = {.path_len = w->path.len};
    int err = ARRAY_RESERVE(w->v, w->room, w->count + 1);

    if (err == 0)
        err = vfs_readdir(w->p, node, 0, false, add_name, &l);
    if (err == 0)
        err = l.error;
    if (err < 0) {
        level_release(&l);
        return err;
    }
    if (l.count)
        qsort(l.v, l.count, sizeof *l.v, compare_names);
    w->v[w->count++] = l;
    return 0;
}

/* Visits the node to which the path of the walk leads. */
static int visit(struct walk *w, uint64_t node)
{
    struct vfs_attr attr;
    int err = vfs_getattr(w->p, node, &attr);

    if (err == 0)
        err = w->fn(w->path.len ? w->path.s : "", &attr, w->ctx);
    return err == 0 && S_ISDIR(attr.mode) ? enter(w, node) : err;
}

/* Makes the path that of a directory on the way again. */
static void cut_path(struct walk *w, size_t len)
{
    if (w->path.len > len) {
        w->path.len = len;
        w->path.s[len] = '\0';
    }
}

/* Visits the next entry of the present directory, or leaves it. */
static int step(struct walk *w)
{
    struct level *l = &w->v[w->count - 1];
    int err;

    cut_path(w, l->path_len);
    if (l->next == l->count) {
        level_release(l);
        w->count--;
        return 0;
    }
    if (l->path_len)
        strbuf_adds(&w->path, "/");
    strbuf_adds(&w->path, l->v[l->next].s);
    err = strbuf_error(&w->path);
    return err < 0 ? err : visit(w, l->v[l->next++].node);
}

int tree_walk_from(struct state *p, uint64_t node, tree_walk_fn *fn, void *ctx)
{
    struct walk w = {.p = p, .path = STRBUF_INIT, .fn = fn, .ctx = ctx};
    int err = visit(&w, node);

    while (err == 0 && w.count)
        err = step(&w);
    while (w.count)
        level_release(&w.v[--w.count]);
    free(w.v);
    strbuf_release(&w.path);
    return err;
}
