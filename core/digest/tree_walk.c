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
struct tree_walk {
    struct state *p;
    struct level *v; /* the way from the top to the present directory */
    size_t count, room;
    struct strbuf path;
    size_t name_at; /* where the last part of the path begins */
    uint64_t node;  /* to be visited next, if nothing was; or the directory to be entered next */
    bool begun;
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
static int enter(struct tree_walk *w, uint64_t node)
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

/* Makes the path that of a directory on the way again. */
static void cut_path(struct tree_walk *w, size_t len)
{
    if (w->path.len > len) {
        w->path.len = len;
        w->path.s[len] = '\0';
    }
}

/* Makes the path that of the next entry of the present directory. *ret: its node. */
static int take_entry(struct tree_walk *w, uint64_t *ret)
{
    struct level *l = &w->v[w->count - 1];

    cut_path(w, l->path_len);
    if (l->path_len)
        strbuf_adds(&w->path, "/");
    w->name_at = w->path.len;
    strbuf_adds(&w->path, l->v[l->next].s);
    *ret = l->v[l->next++].node;
    return strbuf_error(&w->path);
}

/* Finds the node that is visited next. -ENOENT: there is none. */
static int next_node(struct tree_walk *w, uint64_t *ret)
{
    int err = 0;

    if (!w->begun) {
        w->begun = true;
        *ret = w->node;
        return 0;
    }
    if (w->node)
        err = enter(w, w->node);
    if (err < 0)
        return err == -ENOENT ? -ESTALE : err;
    while (w->count && w->v[w->count - 1].next == w->v[w->count - 1].count)
        level_release(&w->v[--w->count]);
    return w->count ? take_entry(w, ret) : -ENOENT;
}

int tree_walk_open(struct state *p, uint64_t node, struct tree_walk **ret_w)
{
    struct tree_walk *w = calloc(1, sizeof *w);

    if (!w)
        return -ENOMEM;
    w->p = p;
    w->path = (struct strbuf)STRBUF_INIT;
    w->node = node;
    *ret_w = w;
    return 0;
}

int tree_walk_next(struct tree_walk *w, const char **ret_path, const char **ret_name,
                   size_t *ret_depth, struct vfs_attr *ret_attr)
{
    uint64_t node = 0;
    int err = next_node(w, &node);

    if (err < 0)
        return err;
    err = vfs_getattr(w->p, node, ret_attr);
    if (err < 0)
        return err == -ENOENT ? -ESTALE : err; /* it is not the end */
    w->node = S_ISDIR(ret_attr->mode) ? node : 0;
    *ret_path = w->path.s;
    *ret_name = w->path.s + w->name_at;
    *ret_depth = w->count;
    return 0;
}

void tree_walk_close(struct tree_walk *w)
{
    if (!w)
        return;
    while (w->count)
        level_release(&w->v[--w->count]);
    free(w->v);
    strbuf_release(&w->path);
    free(w);
}

int tree_walk_from(struct state *p, uint64_t node, tree_walk_fn *fn, void *ctx)
{
    struct tree_walk *w;
    const char *path, *name;
    struct vfs_attr attr;
    size_t depth;
    bool ended = false; /* by `fn` */
    int err = tree_walk_open(p, node, &w);

    if (err < 0)
        return err;
    while (err == 0) {
        err = tree_walk_next(w, &path, &name, &depth, &attr);
        if (err < 0)
            break;
        err = fn(path, &attr, ctx);
        ended = err != 0;
    }
    tree_walk_close(w);
    return err == -ENOENT && !ended ? 0 : err;
}
