// SPDX-License-Identifier: Apache-2.0
/* damage: see the header. Uses are kept in the order of their first inodes, in which the walk meets
 * them. */
#include "damage.h"
#include "array.h"
#include "item.h"
#include <errno.h>
#include <stdlib.h>

/* A use, and the names of its inodes. */
struct use {
    struct damage_use is;
    struct name {
        struct name *next;
        uint64_t dir;
        char text[];
    } *names;
    unsigned name_count;
};

/* A look through one tree. */
struct looking {
    struct damage *d;
    const struct damage_look *o;
    struct use *v;
    size_t count, room;
};

/* ---- the set ---- */

int damage_add(struct damage *d, enum damage_kind kind, uint64_t number, const char *name)
{
    struct map64 *map = kind == DAMAGE_OBJECT ? &d->objects : &d->pages;
    struct damaged_thing t = {.kind = kind, .number = number};
    uint64_t none;
    int err;

    if (map64_get(map, number, &none))
        return 0;
    if (ARRAY_RESERVE(d->v, d->room, d->count + 1) < 0 || (name && !(t.name = strdup(name))))
        return -ENOMEM;
    err = map64_put(map, number, d->count);
    if (err < 0) {
        free(t.name);
        return err;
    }
    d->v[d->count++] = t;
    return 0;
}

void damage_release(struct damage *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->v[i].name);
    free(d->v);
    map64_release(&d->objects);
    map64_release(&d->pages);
    *d = (struct damage){.count = 0};
}

/* ---- the first walk: uses ---- */

/* Adds a use. An inode that uses a thing several times counts once. */
static int add_use(struct looking *l, struct damaged_thing *t, struct damage_use use)
{
    if (t->met && use.first <= t->last) /* another part of the same file, or of the same page */
        return 0;
    t->met = true;
    t->last = use.last;
    t->users++;
    if (t->told >= DAMAGE_PATHS)
        return 0;
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    use.thing = t;
    l->v[l->count++] = (struct use){.is = use};
    t->told++;
    return 0;
}

/* Called for each item: does it name one of the objects, or an alias of one? */
static int take_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct looking *l = ctx;
    const struct map64 *objects = &l->d->objects;
    uint64_t number = item_object(k, val, len), thing;

    if (!number || objects->count == 0)
        return 0;
    if (!map64_get(objects, number, &thing) &&
        !map64_get(objects, l->o->resolve(number, l->o->ctx), &thing))
        return 0;
    return add_use(l, &l->d->v[thing],
                   (struct damage_use){
                       .first = key_ino(k), .last = key_ino(k), .off = k.lo, .type = key_type(k)});
}

/* Called for each page on the way. False: it cannot be read, so the walk goes on behind it. Without
 * memory this use is not said. */
static bool take_page(uint64_t no, struct key first, const struct key *end, void *ctx)
{
    struct looking *l = ctx;
    /* `end` is the first item of its inode, which is then not below the page */
    bool before = end && key_type(*end) <= ITEM_INODE && end->lo == 0;
    uint64_t high = end ? key_ino(*end) - before : KEY_INO_MAX, thing;

    if (!map64_get(&l->d->pages, no, &thing))
        return true;
    (void)add_use(l, &l->d->v[thing], (struct damage_use){.first = key_ino(first), .last = high});
    return !l->d->v[thing].hidden;
}

/* ---- the second walk: names ---- */

/* The first use that may be of this inode: uses of pages are of ranges, which may begin anywhere
 * before it. */
static size_t find_use(const struct looking *l, uint64_t ino)
{
    size_t low = 0, high = l->d->pages.count ? 0 : l->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->v[mid].is.first < ino)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool wants_name(const struct use *u, uint64_t ino)
{
    return ino >= u->is.first && ino <= u->is.last &&
           u->name_count < (u->is.first == u->is.last ? 1 : DAMAGE_PATHS);
}

/* Adds a name as the last one of a use. */
static int add_name(struct use *u, uint64_t dir, const struct dirent_item *d)
{
    struct name *n = malloc(sizeof *n + d->name_len + 1), **at = &u->names;

    if (!n)
        return -ENOMEM;
    n->next = NULL;
    n->dir = dir;
    memcpy(n->text, d->name, d->name_len);
    n->text[d->name_len] = 0;
    while (*at)
        at = &(*at)->next;
    *at = n;
    u->name_count++;
    return 0;
}

/* Called for each item in the second walk: is it the name of an inode with a use? */
static int take_name(struct key k, const void *val, size_t len, void *ctx)
{
    struct looking *l = ctx;
    struct dirent_item d;
    int err = 0;

    if (key_type(k) != ITEM_DIRENT || dirent_decode(val, len, &d) < 0)
        return 0;
    for (size_t i = find_use(l, d.ino); err == 0 && i < l->count && l->v[i].is.first <= d.ino; i++)
        if (wants_name(&l->v[i], d.ino))
            err = add_name(&l->v[i], key_ino(k), &d);
    return err;
}

/* ---- both ---- */

static int walk_tree(struct looking *l,
                     int (*fn)(struct key k, const void *val, size_t len, void *ctx),
                     bool (*page)(uint64_t no, struct key first, const struct key *end, void *ctx))
{
    struct walk w = l->o->tree;
    int err;

    w.to = (struct key){UINT64_MAX, UINT64_MAX};
    w.fn = fn;
    w.page = page;
    w.ctx = l;
    err = w.pause ? w.pause(w.pause_ctx) : 0;
    return err ? err : walk_items(&w);
}

/* Says one use: with each of its names, and without one. */
static int say_use(const struct looking *l, const struct use *u)
{
    int err = 0;

    if (u->is.first != u->is.last || !u->names)
        err = l->o->say(&u->is, 0, NULL, l->o->ctx);
    for (const struct name *n = u->names; n && err == 0; n = n->next)
        err = l->o->say(&u->is, n->dir, n->text, l->o->ctx);
    return err;
}

static void release(struct looking *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (struct name *n = l->v[i].names, *next; n; n = next) {
            next = n->next;
            free(n);
        }
    free(l->v);
}

int damage_look(struct damage *d, const struct damage_look *o)
{
    struct looking l = {.d = d, .o = o};
    int err;

    for (size_t i = 0; i < d->count; i++)
        d->v[i].met = false;
    err = walk_tree(&l, take_item, d->pages.count ? take_page : NULL);
    if (err == 0 && l.count && !o->nameless)
        err = walk_tree(&l, take_name, NULL);
    for (size_t i = 0; i < l.count && err == 0; i++)
        err = say_use(&l, &l.v[i]);
    release(&l);
    return err;
}
