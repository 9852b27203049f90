// SPDX-License-Identifier: Apache-2.0
/*
 * changes: see the header.
 *
 * Each side of each name of the delta is an *event*: there the name leads to that inode. The steps
 * below take events one after the other, and an event that was taken says nothing any more:
 * renames, files that have a name in common, then those with one path, then those with one object.
 * What is left was deleted or is new.
 */
#include "changes.h"
#include "array.h"
#include <stdlib.h>
#include <sys/stat.h>

#define PATH_ROOM (256 * 1024) /* bytes; a path is shorter */

struct event {
    uint64_t ino;
    size_t name; /* index in delta.names */
    int side;
    bool taken;
    /* Of one that is left, owned; NULL: not made yet. `image`, of side A: the path that
     * it would have on side B. */
    char *path, *image;
};

struct gather {
    struct changes *c;
    struct event *events; /* by inode, side and name */
    size_t count;
    size_t (*of_name)[DELTA_SIDES]; /* of each name: index + 1 of its events */
    size_t *verdict_of; /* of each inode of the delta: index + 1 of the verdict of both sides */
    struct path path;   /* room for one path */
    bool missing;       /* names are missing */
};

static struct delta_name *name_of(const struct gather *g, const struct event *e)
{
    return &g->c->delta.names[e->name];
}

/* ---- paths ---- */

/* Remembers that names are missing, and goes on, so that all that are missing are found in one
 * search. */
static int note_missing(struct gather *g, int err)
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
        return note_missing(g, err);
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
static int make_path(struct gather *g, int side, uint64_t parent, const char *name, size_t len,
                     char **ret)
{
    path_begin(&g->path);
    path_prepend(&g->path, name, len);
    return keep_path(g, ino_names_climb(g->c->names[side], parent, &g->path), ret);
}

static int event_path(struct gather *g, const struct event *e, char **ret)
{
    const struct delta_name *n = name_of(g, e);

    return make_path(g, e->side, n->parent, delta_text(&g->c->delta, n), n->len, ret);
}

static bool is_one_file(const struct delta *d, uint64_t ino)
{
    const struct delta_inode *r = delta_find(d, ino);

    return !r || r->same;
}

/* The path that an event of side A would have on side B, if all stood where its directory is now:
 * up to a directory that is on both sides its names are those of side A, above it those of
 * side B. */
static int event_image(struct gather *g, const struct event *e, char **ret)
{
    const struct delta_name *n = name_of(g, e);
    uint64_t dir = n->parent;
    int err = 0;

    path_begin(&g->path);
    path_prepend(&g->path, delta_text(&g->c->delta, n), n->len);
    for (unsigned depth = 0; !is_one_file(&g->c->delta, dir) && err == 0; depth++)
        err = depth < INO_NAMES_DEPTH ? ino_names_step(g->c->names[DELTA_A], &dir, &g->path)
                                      : -EUCLEAN;
    if (err == 0)
        err = ino_names_climb(g->c->names[DELTA_B], dir, &g->path);
    return keep_path(g, err, ret);
}

/* ---- changes and verdicts ---- */

/* Adds a change, which takes over the paths; where a path is missing nothing is added. */
static int add_change(struct gather *g, const struct change *change)
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
static int load(struct gather *g, int side, uint64_t ino, struct inode *ret)
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
static int judge(struct gather *g, const struct delta_inode *record, uint64_t a, uint64_t b,
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
        err = load(g, side, s.ino[side], &s.at[side]);
    if (err < 0)
        return err;
    c->verdicts[c->verdict_count] = (struct verdict){0};
    *ret = ++c->verdict_count;
    return verdict_begin(&s, &c->verdicts[*ret - 1]);
}

/* The same for the two sides of one file; 0 where nothing of it differs. */
static int judge_one(struct gather *g, const struct delta_inode *r, size_t *ret)
{
    size_t *known = r ? &g->verdict_of[r - g->c->delta.inodes] : NULL;
    int err = 0;

    if (r && !*known)
        err = judge(g, r, r->ino, r->ino, known);
    *ret = r ? *known : 0;
    return err;
}

/* ---- events ---- */

static int compare_events(const void *x, const void *y)
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
    g->path.text = malloc(PATH_ROOM);
    if (!g->events || !g->of_name || !g->verdict_of || !g->path.text)
        return -ENOMEM;
    for (size_t i = 0; i < d->name_count; i++)
        for (int s = 0; s < DELTA_SIDES; s++)
            if (d->names[i].ino[s])
                g->events[g->count++] =
                    (struct event){.ino = d->names[i].ino[s], .name = i, .side = s};
    qsort(g->events, g->count, sizeof *g->events, compare_events);
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
        err = ino_names_hint(g->c->names[e->side], e->ino, name_of(g, e)->at[e->side]);
    }
    return err;
}

/* ---- step 1: renames ---- */

static int rename_event(struct gather *g, struct event *from, struct event *to)
{
    struct change change = {.status = 'R'};
    struct inode in;
    int err = load(g, DELTA_B, to->ino, &in);

    change.mode = in.mode;
    if (err == 0)
        err = judge_one(g, delta_find(&g->c->delta, to->ino), &change.verdict);
    if (err == 0)
        err = event_path(g, from, &change.from);
    if (err == 0)
        err = event_path(g, to, &change.path);
    from->taken = to->taken = true;
    if (err < 0) {
        free(change.from);
        free(change.path);
        return err;
    }
    return add_change(g, &change);
}

/* The end of the events from `i` on that have one inode and one side. */
static size_t end_of_side(const struct gather *g, size_t i)
{
    size_t end = i;

    while (end < g->count && g->events[end].ino == g->events[i].ino &&
           g->events[end].side == g->events[i].side)
        end++;
    return end;
}

/* Names of one file that are gone and as many that are new are renames, in order. */
static int find_renames(struct gather *g)
{
    int err = 0;

    for (size_t i = 0, end; i < g->count && err == 0; i = end) {
        const size_t to = end = end_of_side(g, i);
        const uint64_t ino = g->events[i].ino;
        if (g->events[i].side != DELTA_A || to == g->count || g->events[to].ino != ino ||
            !is_one_file(&g->c->delta, ino))
            continue;
        end = end_of_side(g, to);
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
        if (key_compare(name_of(n->g, &n->events[i])->at[DELTA_B], at) == 0)
            return 0;
    err = make_path(n->g, DELTA_B, key_ino(at), e->name, e->name_len, &n->change.path);
    return err < 0 ? err : add_change(n->g, &n->change);
}

/* The events of an inode on side B. */
static void find_events(const struct gather *g, uint64_t ino, struct naming *ret)
{
    struct event wanted = {.ino = ino, .side = DELTA_B};
    size_t low = 0, high = g->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_events(&g->events[mid], &wanted) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    ret->events = g->events + low;
    ret->count = low < g->count && g->events[low].ino == ino && g->events[low].side == DELTA_B
                     ? end_of_side(g, low) - low
                     : 0;
}

/* Judges a number that both sides have, as one file or as two. */
static int judge_number(struct gather *g, const struct delta_inode *r, struct change *ret)
{
    if (r->same)
        return judge_one(g, r, &ret->verdict);
    if ((r->at[DELTA_A].mode & S_IFMT) == (r->at[DELTA_B].mode & S_IFMT))
        return judge(g, NULL, r->ino, r->ino, &ret->verdict);
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
        return n.change.path ? add_change(g, &n.change) : -ENOMEM;
    }
    find_events(g, r->ino, &n);
    err = ino_names_each(g->c->names[DELTA_B], r->ino,
                         S_ISDIR(r->at[DELTA_B].mode) ? 1 : r->at[DELTA_B].nlink, take_name, &n);
    return note_missing(g, err);
}

static int find_kept(struct gather *g)
{
    const struct delta *d = &g->c->delta;
    int err = 0;

    for (size_t i = 0; i < d->count && err == 0; i++)
        if (d->inodes[i].in[DELTA_A] && d->inodes[i].in[DELTA_B])
            err = keep_names(g, &d->inodes[i]);
    return err;
}

/* ---- step 3: other files under one name, or one path ---- */

/* `a` was replaced by `b` at the path, which is taken over. */
static int replace(struct gather *g, struct event *a, struct event *b, char *path)
{
    struct change change = {.status = 'M', .path = path};
    struct inode was, is;
    int err = load(g, DELTA_A, a->ino, &was);

    if (err == 0)
        err = load(g, DELTA_B, b->ino, &is);
    if (err == 0 && (was.mode & S_IFMT) != (is.mode & S_IFMT))
        change.status = 'T';
    else if (err == 0)
        err = judge(g, NULL, a->ino, b->ino, &change.verdict);
    a->taken = b->taken = true;
    if (err < 0) {
        free(path);
        return err;
    }
    change.mode = is.mode;
    return add_change(g, &change);
}

static int find_replaced(struct gather *g)
{
    for (size_t i = 0; i < g->c->delta.name_count; i++) {
        size_t a = g->of_name[i][DELTA_A], b = g->of_name[i][DELTA_B];
        char *path;
        if (!a || !b || g->events[a - 1].taken || g->events[b - 1].taken)
            continue;
        int err = event_path(g, &g->events[b - 1], &path);
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
        err = event_path(g, e, &e->path);
        if (err == 0 && e->side == DELTA_A)
            err = event_image(g, e, &e->image);
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
    int err = judge(g, NULL, from->ino, to->ino, &change.verdict);

    if (err < 0)
        return err;
    change.mode = delta_find(&g->c->delta, to->ino)->at[DELTA_B].mode;
    from->taken = to->taken = true;
    from->path = to->path = NULL;
    return add_change(g, &change);
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
            err = load(g, s, e->ino, &in);
            if (err < 0)
                break;
            change.mode = in.mode;
            e->path = NULL;
            err = add_change(g, &change);
        }
    }
    return err;
}

/* ---- the whole ---- */

static int gather_left(struct gather *g)
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

static void gather_end(struct gather *g)
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

int changes_gather(struct changes *c, uint64_t own, const _Atomic bool *interrupted)
{
    struct gather g = {.c = c, .path = {.room = PATH_ROOM, .top = VFS_TOP_INO}};
    int err;

    c->delta = (struct delta)DELTA_INIT(c->room);
    err = delta_gather(c->tree[DELTA_A], c->tree[DELTA_B], own, interrupted, &c->delta);
    if (err == 0)
        err = make_events(&g);
    if (err == 0)
        err = hint_events(&g);
    if (err == 0)
        err = find_renames(&g);
    if (err == 0)
        err = find_kept(&g);
    if (err == 0)
        err = find_replaced(&g);
    if (err == 0)
        err = gather_left(&g);
    gather_end(&g);
    return err == 0 && g.missing ? -EAGAIN : err;
}

/* Where a change stands in the list. */
static int rank(const struct change *x)
{
    return x->status == 'D' ? 0 : x->status == 'a' ? 2 : 1;
}

static int compare_changes(const void *x, const void *y)
{
    const struct change *a = x, *b = y;
    int order = rank(a) - rank(b);

    return order ? order : strcmp(a->path, b->path);
}

/* Takes over what the verdict says. False: it is no change. */
static bool apply(struct changes *c, struct change *x)
{
    const struct verdict *v = x->verdict ? &c->verdicts[x->verdict - 1] : NULL;

    if (v) {
        x->modified = v->modified;
        x->attrs = v->attrs;
        x->unread = v->unread;
        c->unread += v->unread;
    }
    if (x->status == 'M' && !x->modified)
        x->status = 'a';
    return x->status != 'a' || x->attrs;
}

int changes_compare(struct state *p, struct changes *c, const _Atomic bool *interrupted)
{
    size_t kept = 0;
    int err = 0;

    for (size_t i = 0; i < c->verdict_count && err == 0; i++)
        err = verdict_end(p, &c->verdicts[i], interrupted);
    if (err < 0)
        return err;
    for (size_t i = 0; i < c->count; i++) {
        struct change x = c->v[i];
        if (apply(c, &x)) {
            c->v[kept++] = x;
        } else {
            free(x.path);
            free(x.from);
        }
    }
    c->count = kept;
    if (kept)
        qsort(c->v, kept, sizeof *c->v, compare_changes);
    return 0;
}

void changes_end(struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->v[i].path);
        free(c->v[i].from);
    }
    for (size_t i = 0; i < c->verdict_count; i++)
        verdict_release(c->tree[DELTA_A]->refs, &c->verdicts[i]);
    free(c->v);
    free(c->verdicts);
    delta_release(&c->delta);
    c->v = NULL;
    c->verdicts = NULL;
    c->count = c->v_room = c->verdict_count = c->verdicts_room = 0;
}
