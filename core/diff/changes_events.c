// SPDX-License-Identifier: Apache-2.0
/* changes_events: the events of a delta, and what the steps that look at them share: paths,
 * changes, verdicts (changes_impl.h). */
#include "array.h"
#include "changes_impl.h"
#include <stdlib.h>

#define PATH_ROOM (256 * 1024) /* bytes; a path is shorter */

/* ---- paths ---- */

/* Remembers that names are missing, and goes on, so that all that are missing are found in one
 * search. */
int gather_note_missing(struct gather *g, int err)
{
    g->missing |= err == -EAGAIN;
    return err == -EAGAIN ? 0 : err;
}

/* Copies the path that was made with the result `err`. *ret is NULL if names are missing. */
static int keep_path(struct gather *g, int err, char **ret)
{
    size_t len = g->path.room - g->path.start;

    *ret = NULL;
    if (err < 0)
        return gather_note_missing(g, err);
    err = diff_room_take(g->c->room, len);
    if (err < 0)
        return err;
    *ret = malloc(len);
    if (!*ret)
        return -ENOMEM;
    memcpy(*ret, g->path.text + g->path.start, len);
    return 0;
}

/* The path of a name. *ret is NULL if names are missing. */
int gather_path(struct gather *g, int side, uint64_t parent, const char *name, size_t len,
                char **ret)
{
    path_begin(&g->path);
    path_prepend(&g->path, name, len);
    return keep_path(g, ino_names_climb(g->c->names[side], parent, &g->path), ret);
}

int gather_event_path(struct gather *g, const struct event *e, char **ret)
{
    const struct delta_name *n = gather_name(g, e);

    return gather_path(g, e->side, n->parent, delta_text(&g->c->delta, n), n->len, ret);
}

bool gather_is_one_file(const struct delta *d, uint64_t ino)
{
    const struct delta_inode *r = delta_find(d, ino);

    return !r || r->same;
}

/* The path that an event of side A would have on side B, if all stood where its directory is now:
 * up to a directory that is on both sides its names are those of side A, above it those of
 * side B. */
int gather_event_image(struct gather *g, const struct event *e, char **ret)
{
    const struct delta_name *n = gather_name(g, e);
    uint64_t dir = n->parent;
    int err = 0;

    path_begin(&g->path);
    path_prepend(&g->path, delta_text(&g->c->delta, n), n->len);
    for (unsigned depth = 0; !gather_is_one_file(&g->c->delta, dir) && err == 0; depth++)
        err = depth < INO_NAMES_DEPTH ? ino_names_step(g->c->names[DELTA_A], &dir, &g->path)
                                      : -EUCLEAN;
    if (err == 0)
        err = ino_names_climb(g->c->names[DELTA_B], dir, &g->path);
    return keep_path(g, err, ret);
}

/* ---- changes and verdicts ---- */

/* Adds a change, which takes over the paths; where a path is missing nothing is added. */
int gather_add(struct gather *g, const struct change *change)
{
    struct changes *c = g->c;
    int err = change->path ? diff_room_take(c->room, sizeof *change) : 0;

    if (err == 0)
        err = ARRAY_RESERVE(c->v, c->v_room, c->count + 1);
    if (err < 0 || !change->path || (change->status == 'R' && !change->from)) {
        free(change->path);
        free(change->from);
        return err;
    }
    c->v[c->count++] = *change;
    return 0;
}

/* Loads an inode of one side, from the delta or from the tree. */
int gather_load(struct gather *g, int side, uint64_t ino, struct inode *ret)
{
    const struct delta_inode *r = delta_find(&g->c->delta, ino);
    size_t len;
    uint8_t buf[INODE_ITEM_MAX];
    int err;

    if (r && r->in[side]) {
        *ret = r->at[side];
        return 0;
    }
    err = tree_get(g->c->tree[side], key_make(ino, ITEM_INODE, 0), buf, sizeof buf, &len);
    if (err == 0)
        err = inode_decode(buf, len, ret);
    return err == -ENOENT ? -EUCLEAN : err;
}

/* Makes the verdict of two inodes of one type; *ret is its index + 1. */
int gather_judge(struct gather *g, const struct delta_inode *record, uint64_t a, uint64_t b,
                 size_t *ret)
{
    struct changes *c = g->c;
    struct verdict_sides s = {.tree = {c->tree[DELTA_A], c->tree[DELTA_B]},
                              .ino = {a, b},
                              .record = record,
                              .room = c->room};
    int err = diff_room_take(c->room, sizeof *c->verdicts);

    if (record)
        s.blocks = c->delta.blocks + record->first_block;
    if (err == 0)
        err = ARRAY_RESERVE(c->verdicts, c->verdicts_room, c->verdict_count + 1);
    for (int side = 0; side < DELTA_SIDES && err == 0; side++)
        err = gather_load(g, side, s.ino[side], &s.at[side]);
    if (err < 0)
        return err;
    c->verdicts[c->verdict_count] = (struct verdict){0};
    *ret = ++c->verdict_count;
    return verdict_begin(&s, &c->verdicts[*ret - 1]);
}

/* The same for the two sides of one file; 0 where nothing of it differs. */
int gather_judge_one(struct gather *g, const struct delta_inode *r, size_t *ret)
{
    size_t *known = r ? &g->verdict_of[r - g->c->delta.inodes] : NULL;
    int err = 0;

    if (r && !*known)
        err = gather_judge(g, r, r->ino, r->ino, known);
    *ret = r ? *known : 0;
    return err;
}

/* ---- events ---- */

int gather_compare_events(const void *x, const void *y)
{
    const struct event *a = x, *b = y;

    if (a->ino != b->ino)
        return a->ino < b->ino ? -1 : 1;
    if (a->side != b->side)
        return a->side - b->side;
    return (a->name > b->name) - (a->name < b->name);
}

static int make_events(struct gather *g)
{
    const struct delta *d = &g->c->delta;
    int err = diff_room_take(g->c->room,
                             (d->name_count + 1) * (2 * sizeof *g->events + sizeof *g->of_name));

    if (err < 0)
        return err;
    g->events = calloc(2 * d->name_count + 1, sizeof *g->events);
    g->of_name = calloc(d->name_count + 1, sizeof *g->of_name);
    g->verdict_of = calloc(d->count + 1, sizeof *g->verdict_of);
    g->path = (struct path){.text = malloc(PATH_ROOM), .room = PATH_ROOM, .top = VFS_TOP_INO};
    if (!g->events || !g->of_name || !g->verdict_of || !g->path.text)
        return -ENOMEM;
    for (size_t i = 0; i < d->name_count; i++)
        for (int s = 0; s < DELTA_SIDES; s++)
            if (d->names[i].ino[s])
                g->events[g->count++] =
                    (struct event){.ino = d->names[i].ino[s], .name = i, .side = s};
    qsort(g->events, g->count, sizeof *g->events, gather_compare_events);
    for (size_t i = 0; i < g->count; i++)
        g->of_name[g->events[i].name][g->events[i].side] = i + 1;
    return 0;
}

/* What is known of a name alone is a hint for paths. */
static int hint_events(struct gather *g)
{
    int err = 0;

    for (size_t i = 0; i < g->count && err == 0; i++) {
        const struct event *e = &g->events[i];
        err = ino_names_hint(g->c->names[e->side], e->ino, gather_name(g, e)->at[e->side]);
    }
    return err;
}

int gather_events(struct gather *g)
{
    int err = make_events(g);

    return err < 0 ? err : hint_events(g);
}

size_t gather_end_of_side(const struct gather *g, size_t i)
{
    size_t end = i;

    while (end < g->count && g->events[end].ino == g->events[i].ino &&
           g->events[end].side == g->events[i].side)
        end++;
    return end;
}

void gather_end(struct gather *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free(g->events[i].path);
        free(g->events[i].image);
    }
    free(g->events);
    free(g->of_name);
    free(g->verdict_of);
    free(g->path.text);
}
