// SPDX-License-Identifier: Apache-2.0
/*
 * ship_gather: the difference between the point that the archive has and the new one. It is looked
 * at twice: once for the contents that it names, which are put first, and once for its items, which
 * say where the contents are. Both trees are frozen, so both looks see the same.
 */
#include "ship_impl.h"

#include "array.h"
#include "flush.h"
#include "items_file.h"
#include "names.h"
#include "tree_item.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A namespace is shipped whole when much more than it has was shipped of it since: so what a
 * restore has to load is bounded by what it makes. */
static bool is_due_whole(const struct shipped *e)
{
    return e->is->counted && e->items / 4 > e->is->tree.usage.inodes + 5000;
}

/* The tree that the archive has before a new point; NULL: an empty one. *ret_note: what is noted of
 * it. */
static struct ns *base_of(struct stream *s, const struct shipped *e, struct ns_point *ret_note)
{
    const struct shipped *origin;

    if (e->was && is_due_whole(e))
        return NULL;
    if (e->was) {
        *ret_note = e->note;
        return e->was;
    }
    origin = e->is->origin.ns ? ship_entry(s, e->is->origin.ns) : NULL;
    if (!origin || !origin->was || origin->generation != e->is->origin.generation)
        return NULL;
    *ret_note = origin->note;
    return origin->was;
}

/* Visits what differs from `was` (NULL: an empty tree) to `is`. -ESTALE: a point gave way on a full
 * disk; the next round makes another one. */
static int visit(struct ns *was, struct ns *is, tree_diff_fn *fn, void *ctx)
{
    const struct tree empty = {.pages = is->tree.pages, .refs = is->tree.refs};
    int err;

    if (!was) {
        READ_GUARD(&is->lock);
        return is->live ? tree_diff(&empty, &is->tree, fn, ctx) : -ESTALE;
    }
    ns_rdlock_two(was, is);
    err = was->live && is->live ? tree_diff(&was->tree, &is->tree, fn, ctx) : -ESTALE;
    ns_rdunlock_two(was, is);
    return err;
}

/* ---- contents ---- */

struct needed {
    struct stream *s;
    uint64_t *v; /* numbers of objects */
    size_t count, room;
};

static int need(struct needed *n, uint64_t number)
{
    if (number == 0)
        return 0;
    if (ARRAY_RESERVE(n->v, n->room, n->count + 1) < 0)
        return -ENOMEM;
    n->v[n->count++] = number;
    return 0;
}

/* What the earlier point names is needed, too: only what is sealed has an id, and after a death it
 * may be unsealed again. */
static int need_of_item(struct key k, const void *a, size_t alen, const void *b, size_t blen,
                        void *ctx)
{
    struct needed *n = ctx;
    uint64_t was, is;

    if (item_is_counter(k))
        return 0;
    was = a ? item_object(k, a, alen) : 0;
    is = b ? item_object(k, b, blen) : 0;
    if (ship_is_ending(n->s))
        return -ESHUTDOWN;
    return was == is || need(n, was) == 0 ? need(n, is) : -ENOMEM;
}

/* Collects those of the numbers that are not sealed. */
static int find_unsealed(struct stream *s, const struct needed *all, struct needed *ret)
{
    struct entry e;
    int err = 0;

    for (size_t i = 0; i < all->count && err == 0; i++) {
        err = refs_entry(s->p->refs, all->v[i], true, NULL, &e);
        if (err == 0 && entry_is_unsealed(&e))
            err = need(ret, all->v[i]);
    }
    return err;
}

/* Seals what is not sealed. What equals an object of a draft waits for the commit that has that. */
static int seal(struct stream *s, const struct needed *all)
{
    struct needed unsealed = {.s = s};
    int err = find_unsealed(s, all, &unsealed);

    if (err == 0 && unsealed.count)
        err = seal_fixed(s->p, unsealed.v, unsealed.count);
    if (err == -EAGAIN) {
        err = flush_now(s->p);
        if (err == 0)
            err = seal_fixed(s->p, unsealed.v, unsealed.count);
    }
    free(unsealed.v);
    return err;
}

int ship_contents(struct stream *s)
{
    struct needed n = {.s = s};
    struct ns_point note;
    int err = 0;

    for (size_t i = 0; i < s->count && err == 0; i++)
        if (s->v[i].is)
            err = visit(base_of(s, &s->v[i], &note), s->v[i].is, need_of_item, &n);
    if (err == 0 && n.count)
        err = seal(s, &n);
    if (err < 0)
        (void)ship_fail(s, err, "what changed cannot be read");
    else if (n.count)
        err = ship_objects(s, n.v, n.count);
    free(n.v);
    return err;
}

/* ---- items ---- */

/* An item of one of the two trees, if there is one. */
struct side {
    bool is;
    struct tree_item t;
};

struct gather {
    struct stream *s;
    struct shipped *e;
    struct ns *is;
    struct segment_section *section;
    struct items_file *out;
};

/* Makes the item of one side. `val` NULL: there is none. */
static int make_side(struct gather *g, struct key k, const void *val, size_t len, struct side *ret)
{
    int err;

    ret->is = val;
    if (!val)
        return 0;
    err = tree_item_make(g->s->p, k, val, len, &ret->t);
    if (err == 0 && ret->t.object)
        err = ship_place(g->s, ret->t.object, &ret->t.entry, &ret->t.item.content);
    return err;
}

/* Is it the same but for the places of contents? */
static bool is_same(const struct side *a, const struct side *b)
{
    return a->is && b->is && a->t.item.len == b->t.item.len &&
           memcmp(a->t.val, b->t.val, a->t.item.len) == 0 && a->t.object == b->t.object;
}

static bool is_same_name(const struct segment_item *a, const struct segment_item *b)
{
    return a->name_len == b->name_len &&
           (a->name_len == 0 || memcmp(a->name, b->name, a->name_len) == 0);
}

static int add(struct gather *g, const struct segment_item *i)
{
    uint8_t bytes[SEGMENT_ITEM_MAX];
    size_t len = segment_item_encode(i, bytes);

    g->section->items++;
    ship_jumps_add(g->s, g->e, bytes, len);
    return items_file_add(g->out, bytes, len);
}

/* Has the new tree that name at another key, since names of one hash changed places? Then it is an
 * item that was put. */
static int has_moved(struct gather *g, const struct segment_item *i)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    char name[ITEM_NAME_MAX + 1];
    struct key k;
    int err;

    memcpy(name, i->name, i->name_len);
    name[i->name_len] = '\0';
    err = name_find(g->s->p, &g->is->tree, i->ino, i->type, name, &k, &c);
    if (err == 0)
        tree_cursor_end(&c);
    return err == 0 ? 1 : err == -ENOENT ? 0 : err;
}

static int add_gone(struct gather *g, const struct segment_item *was)
{
    struct segment_item i = {.gone = true,
                             .type = was->type,
                             .ino = was->ino,
                             .rest = was->rest,
                             .name = was->name,
                             .name_len = was->name_len};
    int moved = i.name ? has_moved(g, &i) : 0;

    return moved == 0 ? add(g, &i) : moved < 0 ? moved : 0;
}

static int gather_item(struct key k, const void *a, size_t alen, const void *b, size_t blen,
                       void *ctx)
{
    struct gather *g = ctx;
    struct side was, is;
    int err;

    if (item_is_counter(k))
        return 0;
    err = make_side(g, k, a, alen, &was);
    if (err == 0)
        err = make_side(g, k, b, blen, &is);
    if (err < 0 || is_same(&was, &is))
        return err;
    if (was.is)
        segment_state_take(g->section->state, &was.t.item);
    if (is.is)
        segment_state_add(g->section->state, &is.t.item);
    if (was.is && (!is.is || !is_same_name(&was.t.item, &is.t.item)))
        err = add_gone(g, &was.t.item);
    return err == 0 && is.is ? add(g, &is.t.item) : err;
}

/* Fills what is known of a section before its items are. */
static void begin_section(struct stream *s, const struct shipped *e, struct ns *was,
                          const struct ns_point *note, struct segment_section *ret)
{
    READ_GUARD(&s->p->names.lock);

    *ret = (struct segment_section){
        .kind = SECTION_CHANGE,
        .is = {e->number, e->generation, e->is->hidden.of.seq, e->is->hidden.since},
        .own_ino = e->is->own_ino,
        .inodes = UINT64_MAX,
        .bytes = UINT64_MAX};
    memcpy(ret->name, e->is->name, strlen(e->is->name) + 1);
    if (!was)
        return;
    ret->from = (struct segment_instant){was->hidden.of.ns, was->hidden.of.generation,
                                         was->hidden.of.seq, was->hidden.since};
    ret->from_at = (struct segment_pos){note->epoch, note->serial};
    memcpy(ret->state, note->state, sizeof ret->state);
}

/* A namespace that has left the root: its last section says what it was. */
static void gone_section(struct shipped *e)
{
    struct segment_section gone = {.kind = SECTION_GONE, .is = e->section.is};

    memcpy(gone.name, e->section.name, sizeof gone.name);
    e->section = gone;
}

int ship_gather(struct stream *s, struct shipped *e, struct items_file *out)
{
    struct gather g = {.s = s, .e = e, .is = e->is, .section = &e->section, .out = out};
    struct ns_point note = {.archive = 0}, mine;
    struct ns *was;
    int err;

    if (e->gone) {
        gone_section(e);
        e->section.offset = items_file_len(out);
        return 0;
    }
    was = base_of(s, e, &note);
    begin_section(s, e, was, &note, &e->section);
    e->section.frozen = ns_point_get(s->p, e->is, &mine) && mine.frozen;
    e->section.offset = items_file_len(out);
    ship_jumps_begin(s, e);
    err = visit(was, e->is, gather_item, &g);
    e->section.len = items_file_len(out) - e->section.offset;
    e->items = was ? e->items + e->section.items : 0;
    if (err == 0 && e->is->counted) {
        e->section.inodes = e->is->tree.usage.inodes;
        e->section.bytes = e->is->tree.usage.bytes;
    }
    return err < 0 ? ship_fail(s, err, "the items of %s cannot be gathered", e->section.name) : 0;
}
