// SPDX-License-Identifier: Apache-2.0
/* changes_other: the last steps, of files with different inodes: those under one name, one path, or
 * of one object; and what is left (changes_impl.h). */
#include "changes_impl.h"
#include <stdlib.h>
#include <sys/stat.h>

/* ---- step 3: other files under one name, or one path ---- */

/* `a` was replaced by `b` at the path, which is taken over. */
static int replace(struct gather *g, struct event *a, struct event *b, char *path)
{
    struct change change = {.status = 'M', .path = path};
    struct inode was, is;
    int err = gather_load(g, DELTA_A, a->ino, &was);

    if (err == 0)
        err = gather_load(g, DELTA_B, b->ino, &is);
    if (err == 0 && (was.mode & S_IFMT) != (is.mode & S_IFMT))
        change.status = 'T';
    else if (err == 0)
        err = gather_judge(g, NULL, a->ino, b->ino, &change.verdict);
    a->taken = b->taken = true;
    if (err < 0) {
        free(path);
        return err;
    }
    change.mode = is.mode;
    return gather_add(g, &change);
}

int gather_replaced(struct gather *g)
{
    for (size_t i = 0; i < g->c->delta.name_count; i++) {
        size_t a = g->of_name[i][DELTA_A], b = g->of_name[i][DELTA_B];
        char *path;
        if (!a || !b || g->events[a - 1].taken || g->events[b - 1].taken)
            continue;
        int err = gather_event_path(g, &g->events[b - 1], &path);
        if (err == 0)
            err = replace(g, &g->events[a - 1], &g->events[b - 1], path);
        if (err < 0)
            return err;
    }
    return 0;
}

/* Those that are not taken, on both sides; side A by image, side B by path. Those without a path
 * are left out, for names are missing then. */
struct left {
    struct event **v[DELTA_SIDES];
    size_t count[DELTA_SIDES];
};

static int compare_left(const void *x, const void *y)
{
    const struct event *a = *(struct event *const *)x, *b = *(struct event *const *)y;

    return strcmp(a->image ? a->image : a->path, b->image ? b->image : b->path);
}

static int list_left(struct gather *g, struct left *ret)
{
    int err = 0;

    for (int s = 0; s < DELTA_SIDES; s++) {
        ret->v[s] = calloc(g->count + 1, sizeof *ret->v[s]);
        if (!ret->v[s])
            return -ENOMEM;
    }
    for (size_t i = 0; i < g->count && err == 0; i++) {
        struct event *e = &g->events[i];
        if (e->taken)
            continue;
        err = gather_event_path(g, e, &e->path);
        if (err == 0 && e->side == DELTA_A)
            err = gather_event_image(g, e, &e->image);
        if (e->path && (e->image || e->side == DELTA_B))
            ret->v[e->side][ret->count[e->side]++] = e;
    }
    for (int s = 0; s < DELTA_SIDES && err == 0; s++)
        qsort(ret->v[s], ret->count[s], sizeof *ret->v[s], compare_left);
    return err;
}

static int find_same_paths(struct gather *g, const struct left *l)
{
    size_t i = 0, j = 0;
    int err = 0;

    while (err == 0 && i < l->count[DELTA_A] && j < l->count[DELTA_B]) {
        struct event *a = l->v[DELTA_A][i], *b = l->v[DELTA_B][j];
        int order = strcmp(a->image, b->path);
        if (order == 0) {
            err = replace(g, a, b, b->path);
            b->path = NULL;
        }
        i += order <= 0;
        j += order >= 0;
    }
    return err;
}

/* ---- step 4: renames by content; the rest ---- */

/* The object that is the whole file, if only that side has the file; else 0. */
static uint64_t whole_object(struct gather *g, const struct event *e)
{
    const struct delta_inode *r = delta_find(&g->c->delta, e->ino);
    const struct inode *in = r ? &r->at[e->side] : NULL;

    if (!r || r->same || !S_ISREG(in->mode) || in->flags & INODE_EXTENTS || !in->size ||
        in->valid != in->size || !in->object)
        return 0;
    return refs_resolve(g->c->tree[e->side]->refs, in->object);
}

static int move_event(struct gather *g, struct event *from, struct event *to)
{
    struct change change = {.status = 'R', .path = to->path, .from = from->path};
    int err = gather_judge(g, NULL, from->ino, to->ino, &change.verdict);

    if (err < 0)
        return err;
    change.mode = delta_find(&g->c->delta, to->ino)->at[DELTA_B].mode;
    from->taken = to->taken = true;
    from->path = to->path = NULL;
    return gather_add(g, &change);
}

/* The deleted files that are one object, as chains in the order of the list. */
struct chains {
    struct map64 first; /* object -> index + 1 in the list */
    uint64_t *next;     /* of each in the list: index + 1 of the next one of its object, or 0 */
};

static int make_chains(struct gather *g, const struct left *l, struct chains *ret)
{
    int err = 0;

    ret->next = calloc(l->count[DELTA_A] + 1, sizeof *ret->next);
    if (!ret->next)
        return -ENOMEM;
    for (size_t i = l->count[DELTA_A]; i-- > 0 && err == 0;) {
        const struct event *e = l->v[DELTA_A][i];
        uint64_t object = e->taken ? 0 : whole_object(g, e);
        if (!object)
            continue;
        (void)map64_get(&ret->first, object, &ret->next[i]);
        err = map64_put(&ret->first, object, i + 1);
    }
    return err;
}

/* A deleted file and a new one that are one object are a rename. */
static int find_moved(struct gather *g, const struct left *l)
{
    struct chains chains = {0};
    int err = make_chains(g, l, &chains);

    for (size_t j = 0; j < l->count[DELTA_B] && err == 0; j++) {
        struct event *to = l->v[DELTA_B][j];
        uint64_t object = to->taken ? 0 : whole_object(g, to), i = 0;
        if (!object || !map64_get(&chains.first, object, &i) || !i)
            continue;
        err = map64_put(&chains.first, object, chains.next[i - 1]);
        if (err == 0)
            err = move_event(g, l->v[DELTA_A][i - 1], to);
    }
    map64_release(&chains.first);
    free(chains.next);
    return err;
}

static int add_rest(struct gather *g, const struct left *l)
{
    int err = 0;

    for (int s = 0; s < DELTA_SIDES; s++) {
        for (size_t i = 0; i < l->count[s] && err == 0; i++) {
            struct event *e = l->v[s][i];
            struct change change = {.status = s == DELTA_A ? 'D' : 'A', .path = e->path};
            struct inode in;
            if (e->taken)
                continue;
            err = gather_load(g, s, e->ino, &in);
            if (err < 0)
                break;
            change.mode = in.mode;
            e->path = NULL;
            err = gather_add(g, &change);
        }
    }
    return err;
}

int gather_left(struct gather *g)
{
    struct left l = {0};
    int err = list_left(g, &l);

    if (err == 0)
        err = find_same_paths(g, &l);
    if (err == 0)
        err = find_moved(g, &l);
    if (err == 0)
        err = add_rest(g, &l);
    free(l.v[DELTA_A]);
    free(l.v[DELTA_B]);
    return err;
}
