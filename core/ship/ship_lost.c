// SPDX-License-Identifier: Apache-2.0
/*
 * ship_lost: contents that could not be read when they were to be shipped. The archive has their
 * items, which say that the bytes are lost; the stream knows which items these are. The state sum
 * of a tree does not depend on places, so once the bytes can be read they are put, and the next
 * section has those items again, with the place (ship_gather.c). Nothing else is sent for that.
 *
 * After a mount it is not known which items they are, only how many (ns_point.h). Then the tree of
 * the point is walked: they are among those whose object the archive has no place for. If these
 * are fewer, another namespace has had some of the objects shipped meanwhile, just before a death;
 * then the next section begins with an empty tree.
 */
#include "ship_impl.h"

#include "array.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define RETRY_FIRST (60 * NSEC_PER_SEC)      /* how long after a loss the bytes are read again, */
#define RETRY_MAX (24 * 3600 * NSEC_PER_SEC) /* later and later up to this */
#define TOLD_MAX 8 /* objects of one segment that have a sentence of their own */

/* ---- the lists ---- */

static int add(struct lost_items *l, struct key k, uint64_t object, bool made_up)
{
    int err = ARRAY_RESERVE(l->v, l->room, l->count + 1);

    if (err == 0)
        l->v[l->count++] = (struct lost_item){k, object, made_up};
    return err;
}

static void clear(struct lost_items *l)
{
    free(l->v);
    *l = (struct lost_items){0};
}

void ship_lost_begin(struct shipped *e)
{
    e->losing.count = 0;
    e->made_up = false;
}

void ship_lost_noted(struct shipped *e)
{
    clear(&e->lost);
    e->lost = e->losing;
    e->losing = (struct lost_items){0};
    e->unlooked = e->again = false;
    e->whole = e->made_up; /* they have other ids once they are sealed */
}

void ship_lost_release(struct shipped *e)
{
    clear(&e->lost);
    clear(&e->losing);
}

static void schedule(struct stream *s, int64_t wait)
{
    s->retry = wait < RETRY_MAX ? wait : RETRY_MAX;
    s->retry_at = ticks(s->p) + s->retry;
}

void ship_count_lost(struct stream *s)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < s->count; i++)
        lost += s->v[i].was ? s->v[i].note.lost : 0;
    if (lost && !s->retry)
        schedule(s, RETRY_FIRST);
    MUTEX_GUARD(&s->stats_lock);
    s->stats.lost = lost;
}

/* ---- what people are told ---- */

static void tell(struct stream *s, const struct shipped *e, struct key k, const struct tree_item *t)
{
    char id[ID_HEX + 1];

    id_to_hex(&t->item.content.id, id);
    report(REPORT_WARN,
           "archive %u: object %s (%llu bytes, of inode %llu in %.80s) cannot be read: the archive "
           "gets all else",
           s->archive, id, (unsigned long long)t->item.content.size, (unsigned long long)key_ino(k),
           e->section.name);
}

void ship_tell_rest(struct stream *s)
{
    if (s->untold > TOLD_MAX)
        report(REPORT_WARN, "archive %u: %llu objects more cannot be read", s->archive,
               (unsigned long long)(s->untold - TOLD_MAX));
    s->untold = 0;
}

int ship_note_lost(struct stream *s, struct shipped *e, struct key k, const struct tree_item *t)
{
    uint64_t none;
    int err = add(&e->losing, k, t->object, t->made_up);

    e->made_up = e->made_up || t->made_up;
    if (err < 0 || map64_get(&s->told, t->object, &none))
        return err;
    err = map64_put(&s->told, t->object, 1);
    if (err == 0 && s->untold++ < TOLD_MAX)
        tell(s, e, k, t);
    return err;
}

/* ---- after a mount ---- */

/* Adds an item of the point, if it names an object that the archive has no place for. */
static int look_at(struct stream *s, struct shipped *e, struct key k, const void *val, size_t len)
{
    struct segment_content place;
    uint64_t number = item_is_counter(k) ? 0 : item_object(k, val, len);
    struct entry entry = {.kind = ENTRY_NONE};
    int has, err;

    if (!number)
        return 0;
    err = refs_entry(s->p->refs, number, true, &number, &entry);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        return err;
    if (!entry_is_sealed(&entry) && entry.kind != ENTRY_ABSENT)
        return add(&e->lost, k, number, true);
    has = ship_has(s, number, &entry, &place);
    return has == 0 ? add(&e->lost, k, number, false) : has < 0 ? has : 0;
}

static int walk(struct stream *s, struct shipped *e)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err;
    READ_GUARD(&e->was->lock);

    err = e->was->live ? tree_seek(&e->was->tree, key_make(0, 0, 0), &c) : -ENOENT;
    while (err == 0) {
        size_t len;
        const void *val = tree_cursor_value(&c, &len);

        err = ship_is_ending(s) ? -ESHUTDOWN : look_at(s, e, tree_cursor_key(&c), val, len);
        if (err == 0)
            err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}

static int look(struct stream *s, struct shipped *e)
{
    int err;

    e->lost.count = 0;
    err = walk(s, e);
    if (err < 0)
        return err;
    e->again = e->lost.count < e->note.lost;
    e->whole = e->again || e->note.made_up;
    e->unlooked = false;
    if (e->again)
        s->looked = 0;
    return 0;
}

static int look_all(struct stream *s)
{
    int err = 0;

    for (size_t i = 0; i < s->count && err == 0; i++)
        if (s->v[i].was && s->v[i].unlooked)
            err = look(s, &s->v[i]);
    return err < 0 ? ship_fail(s, err, "what it lacks cannot be looked up") : 0;
}

/* ---- reading again ---- */

static size_t count_lost(const struct stream *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        n += s->v[i].was ? s->v[i].lost.count : 0;
    return n;
}

/* Has the archive by now what it lacked? Or can it have it, as what had no id? */
static bool is_there(struct stream *s, const struct lost_item *l)
{
    struct segment_content place;
    struct entry e;

    if (refs_entry(s->p->refs, l->object, true, NULL, &e) < 0 || !entry_is_sealed(&e))
        return false;
    return l->made_up || ship_has(s, l->object, &e, &place) == 1;
}

/* Marks the namespaces of which the archive has something by now that it lacked. True: there are
 * some. */
static bool mark(struct stream *s)
{
    bool any = false;

    for (size_t i = 0; i < s->count; i++) {
        struct shipped *e = &s->v[i];

        for (size_t n = 0; e->was && n < e->lost.count && !e->again; n++)
            e->again = is_there(s, &e->lost.v[n]);
        any = any || e->again;
    }
    if (any)
        s->looked = 0;
    return any;
}

static int read_again(struct stream *s, size_t count)
{
    uint64_t *numbers = malloc(count * sizeof *numbers);
    size_t n = 0;
    int err;

    if (!numbers)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; s->v[i].was && k < s->v[i].lost.count; k++)
            numbers[n++] = s->v[i].lost.v[k].object;
    err = ship_objects_again(s, numbers, n);
    free(numbers);
    return err;
}

bool ship_retry_is_due(struct stream *s)
{
    return s->retry && ticks(s->p) >= s->retry_at;
}

int ship_retry_lost(struct stream *s)
{
    const bool due = ship_retry_is_due(s);
    size_t count;
    int err = look_all(s);

    if (err < 0)
        return err;
    count = count_lost(s);
    if (count && due)
        err = read_again(s, count);
    if (err < 0)
        return err;
    if (count == 0)
        s->retry = 0;
    else if ((due || s->has_put) && mark(s))
        schedule(s, RETRY_FIRST);
    else if (due)
        schedule(s, 2 * s->retry);
    s->has_put = false;
    return 0;
}
