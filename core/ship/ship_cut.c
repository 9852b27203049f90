// SPDX-License-Identifier: Apache-2.0
/*
 * ship_cut: which namespaces the next segment is about, and their points. All of them are cut at
 * one instant.
 */
#include "ship_impl.h"

#include "array.h"
#include "flush.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CUT_MAX 4096    /* namespaces of one segment, whose front has a bound */
#define POINT_ROOM 2048 /* bytes in the log for a point: its record, mostly */

/* ---- the namespaces of a stream ---- */

/* The place of a number among the entries, or where it would be. */
static size_t find(const struct stream *s, uint32_t number)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->v[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct shipped *ship_entry(struct stream *s, uint32_t number)
{
    size_t i = find(s, number);

    return i < s->count && s->v[i].number == number ? &s->v[i] : NULL;
}

int ship_add_entry(struct stream *s, uint32_t number, struct shipped **ret)
{
    size_t i = find(s, number);
    int err = ARRAY_RESERVE(s->v, s->room, s->count + 1);

    if (err < 0)
        return err;
    memmove(&s->v[i + 1], &s->v[i], (s->count - i) * sizeof *s->v);
    s->v[i] = (struct shipped){.number = number};
    ship_jumps_init(&s->v[i]);
    s->count++;
    *ret = &s->v[i];
    return 0;
}

static void remove_entry(struct stream *s, size_t i)
{
    ns_put(s->p, s->v[i].was);
    ns_put(s->p, s->v[i].is);
    ship_lost_release(&s->v[i]);
    ship_jumps_forget(s, &s->v[i]);
    s->count--;
    memmove(&s->v[i], &s->v[i + 1], (s->count - i) * sizeof *s->v);
}

/* ---- what is to be shipped ---- */

static bool is_text(const char *value, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(value, text, len) == 0;
}

enum ship_mode ship_mode_of(struct state *p, const struct ns *ns, char only[SHARD_URL_MAX + 1])
{
    char value[NS_SETTING_VALUE_MAX];
    size_t len;

    only[0] = '\0';
    if (ns_setting_get(p, ns, SHIP_SETTING, value, sizeof value, &len) < 0)
        return SHIP_MODE_ASYNC;
    if (is_text(value, len, SHIP_OFF))
        return SHIP_MODE_OFF;
    if (is_text(value, len, SHIP_SYNC))
        return SHIP_MODE_SYNC;
    if (len <= SHARD_URL_MAX && memchr(value, ':', len)) {
        memcpy(only, value, len);
        only[len] = '\0';
    }
    return SHIP_MODE_ASYNC;
}

bool ship_goes_to(struct state *p, const struct ns *ns, const char *url)
{
    char only[SHARD_URL_MAX + 1];

    return ship_mode_of(p, ns, only) != SHIP_MODE_OFF && (!*only || strcmp(only, url) == 0);
}

static int set_value(struct state *p, struct ns *ns, const char *text)
{
    const struct ns_setting s = {
        .name = SHIP_SETTING, .value = text, .len = text ? strlen(text) : 0};
    int err = ns_setting_set(p, ns, &s);

    return err == -ENOENT && !text ? 0 : err;
}

int ship_set_mode(struct state *p, struct ns *ns, enum ship_mode mode)
{
    return set_value(p, ns,
                     mode == SHIP_MODE_OFF    ? SHIP_OFF
                     : mode == SHIP_MODE_SYNC ? SHIP_SYNC
                                              : NULL);
}

int ship_set_only(struct state *p, struct ns *ns, uint16_t archive)
{
    struct ship_stats s;

    if (ship_next(p, archive - 1u, &s) < 0 || s.archive != archive)
        return -ENXIO;
    return set_value(p, ns, s.url);
}

bool ship_is_sync(struct state *p, uint64_t nodeid)
{
    char only[SHARD_URL_MAX + 1];
    struct ns *ns;
    bool is;

    if (!ship_has_any(p) || ns_get(p, vfs_node_ns(nodeid), &ns) < 0)
        return false;
    is = ship_mode_of(p, ns, only) == SHIP_MODE_SYNC;
    ns_put(p, ns);
    return is;
}

/* Does the namespace go to this archive? */
static bool is_wanted(struct stream *s, struct ns *ns)
{
    {
        READ_GUARD(&s->p->names.lock);
        if (!ns->live || ns->hidden.kind || ns->target)
            return false;
    }
    return ship_goes_to(s->p, ns, s->stats.url);
}

/* Is it another one than the archive has? */
static bool is_changed(struct state *p, struct ns *ns, const struct shipped *e)
{
    uint64_t seq;
    bool frozen;
    {
        READ_GUARD(&ns->lock);
        seq = ns->seq;
        frozen = ns->frozen;
    }
    READ_GUARD(&p->names.lock);

    return !e->was || e->again || seq > e->was->hidden.of.seq || frozen != e->note.frozen ||
           strcmp(ns->name, e->was->name) != 0;
}

static bool is_live(struct state *p, const struct ns *ns)
{
    READ_GUARD(&p->names.lock);

    return ns->live;
}

/* Notes that the archive has an instant that is not here, or that there is none any more: so that
 * the next mount does not take it for the history of another store. */
static void note_gap(struct stream *s, bool gap)
{
    if (shards_note_gap(s->p->shards, s->archive, gap) == 0)
        s->gap = gap;
}

static bool has_all(const struct stream *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->v[i].was)
            return false;
    return true;
}

/* Points that gave way on a full disk: what the archive has of the namespace is not here any more,
 * so it gets all of it again; what was just cut is cut anew. */
void ship_drop_dead(struct stream *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct shipped *e = &s->v[i];

        if (e->was && !is_live(s->p, e->was)) {
            ns_put(s->p, e->was);
            e->was = NULL;
            s->looked = 0;
            s->gap_due = true;
        }
        if (e->is && !s->made && !is_live(s->p, e->is)) {
            ns_put(s->p, e->is);
            e->is = NULL;
            s->looked = 0;
        }
    }
    if (s->gap_due) {
        note_gap(s, true);
        s->gap_due = !s->gap; /* on a full disk that may fail: the next round tries it again */
    }
}

/* A namespace that is to be cut. */
struct cut {
    struct ns *ns;    /* referenced */
    struct ns *point; /* referenced; NULL: none is made yet */
};
struct cuts {
    struct cut *v;
    size_t count, room;
};

/* Adds a namespace to those that are cut, if it changed since. 1: the reference was taken over; 0,
 * or an error. */
static int consider(struct stream *s, struct ns *ns, struct cuts *c)
{
    struct shipped *e = ship_entry(s, ns->number);
    int err;

    if (e && e->generation != ns->generation) {
        s->deferred = true; /* first it is shipped that the older one of that number is gone */
        return 0;
    }
    if (e && (e->is || e->gone || !is_changed(s->p, ns, e)))
        return 0;
    if (c->count == CUT_MAX) {
        s->deferred = true;
        return 0;
    }
    err = ARRAY_RESERVE(c->v, c->room, c->count + 1);
    if (err < 0)
        return err;
    c->v[c->count++] = (struct cut){.ns = ns};
    return 1;
}

static int collect(struct stream *s, struct cuts *c)
{
    struct ns *ns;
    uint32_t at = 0;
    int err = 0;

    while (err >= 0 && ns_next_number(s->p, at, &ns) == 0) {
        at = ns->number;
        err = is_wanted(s, ns) ? consider(s, ns, c) : 0;
        if (err <= 0)
            ns_put(s->p, ns);
    }
    return err < 0 ? err : 0;
}

/* Makes all points as one instant, so that no change of two namespaces, as an exchange of their
 * names, is between two of them. What is dirty in mappings is not waited for: it is acknowledged by
 * msync and fsync, and an fsync may just be waiting for this very segment. */
static int make_points(struct stream *s, struct cuts *c)
{
    TXN(t);
    int err = txn_begin_alone(s->p, c->count * POINT_ROOM, &t);

    if (err < 0)
        return err;
    s->cut_seq = atomic_load(&s->p->seq);
    s->cut_time = now(s->p);
    for (size_t i = 0; i < c->count && err == 0; i++)
        if (c->v[i].ns->live && !c->v[i].ns->hidden.kind)
            err = ns_point_make(&t, c->v[i].ns, s->archive, &c->v[i].point);
    return err;
}

/* A point is a part of the stream. After an error it is the caller's. */
static int take_point(struct stream *s, struct cut *c)
{
    struct shipped *e = ship_entry(s, c->ns->number);
    int err = 0;

    if (!e) {
        s->names_changed = true;
        err = ship_add_entry(s, c->ns->number, &e);
    }
    if (err < 0)
        return err;
    e->generation = c->ns->generation;
    e->is = c->point;
    c->point = NULL;
    return 0;
}

static void let_go(struct stream *s, struct cuts *c)
{
    for (size_t i = 0; i < c->count; i++) {
        ns_put(s->p, c->v[i].point);
        ns_put(s->p, c->v[i].ns);
    }
    free(c->v);
}

/* Cuts what is collected. A point that cannot be taken is dropped by the next join. */
static int cut(struct stream *s, struct cuts *c)
{
    int err = c->count ? make_points(s, c) : 0;

    for (size_t i = 0; i < c->count; i++) {
        int taken = c->v[i].point ? take_point(s, &c->v[i]) : 0;

        if (err == 0)
            err = taken;
    }
    let_go(s, c);
    return err;
}

/* Is the namespace of an entry still one that goes to this archive? */
static bool is_there(struct stream *s, const struct shipped *e)
{
    struct ns *ns;
    bool is;

    if (ns_get(s->p, e->number, &ns) < 0)
        return false;
    is = ns->generation == e->generation && is_wanted(s, ns);
    ns_put(s->p, ns);
    return is;
}

/* Finds those that left the root since they were shipped, as many as the segment has room for. */
static void find_gone(struct stream *s)
{
    size_t room = CUT_MAX;

    for (size_t i = 0; i < s->count; i++)
        room -= s->v[i].is && room > 0;
    for (size_t i = s->count; i-- > 0;) {
        struct shipped *e = &s->v[i];

        if (e->is || is_there(s, e))
            continue;
        if (!e->section.is.ns) { /* no section of it was ever made */
            remove_entry(s, i);
        } else if (room == 0) {
            s->deferred = true;
        } else {
            e->gone = true;
            s->names_changed = true;
            room--;
        }
    }
}

/* What is gone is found again by the next cut. */
static void forget_gone(struct stream *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->v[i].gone = false;
}

bool ship_has_cut(const struct stream *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].is || s->v[i].gone)
            return true;
    return false;
}

/* Is something gone, and nothing cut? */
static bool is_only_gone(const struct stream *s)
{
    bool gone = false;

    for (size_t i = 0; i < s->count; i++) {
        if (s->v[i].is)
            return false;
        gone = gone || s->v[i].gone;
    }
    return gone;
}

/* Cuts a namespace that has not changed, if there is one. A copy of this store that was made before
 * is known by the points that it lacks (ship_join), and what is gone has none: so no segment is
 * without a new point. */
static int cut_witness(struct stream *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct cuts c = {.count = 0};
        struct ns *ns;
        int err;

        if (s->v[i].gone || ns_get(s->p, s->v[i].number, &ns) < 0)
            continue;
        err = ARRAY_RESERVE(c.v, c.room, 1);
        if (err < 0) {
            ns_put(s->p, ns);
            return err;
        }
        c.v[c.count++] = (struct cut){.ns = ns};
        err = cut(s, &c);
        if (err < 0 || s->v[i].is)
            return err;
    }
    return 0;
}

int ship_cut(struct stream *s)
{
    uint64_t seq = atomic_load(&s->p->seq);
    struct cuts c = {.count = 0};
    int err;

    s->deferred = false;
    if (seq == s->looked)
        return 0;
    s->cut_seq = seq;
    s->cut_time = now(s->p);
    err = collect(s, &c);
    if (err < 0)
        let_go(s, &c);
    else
        err = cut(s, &c);
    if (err == 0)
        find_gone(s);
    if (err == 0 && is_only_gone(s))
        err = cut_witness(s);
    if (err < 0)
        forget_gone(s);
    if (err < 0)
        return ship_fail(s, err, "no point can be made");
    if (!ship_has_cut(s))
        s->looked = seq;
    return 0;
}

/* ---- afterwards ---- */

static int note_one(struct stream *s, struct txn *t, struct shipped *e)
{
    struct ns_point note = {.archive = s->archive,
                            .frozen = e->section.frozen,
                            .epoch = s->at.epoch,
                            .serial = s->at.serial,
                            .lost = e->section.lost,
                            .made_up = e->made_up,
                            .items = e->items,
                            .steps = e->steps,
                            .all = e->all};
    int err = 0;

    memcpy(note.state, e->section.state, sizeof note.state);
    if (e->is)
        err = ns_point_note(t, e->is, &note);
    if (err == -ENOENT) /* it gave way: ship_drop_dead does the rest */
        err = 0;
    if (err == 0 && e->was)
        err = ns_point_drop(t, e->was);
    if (err == 0 && e->is)
        e->note = note;
    return err;
}

/* Changes all points as one change. What is done twice after an error is the same. */
static int note_all(struct stream *s)
{
    TXN(t);
    size_t count = 0;
    int err;

    for (size_t i = 0; i < s->count; i++)
        count += s->v[i].is || s->v[i].gone;
    err = txn_begin_alone(s->p, count * POINT_ROOM, &t);
    for (size_t i = 0; i < s->count && err == 0; i++)
        if (s->v[i].is || s->v[i].gone)
            err = note_one(s, &t, &s->v[i]);
    return err;
}

int ship_note(struct stream *s)
{
    int err = note_all(s);

    if (err < 0)
        return ship_fail(s, err, "it cannot be noted here what the archive has");
    for (size_t i = s->count; i-- > 0;) {
        struct shipped *e = &s->v[i];

        if (e->gone) {
            remove_entry(s, i);
        } else if (e->is) {
            ns_put(s->p, e->was);
            e->was = e->is;
            e->is = NULL;
            ship_lost_noted(e);
        }
    }
    s->unnoted = false;
    ship_count_lost(s);
    if (has_all(s)) {
        s->gap_due = false;
        if (s->gap)
            note_gap(s, false);
    }
    ship_note_seen(s);
    flush_kick_drops(s->p);
    return 0;
}

void ship_forget(struct stream *s)
{
    while (s->count > 0)
        remove_entry(s, s->count - 1);
}
