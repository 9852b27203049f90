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

/* A namespace is shipped whole when a restore of it would read much more than it has: so what a
 * restore reads is bounded by what it makes, and what has been changed since is not needed for ever
 * (core/prune). A request takes about as long as reading that many items. */
#define STEP_ITEMS 200u
#define MUCH_MORE 4u
#define FEW_ITEMS 5000u /* of a small one it is not worth while */

static bool is_due_whole(const struct shipped *e)
{
    const uint64_t inodes = e->is->tree.usage.inodes;
    const uint64_t has = inodes > e->note.all ? inodes : e->note.all;

    return e->is->counted &&
           (e->note.items + e->note.steps * STEP_ITEMS) / MUCH_MORE > has + FEW_ITEMS;
}

/* What the archive has before a new point, in its `was`; NULL: an empty tree. */
static const struct shipped *base_of(struct stream *s, const struct shipped *e)
{
    const struct shipped *origin;

    if (e->was)
        return e->whole || is_due_whole(e) ? NULL : e;
    origin = e->is->origin.ns ? ship_entry(s, e->is->origin.ns) : NULL;
    if (!origin || !origin->was || origin->whole || origin->generation != e->is->origin.generation)
        return NULL;
    return origin;
}

/* Visits what differs from the base (NULL: an empty tree) to `is`. -ESTALE: a point gave way on a
 * full disk; the next round makes another one. */
static int visit(const struct shipped *base, struct ns *is, tree_diff_fn *fn, void *ctx)
{
    struct ns *was = base ? base->was : NULL;
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
    uint64_t *v; /* numbers of objects */
    size_t count, room;
};
struct contents {
    struct stream *s;
    struct needed sealed, there; /* what is to be sealed, and what the archive is to have */
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

/* What the earlier point names is to be sealed, too: only what is sealed has an id, and after a
 * death it may be unsealed again. */
static int need_of_item(struct key k, const void *a, size_t alen, const void *b, size_t blen,
                        void *ctx)
{
    struct contents *c = ctx;
    uint64_t was, is;

    if (item_is_counter(k))
        return 0;
    was = a ? item_object(k, a, alen) : 0;
    is = b ? item_object(k, b, blen) : 0;
    if (ship_is_ending(c->s))
        return -ESHUTDOWN;
    if (was != is && need(&c->sealed, was) < 0)
        return -ENOMEM;
    return need(&c->sealed, is) == 0 ? need(&c->there, is) : -ENOMEM;
}

/* Collects those of the numbers that are not sealed. One without an entry, which a rebuild may find
 * again, is lost. */
static int find_unsealed(struct stream *s, const struct needed *all, struct needed *ret)
{
    struct entry e;
    int err = 0;

    for (size_t i = 0; i < all->count && err == 0; i++) {
        err = refs_entry(s->p->refs, all->v[i], true, NULL, &e);
        if (err == -ENOENT || err == -EUCLEAN)
            err = map64_put(&s->lost, all->v[i], 1);
        else if (err == 0 && entry_is_unsealed(&e))
            err = need(ret, all->v[i]);
    }
    return err;
}

/* What cannot be sealed, since its bytes cannot be read, is lost. -EAGAIN: something is not sealed
 * yet, and it is not known that it cannot be. */
static int give_up(struct stream *s, const struct needed *unsealed, bool failed)
{
    int err = 0;

    for (size_t i = 0; i < unsealed->count && err == 0; i++) {
        struct entry e;
        struct content *c;

        err = refs_entry(s->p->refs, unsealed->v[i], true, NULL, &e);
        if (err < 0 || !entry_is_unsealed(&e))
            continue;
        c = content_find(s->p, unsealed->v[i]);
        content_unref(c);
        err = c && !failed ? -EAGAIN : map64_put(&s->lost, unsealed->v[i], 1);
    }
    return err;
}

/* Seals what is not sealed. What equals an object of a draft waits for the commit that has that. */
static int seal(struct stream *s, const struct needed *all)
{
    struct needed unsealed = {.count = 0};
    int err = find_unsealed(s, all, &unsealed);

    if (err == 0 && unsealed.count)
        err = seal_fixed(s->p, unsealed.v, unsealed.count);
    if (err == -EAGAIN) {
        err = flush_now(s->p);
        if (err == 0)
            err = seal_fixed(s->p, unsealed.v, unsealed.count);
    }
    if (err == 0 || ship_is_loss(err))
        err = give_up(s, &unsealed, err < 0);
    free(unsealed.v);
    return err;
}

int ship_contents(struct stream *s)
{
    struct contents c = {.s = s};
    int err = 0;

    map64_release(&s->lost);
    s->lost = (struct map64)MAP64_INIT;
    for (size_t i = 0; i < s->count && err == 0; i++)
        if (s->v[i].is)
            err = visit(base_of(s, &s->v[i]), s->v[i].is, need_of_item, &c);
    if (err == 0 && c.sealed.count)
        err = seal(s, &c.sealed);
    if (err < 0)
        (void)ship_fail(s, err, "what changed cannot be read");
    else
        err = ship_objects(s, c.there.v, c.there.count);
    free(c.sealed.v);
    free(c.there.v);
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

/* Makes the item of one side, without the place of its content. `val` NULL: there is none. */
static int make_side(struct gather *g, struct key k, const void *val, size_t len, struct side *ret)
{
    ret->is = val;
    return val ? tree_item_make(g->s->p, k, val, len, &ret->t) : 0;
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

/* The place of the content of an item. What has no id is lost, or was not there yet when it was
 * looked for. */
static int find_place(struct gather *g, struct tree_item *t)
{
    uint64_t none;

    if (!t->made_up)
        return ship_place(g->s, t->object, &t->entry, &t->item.content);
    return map64_get(&g->s->lost, t->object, &none) ? 0 : -EAGAIN;
}

/* Adds an item of the new tree, with the place of its content. */
static int add_put(struct gather *g, struct key k, struct tree_item *t)
{
    int err = t->object ? find_place(g, t) : 0;

    if (err == 0)
        err = add(g, &t->item);
    if (err == 0 && t->object && segment_content_is_lost(&t->item.content))
        err = ship_note_lost(g->s, g->e, k, t);
    return err;
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

/* The archive has the item with another id, which is not known any more. The next round sends the
 * namespace whole. */
static int begin_anew(struct gather *g)
{
    g->e->whole = true;
    return -EAGAIN;
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
    if (err == 0 && was.is && was.t.made_up)
        err = begin_anew(g);
    if (err < 0 || is_same(&was, &is))
        return err;
    if (was.is)
        segment_state_take(g->section->state, &was.t.item);
    if (is.is)
        segment_state_add(g->section->state, &is.t.item);
    if (was.is && (!is.is || !is_same_name(&was.t.item, &is.t.item)))
        err = add_gone(g, &was.t.item);
    return err == 0 && is.is ? add_put(g, k, &is.t) : err;
}

/* An item whose content the archive did not have. If it is the same in the new tree the difference
 * does not have it: it is put again if its content is there by now. */
static int gather_lost(struct gather *g, const struct tree *before, const struct lost_item *l)
{
    uint8_t a[PAGE_VALUE_MAX], b[PAGE_VALUE_MAX];
    struct segment_content place;
    struct side was, is;
    size_t alen, blen;
    int has, err = tree_get(before, l->key, a, sizeof a, &alen);

    if (err == 0)
        err = tree_get(&g->is->tree, l->key, b, sizeof b, &blen);
    if (err == 0)
        err = make_side(g, l->key, a, alen, &was);
    if (err == 0)
        err = make_side(g, l->key, b, blen, &is);
    if (err == 0 && was.t.made_up)
        err = begin_anew(g);
    if (err < 0 || !is_same(&was, &is))
        return err == -ENOENT ? 0 : err;
    has = ship_has(g->s, is.t.object, &is.t.entry, &place);
    if (has < 0)
        return has;
    return has ? add_put(g, l->key, &is.t) : ship_note_lost(g->s, g->e, l->key, &is.t);
}

static int gather_all_lost(struct gather *g, const struct shipped *base)
{
    int err = 0;

    if (base->lost.count == 0)
        return 0;
    ns_rdlock_two(base->was, g->is);
    if (!base->was->live || !g->is->live)
        err = -ESTALE;
    for (size_t i = 0; i < base->lost.count && err == 0; i++)
        err = gather_lost(g, &base->was->tree, &base->lost.v[i]);
    ns_rdunlock_two(base->was, g->is);
    return err;
}

/* Fills what is known of a section before its items are. */
static void begin_section(struct stream *s, const struct shipped *e, const struct shipped *base,
                          struct segment_section *ret)
{
    READ_GUARD(&s->p->names.lock);

    *ret = (struct segment_section){
        .kind = SECTION_CHANGE,
        .is = {e->number, e->generation, e->is->hidden.of.seq, e->is->hidden.since},
        .own_ino = e->is->own_ino,
        .inodes = UINT64_MAX,
        .bytes = UINT64_MAX};
    memcpy(ret->name, e->is->name, strlen(e->is->name) + 1);
    if (!base)
        return;
    ret->from = (struct segment_instant){base->was->hidden.of.ns, base->was->hidden.of.generation,
                                         base->was->hidden.of.seq, base->was->hidden.since};
    ret->from_at = (struct segment_pos){base->note.epoch, base->note.serial};
    memcpy(ret->state, base->note.state, sizeof ret->state);
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
    const struct shipped *base;
    struct ns_point mine;
    int err;

    if (e->gone) {
        gone_section(e);
        e->section.offset = items_file_len(out);
        return 0;
    }
    base = base_of(s, e);
    begin_section(s, e, base, &e->section);
    e->section.frozen = ns_point_get(s->p, e->is, &mine) && mine.frozen;
    e->section.offset = items_file_len(out);
    ship_jumps_begin(s, e, base ? base->note.steps : 0);
    ship_lost_begin(e);
    err = visit(base, e->is, gather_item, &g);
    if (err == 0 && base)
        err = gather_all_lost(&g, base);
    e->section.lost = e->losing.count;
    e->section.len = items_file_len(out) - e->section.offset;
    e->items = base ? base->note.items + e->section.items : 0;
    e->steps = base ? base->note.steps + 1 : 0;
    e->all = base ? base->note.all : e->section.items;
    if (err == 0 && e->is->counted) {
        e->section.inodes = e->is->tree.usage.inodes;
        e->section.bytes = e->is->tree.usage.bytes;
    }
    return err < 0 ? ship_fail(s, err, "the items of %s cannot be gathered", e->section.name) : 0;
}
