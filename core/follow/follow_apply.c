// SPDX-License-Identifier: Apache-2.0
/*
 * follow_apply: what was made aside is seen: all namespaces go from one instant of the archive to
 * the next one in one change, which is one frame of the log.
 *
 * Before it all that can fail has been done: the drafts are in a commit, what differs is known, and
 * there is room in the log. An error in the middle of the change would leave memory at no instant:
 * then the store is read-only, and the next mount begins at the earlier instant.
 */
#include "follow_impl.h"

#include "array.h"
#include "flush.h"
#include "kept.h"
#include "ns_draft.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGE_ROOM 2048 /* bytes in the log for a change: the record, mostly */

struct follow_change *follow_change_add(struct follow_changes *c)
{
    if (ARRAY_RESERVE(c->v, c->room, c->count + 1) < 0)
        return NULL;
    c->v[c->count] = (struct follow_change){.at = c->at};
    return &c->v[c->count++];
}

void follow_changes_release(struct state *p, struct follow_changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->v[i].takes)
            merge_take_end(p, &c->v[i].take);
        if (c->v[i].draft)
            ns_draft_drop(p, c->v[i].draft);
        free(c->v[i].name);
    }
    free(c->v);
    *c = (struct follow_changes){.count = 0};
}

/* ---- before the change ---- */

static bool has_name(struct state *p, const struct ns *ns, const char *name)
{
    READ_GUARD(&p->names.lock);

    return strcmp(ns->name, name) == 0;
}

/* Finds out what differs. If it is too much for memory, or a file of it is open for writing, the
 * draft becomes a namespace in the place of the old one. */
static int plan(struct state *p, struct follow_change *c)
{
    int err;

    if (!c->draft || !c->ns)
        return 0;
    err = merge_take_begin(p, c->ns, c->draft, &c->take);
    c->takes = true;
    if (err != -E2BIG && err != -EBUSY)
        return err;
    merge_take_end(p, &c->take);
    c->takes = false;
    c->aside = c->ns;
    c->ns = NULL;
    return 0;
}

static int choose_name(struct state *p, struct follow_change *c)
{
    if (c->section.kind == SECTION_GONE || (c->ns && has_name(p, c->ns, c->section.name)))
        return 0;
    if (ns_check_name(c->section.name) < 0)
        return -EUCLEAN;
    c->name = strdup(c->section.name);
    return c->name ? 0 : -ENOMEM;
}

/* Does the namespace give up its name, or go? */
static bool gives_name(const struct follow_changes *c, const struct ns *ns)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct follow_change *o = &c->v[i];

        if (o->aside == ns || (o->ns == ns && (o->name || o->section.kind == SECTION_GONE)))
            return true;
    }
    return false;
}

/* Each new name is free, or becomes free, and two do not get the same. */
static int check_name(struct state *p, const struct follow_changes *c, size_t i)
{
    struct ns *has;
    bool taken;

    for (size_t j = 0; j < i; j++)
        if (c->v[j].name && strcmp(c->v[j].name, c->v[i].name) == 0)
            return -EUCLEAN;
    if (ns_get_by_name(p, c->v[i].name, &has) < 0)
        return 0;
    taken = !gives_name(c, has);
    ns_put(p, has);
    return taken ? -EEXIST : 0;
}

static int prepare(struct state *p, struct follow_changes *c)
{
    int err = 0;

    for (size_t i = 0; i < c->count && err == 0; i++) {
        err = plan(p, &c->v[i]);
        if (err == 0)
            err = choose_name(p, &c->v[i]);
    }
    for (size_t i = 0; i < c->count && err == 0; i++)
        if (c->v[i].name)
            err = check_name(p, c, i);
    return err == 0 ? flush_now(p) : err;
}

/* ---- the change ---- */

static struct ns_followed note_of(const struct state *p, const struct follow_change *c)
{
    struct ns_followed f = {.archive = p->follow->archive,
                            .ns = c->section.is.ns,
                            .generation = c->section.is.generation,
                            .seq = c->section.is.seq,
                            .since = c->section.is.since,
                            .epoch = c->at.epoch,
                            .serial = c->at.serial};

    memcpy(f.state, c->section.state, sizeof f.state);
    return f;
}

static int find_room(struct txn *t, struct follow_changes *c, size_t *ret)
{
    int err = 0;

    *ret = 0;
    for (size_t i = 0; i < c->count && err == 0; i++) {
        size_t needs = 0;

        if (c->v[i].takes)
            err = merge_take_room(t, &c->v[i].take, &needs);
        *ret += CHANGE_ROOM + needs;
    }
    return err;
}

/* What has to go, before others get its name. */
static int hide(struct txn *t, struct follow_change *c)
{
    struct ns *goes = c->section.kind == SECTION_GONE ? c->ns : c->aside;

    return goes ? ns_followed_hide(t, goes) : 0;
}

static int change_ns(struct txn *t, struct follow_change *c, const struct ns_followed *f)
{
    int err = c->takes ? merge_take_put(t, &c->take) : 0;

    if (err < 0)
        return err;
    ns_lock(t, c->ns);
    if (c->name)
        ns_followed_rename(t, c->ns, &c->name);
    err = ns_followed_note(t, c->ns, f, c->section.frozen);
    ns_unlock(c->ns);
    return err;
}

static int do_one(struct txn *t, struct follow_change *c)
{
    const struct ns_followed f = note_of(t->p, c);

    if (c->section.kind == SECTION_GONE)
        return 0;
    return c->ns ? change_ns(t, c, &f)
                 : ns_followed_show(t, c->draft, &f, c->section.frozen, &c->name);
}

/* The number of the change is that of each tree that it changed. */
static void number(struct txn *t, struct follow_changes *c)
{
    const uint64_t seq = atomic_load(&t->p->seq);

    for (size_t i = 0; i < c->count; i++) {
        struct ns *ns = c->v[i].ns ? c->v[i].ns : c->v[i].draft;

        if (!ns)
            continue;
        ns_lock(t, ns);
        ns->seq = seq;
        ns->dirty = true;
        ns_unlock(ns);
    }
}

static int do_all(struct txn *t, struct follow_changes *c)
{
    int err = 0;

    for (size_t i = 0; i < c->count && err == 0; i++)
        err = hide(t, &c->v[i]);
    for (size_t i = 0; i < c->count && err == 0; i++)
        err = do_one(t, &c->v[i]);
    if (err < 0) {
        capture_forget(t);
        state_turn_readonly(t->p, "a follower", err);
        return err;
    }
    err = state_changed(t, NULL);
    if (err == 0)
        number(t, c);
    return err;
}

/* -EAGAIN: there is no room in the log for all of it; *room is what is needed. */
static int try_once(struct state *p, struct follow_changes *c, size_t *room)
{
    TXN(t);
    size_t needs = 0;
    int err = txn_begin_alone(p, *room, &t);

    if (err == 0)
        err = find_room(&t, c, &needs);
    if (err < 0)
        return err;
    if (needs > *room) {
        *room = needs + needs / 8;
        return -EAGAIN;
    }
    return do_all(&t, c);
}

/* ---- after the change ---- */

/* Tells the kernel what it has to forget of one that went. */
static void tell_gone(struct state *p, struct ns *ns)
{
    char name[VFS_NAME_MAX + 1];
    {
        READ_GUARD(&p->names.lock);
        snprintf(name, sizeof name, "%s", ns->name);
    }
    event_name(p, VFS_ROOT, name);
    event_stale(p, vfs_node(ns->number, NS_ROOT_INO));
}

static void tell(struct state *p, const struct follow_changes *c)
{
    bool root = false;

    for (size_t i = 0; i < c->count; i++) {
        const struct follow_change *v = &c->v[i];
        struct ns *gone = v->section.kind == SECTION_GONE ? v->ns : v->aside;

        if (v->takes)
            merge_take_tell(p, &v->take);
        if (gone)
            tell_gone(p, gone);
        root = root || gone || v->name;
    }
    if (root)
        event_stale(p, VFS_ROOT);
}

/* Notes in memory what the namespaces are by now. */
static int note_all(struct state *p, struct follow_changes *c)
{
    int err = 0;

    for (size_t i = 0; i < c->count; i++) {
        struct follow_change *v = &c->v[i];
        const struct ns_followed note = note_of(p, v);

        if (v->section.kind == SECTION_GONE)
            follow_remove(p, v->section.is.ns);
        else if (follow_put(p, v->ns ? v->ns : v->draft, &note) < 0)
            err = -ENOMEM;
        if (!v->ns && v->draft) { /* it is seen, and no draft any more */
            ns_put(p, v->draft);
            v->draft = NULL;
        }
    }
    return err;
}

int follow_apply(struct state *p, struct follow_changes *c)
{
    size_t room = c->count * CHANGE_ROOM;
    int err = prepare(p, c);

    if (err == 0)
        while ((err = try_once(p, c, &room)) == -EAGAIN)
            ;
    if (err < 0)
        return follow_fail(p, err, "segment %llu-%llu cannot be applied",
                           (unsigned long long)c->at.epoch, (unsigned long long)c->at.serial);
    tell(p, c);
    if (note_all(p, c) < 0)
        follow_forget(p);
    kept_release(p);
    flush_kick_drops(p);
    return 0;
}
