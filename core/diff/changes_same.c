// SPDX-License-Identifier: Apache-2.0
/* changes_same: the first steps, which know a file by its inode: those that were renamed, and those
 * that have kept a name (changes_impl.h). */
#include "changes_impl.h"
#include <stdlib.h>
#include <sys/stat.h>

/* ---- step 1: renames ---- */

static int rename_event(struct gather *g, struct event *from, struct event *to)
{
    struct change change = {.status = 'R'};
    struct inode in;
    int err = gather_load(g, DELTA_B, to->ino, &in);

    if (err == 0) {
        change.mode = in.mode;
        err = gather_judge_one(g, delta_find(&g->c->delta, to->ino), &change.verdict);
    }
    if (err == 0)
        err = gather_event_path(g, from, &change.from);
    if (err == 0)
        err = gather_event_path(g, to, &change.path);
    from->taken = to->taken = true;
    if (err < 0) {
        free(change.from);
        free(change.path);
        return err;
    }
    return gather_add(g, &change);
}

/* Names of one file that are gone and as many that are new are renames, in order. */
int gather_renames(struct gather *g)
{
    int err = 0;

    for (size_t i = 0, end; i < g->count && err == 0; i = end) {
        const size_t to = end = gather_end_of_side(g, i);
        const uint64_t ino = g->events[i].ino;
        if (g->events[i].side != DELTA_A || to == g->count || g->events[to].ino != ino ||
            !gather_is_one_file(&g->c->delta, ino))
            continue;
        end = gather_end_of_side(g, to);
        for (size_t k = 0; i + k < to && to + k < end && err == 0; k++)
            err = rename_event(g, &g->events[i + k], &g->events[to + k]);
    }
    return err;
}

/* ---- step 2: files that have kept a name ---- */

/* The names of one inode on side B. */
struct naming {
    struct gather *g;
    struct change change;       /* without its path */
    const struct event *events; /* those of the inode on side B */
    size_t count;
};

/* Adds a change for a name that side A has as well. */
static int take_name(struct key at, const struct dirent_item *e, void *ctx)
{
    struct naming *n = ctx;
    int err;

    for (size_t i = 0; i < n->count; i++)
        if (key_compare(gather_name(n->g, &n->events[i])->at[DELTA_B], at) == 0)
            return 0;
    err = gather_path(n->g, DELTA_B, key_ino(at), e->name, e->name_len, &n->change.path);
    return err < 0 ? err : gather_add(n->g, &n->change);
}

/* The events of an inode on side B. */
static void find_events(const struct gather *g, uint64_t ino, struct naming *ret)
{
    struct event wanted = {.ino = ino, .side = DELTA_B};
    size_t low = 0, high = g->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (gather_compare_events(&g->events[mid], &wanted) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    ret->events = g->events + low;
    ret->count = low < g->count && g->events[low].ino == ino && g->events[low].side == DELTA_B
                     ? gather_end_of_side(g, low) - low
                     : 0;
}

/* Judges a number that both sides have, as one file or as two. */
static int judge_number(struct gather *g, const struct delta_inode *r, struct change *ret)
{
    if (r->same)
        return gather_judge_one(g, r, &ret->verdict);
    if ((r->at[DELTA_A].mode & S_IFMT) == (r->at[DELTA_B].mode & S_IFMT))
        return gather_judge(g, NULL, r->ino, r->ino, &ret->verdict);
    ret->status = 'T';
    return 0;
}

static bool differs(const struct gather *g, const struct change *x)
{
    const struct verdict *v = x->verdict ? &g->c->verdicts[x->verdict - 1] : NULL;

    return !v || v->attrs || v->modified || v->count;
}

static int keep_names(struct gather *g, const struct delta_inode *r)
{
    struct naming n = {.g = g, .change = {.status = 'M', .mode = r->at[DELTA_B].mode}};
    int err = judge_number(g, r, &n.change);

    if (err < 0 || !differs(g, &n.change))
        return err;
    if (r->ino == VFS_TOP_INO) {
        n.change.path = strdup(".");
        return n.change.path ? gather_add(g, &n.change) : -ENOMEM;
    }
    find_events(g, r->ino, &n);
    err = ino_names_each(g->c->names[DELTA_B], r->ino,
                         S_ISDIR(r->at[DELTA_B].mode) ? 1 : r->at[DELTA_B].nlink, take_name, &n);
    return gather_note_missing(g, err);
}

int gather_kept(struct gather *g)
{
    const struct delta *d = &g->c->delta;
    int err = 0;

    for (size_t i = 0; i < d->count && err == 0; i++)
        if (d->inodes[i].in[DELTA_A] && d->inodes[i].in[DELTA_B])
            err = keep_names(g, &d->inodes[i]);
    return err;
}
