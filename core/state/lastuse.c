// SPDX-License-Identifier: Apache-2.0
/*
 * lastuse: the day of an object's last open, for `move idle=AGE`. An open only notes in memory what
 * was opened, once a day: it neither waits nor reads. Before the next flush the days are written
 * into the entries. What a crash loses of it is lost.
 *
 * `seen` has what was noted lately. What it has lost, or what a full list had no room for, is noted
 * again by the next open; noting it twice does no harm.
 */
#include "array.h"
#include "state.h"
#include "walk_live.h"
#include <stdlib.h>
#include <string.h>

#define LASTUSE_MAX (UINT32_C(1) << 20) /* notes between two flushes, at most */
#define LASTUSE_AT_ONCE 256             /* entries changed under one hold of the freeze lock */
#define DAY (24 * 3600 * NSEC_PER_SEC)

/* Days since 1970 by the store's clock; at least 1, since 0 means unknown. */
static uint16_t day_of_today(struct state *p)
{
    int64_t day = now(p) / DAY;

    return day < 1 ? 1 : day > UINT16_MAX ? UINT16_MAX : (uint16_t)day;
}

/* ---- noting ---- */

/* The value by which `seen` knows a note, with its bits mixed. */
static uint64_t seen_as(const struct lastuse_note *what)
{
    return (what->key * 2 + what->inode) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Notes what was opened, unless `seen` has it. On a new day `seen` begins empty. */
static void note_use(struct state *p, struct lastuse_note what)
{
    struct lastuse *t = &p->lastuse;
    uint64_t as = seen_as(&what), *slot = &t->seen[as >> 40 & (LASTUSE_SEEN - 1)];
    uint16_t today = day_of_today(p);
    MUTEX_GUARD(&t->lock);

    if (t->day != today) {
        memset(t->seen, 0, sizeof t->seen);
        t->day = today;
    }
    if (*slot == as || t->count >= LASTUSE_MAX || ARRAY_RESERVE(t->v, t->room, t->count + 1) < 0)
        return;
    *slot = as;
    t->v[t->count++] = what;
}

void lastuse_note_object(struct state *p, uint64_t number)
{
    if (!atomic_load(&p->readonly))
        note_use(p, (struct lastuse_note){number, false});
}

void lastuse_note_open(struct state *p, uint64_t nodeid, const struct inode *in)
{
    if (atomic_load(&p->readonly))
        return;
    if (in->flags & INODE_EXTENTS)
        note_use(p, (struct lastuse_note){nodeid, true});
    else if (in->object)
        note_use(p, (struct lastuse_note){in->object, false});
}

/* ---- remembering ---- */

/* Objects that get a day: those of one piece of a walk at most. */
struct piece {
    struct state *p;
    uint16_t day;
    size_t count;
    uint64_t v[WALK_AT_ONCE];
};

/* Writes the day into the entries of the piece, which is empty afterwards. The caller holds no
 * lock. */
static int apply(void *ctx)
{
    struct piece *l = ctx;

    for (size_t i = 0; i < l->count;) {
        READ_GUARD(&l->p->freeze_lock);
        for (size_t n = 0; n < LASTUSE_AT_ONCE && i < l->count; n++, i++)
            (void)refs_set_lastuse(l->p->refs, refs_resolve(l->p->refs, l->v[i]), l->day);
    }
    l->count = 0;
    return 0;
}

/* Notes the object of an item; extended attributes are not opened with the file. */
static int add_object(struct key k, const void *val, size_t len, void *ctx)
{
    struct piece *l = ctx;
    uint64_t number = item_object(k, val, len);

    if (number && key_type(k) != ITEM_XATTR)
        l->v[l->count++] = number;
    return 0;
}

/* Applies the day to the objects of a file in pieces, and to what `l` has. */
static void apply_to_inode(struct piece *l, uint64_t nodeid)
{
    struct key_range r;
    struct ns *ns;

    (void)apply(l);
    if (ns_get(l->p, vfs_node_ns(nodeid), &ns) < 0)
        return;
    {
        READ_GUARD(&ns->lock);
        r = range_of_inode(ns_ino_of(ns, nodeid));
    }
    struct walk w = {WALK_LIVE(&ns->lock, &ns->tree),
                     .from = r.from,
                     .to = r.to,
                     .fn = add_object,
                     .ctx = l,
                     .pause = apply,
                     .pause_ctx = l};
    (void)walk_items(&w);
    ns_put(l->p, ns);
    (void)apply(l);
}

void lastuse_apply(struct state *p)
{
    struct lastuse *t = &p->lastuse;
    struct piece l = {.p = p};
    struct lastuse_note *v;
    size_t count;

    {
        MUTEX_GUARD(&t->lock);
        v = t->v;
        count = t->count;
        l.day = t->day;
        t->v = NULL;
        t->count = t->room = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (v[i].inode) {
            apply_to_inode(&l, v[i].key);
            continue;
        }
        l.v[l.count++] = v[i].key;
        if (l.count == WALK_AT_ONCE)
            (void)apply(&l);
    }
    (void)apply(&l);
    free(v);
}

void lastuse_release(struct state *p)
{
    free(p->lastuse.v);
    p->lastuse.v = NULL;
}
