// SPDX-License-Identifier: Apache-2.0
/* merge: see the header. */
#include "merge.h"
#include "kept.h"
#include "merge_apply.h"
#include "merge_paths.h"
#include "ns_branch.h"
#include "ns_drop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST ((size_t)64 * 1024) /* bytes of the log that the first try takes */
#define TRIES 8

/* ---- the base ---- */

static bool is_of(const struct ns_instant *i, const struct ns *ns)
{
    return i->ns == ns->number && i->generation == ns->generation;
}

/* Of the two the one that is a branch of the other; NULL: neither is. */
static struct ns *child_of(const struct merge_call *c)
{
    if (is_of(&c->theirs->origin, c->ours))
        return c->theirs;
    return is_of(&c->ours->origin, c->theirs) ? c->ours : NULL;
}

static bool same_instant(const struct ns_instant *x, const struct ns_instant *y)
{
    return x->ns && x->ns == y->ns && x->generation == y->generation && x->seq == y->seq;
}

/* Finds what is the base of both, with a reference. Two branches of one instant have it in common,
 * too. */
static int find_base(struct state *p, const struct merge_call *c, struct ns **ret)
{
    const struct ns *child = child_of(c);
    int err = -ENOENT;

    if (c->base) {
        atomic_fetch_add(&c->base->refs, 1);
        *ret = c->base;
        return 0;
    }
    if (child && child->base.ns)
        err = ns_get_hidden(p, NS_ORIGIN, &child->base, NULL, ret);
    else if (same_instant(&c->theirs->base, &c->ours->base))
        err = ns_get_hidden(p, NS_ORIGIN, &c->ours->base, NULL, ret);
    return err == -ENOENT ? -ENODATA : err;
}

/* ---- one try ---- */

struct trying {
    struct state *p;
    const struct merge_call *c;
    struct merge_sides s;
    struct ns *child;
    struct merge_plan plan;
    size_t room; /* bytes of the log for the try */
    uint64_t seq;
};

/* Takes the locks of all three trees, the lower number first. */
static void lock_sides(struct txn *t, const struct merge_sides *s, struct ns *order[3])
{
    order[0] = s->base;
    order[1] = s->theirs;
    order[2] = s->ours;
    for (int i = 0; i < 3; i++)
        for (int j = i + 1; j < 3; j++)
            if (order[j]->number < order[i]->number) {
                struct ns *swap = order[i];

                order[i] = order[j];
                order[j] = swap;
            }
    for (int i = 0; i < 3; i++) {
        if (order[i] == s->ours)
            ns_lock(t, order[i]);
        else
            rwlock_rdlock(&order[i]->lock);
    }
}

static void unlock_sides(const struct merge_sides *s, struct ns *const order[3])
{
    for (int i = 2; i >= 0; i--) {
        if (order[i] == s->ours)
            ns_unlock(order[i]);
        else
            rwlock_rdunlock(&order[i]->lock);
    }
}

/* Does the plan change ours? */
static bool has_changes(const struct merge_plan *m)
{
    return m->name_count || m->inode_count;
}

/* Is there nothing to do? If ours has all that theirs changed, or a rule left it out, the base of
 * the pair moves at least. */
static bool is_empty(const struct trying *k)
{
    const struct delta *d = &k->plan.theirs;

    return !has_changes(&k->plan) && (!k->child || (d->count == 0 && d->name_count == 0));
}

/* Keeps what ours is now under PREFIX and the label. */
static int keep(struct txn *t, const struct trying *k, const char *prefix)
{
    char name[VFS_NAME_MAX + 1];

    if (!k->c->label || !has_changes(&k->plan))
        return 0;
    snprintf(name, sizeof name, "%s%.200s", prefix, k->c->label);
    for (char *at = name; (at = strchr(at, '@'));)
        *at = '-';
    return ns_keep_passing(t, k->s.ours, name);
}

/* Does the plan, and moves the base of the pair, in one frame. What is kept is made before and
 * after. */
static int do_plan(struct txn *t, struct trying *k)
{
    struct ns_instant was = {0};
    int err = k->child ? ns_hold_base(t, k->s.theirs) : 0;

    if (err == 0)
        err = keep(t, k, MERGE_BEFORE);
    if (err == 0)
        err = merge_apply(t, &k->s, &k->plan);
    if (err < 0)
        return err;
    if (k->child) {
        was = k->child->base;
        k->child->base = ns_now(k->s.theirs);
        k->child->dirty = true;
        capture_ns_put(t, k->child);
    }
    err = state_changed(t, k->s.ours);
    k->seq = k->s.ours->seq;
    if (err < 0 && k->child)
        k->child->base = was;
    return err < 0 ? err : keep(t, k, MERGE_AFTER);
}

/* Plans, and does the plan if there is room for it. -EAGAIN: there is not. */
static int plan_and_do(struct txn *t, struct trying *k)
{
    int err = merge_plan_make(k->p, &k->s, &k->plan);
    size_t needs;

    if (err < 0 || is_empty(k))
        return err < 0 ? err : k->plan.conflict_count ? -EEXIST : 0;
    if (k->plan.conflict_count)
        return -EEXIST;
    needs = merge_plan_bytes(&k->plan);
    if (needs > k->room) {
        k->room = needs + needs / 8;
        return -EAGAIN;
    }
    return do_plan(t, k);
}

static int try_once(struct trying *k)
{
    struct ns *order[3];
    int err;
    TXN(t);

    err = txn_begin_alone(k->p, k->room, &t);
    if (err < 0)
        return err;
    if (!k->s.theirs->live || !k->s.ours->live)
        return -ENOENT;
    if (!k->s.base->live)
        return -ENODATA;
    if (k->s.ours->frozen || k->s.ours->hidden.kind)
        return -EROFS;
    lock_sides(&t, &k->s, order);
    err = plan_and_do(&t, k);
    unlock_sides(&k->s, order);
    return err;
}

static int run(struct state *p, struct trying *k)
{
    int err = -EAGAIN;

    for (unsigned i = 0; err == -EAGAIN && i < TRIES; i++) {
        merge_plan_release(&k->plan);
        err = vnodes_write_back(p, k->s.theirs);
        if (err == 0)
            err = vnodes_write_back(p, k->s.ours);
        if (err == 0)
            err = try_once(k);
    }
    return err == -EAGAIN ? -EBUSY : err;
}

int merge_run(struct state *p, const struct merge_call *c, struct merge_result *ret)
{
    struct trying k = {.p = p, .c = c, .child = child_of(c), .room = ROOM_FIRST};
    int err = c->theirs == c->ours ? -EINVAL : state_writable(p);

    *ret = (struct merge_result){0};
    if (err == 0)
        err = find_base(p, c, &k.s.base);
    if (err < 0)
        return err;
    k.s.theirs = c->theirs;
    k.s.ours = c->ours;
    k.s.own = k.child ? k.child->own_ino : k.s.base->next_ino;
    k.plan.rule = c->rule;
    k.plan.interrupted = c->interrupted;
    err = k.s.base == c->theirs || k.s.base == c->ours ? -EINVAL : run(p, &k);
    ret->decided = k.plan.decided;
    if (err == -EEXIST) {
        int path_err = merge_paths(p, &k.s, &k.plan, ret);

        err = path_err < 0 ? path_err : err;
    } else if (err == 0 && has_changes(&k.plan)) {
        ret->seq = k.seq;
        ret->names = k.plan.name_count;
        ret->inodes = k.plan.inode_count;
        merge_tell(p, c->ours, &k.plan);
    }
    ns_put(p, k.s.base);
    merge_plan_release(&k.plan);
    kept_release(p);
    return err;
}

/* ---- taking back ---- */

/* The label of a snapshot `before-LABEL`; NULL: it is none. */
static const char *label_of(const struct ns *ns)
{
    size_t len = strlen(MERGE_BEFORE);

    return ns->hidden.kind == NS_SNAPSHOT && ns->hidden.passing &&
                   !strncmp(ns->name, MERGE_BEFORE, len)
               ? ns->name + len
               : NULL;
}

/* Is it a label of an undo? Older ones have a number behind it. */
static bool is_undo(const char *label)
{
    size_t len = strlen(MERGE_UNDO);

    return !strncmp(label, MERGE_UNDO, len) && (!label[len] || label[len] == '.');
}

/* Finds the newest snapshot before a merge into `ours`, with a reference. */
static int find_before(struct state *p, const struct ns *ours, bool redo, struct ns **ret)
{
    struct ns *best = NULL;
    READ_GUARD(&p->names.lock);

    for (struct ns *ns = p->names.hidden[ours->number % NS_BUCKETS]; ns; ns = ns->by_name_next) {
        const char *label = is_of(&ns->hidden.of, ours) ? label_of(ns) : NULL;

        if (label && is_undo(label) == redo && (!best || ns->hidden.of.seq > best->hidden.of.seq))
            best = ns;
    }
    if (!best)
        return -ENOENT;
    atomic_fetch_add(&best->refs, 1);
    *ret = best;
    return 0;
}

/* Finds the snapshot after the merge that `before` is of, with a reference: the oldest with the
 * label that is newer. */
static int find_after(struct state *p, const struct ns *before, struct ns **ret)
{
    struct ns *best = NULL;
    const char *label = before->name + strlen(MERGE_BEFORE);
    size_t label_len = strcspn(label, "."), len = strlen(MERGE_AFTER);
    READ_GUARD(&p->names.lock);

    for (struct ns *ns = p->names.hidden[before->hidden.of.ns % NS_BUCKETS]; ns;
         ns = ns->by_name_next)
        if (ns->hidden.passing &&
            same_instant(
                &(struct ns_instant){ns->hidden.of.ns, ns->hidden.of.generation, 1},
                &(struct ns_instant){before->hidden.of.ns, before->hidden.of.generation, 1}) &&
            !strncmp(ns->name, MERGE_AFTER, len) && !strncmp(ns->name + len, label, label_len) &&
            ns->hidden.of.seq > before->hidden.of.seq &&
            (!best || ns->hidden.of.seq < best->hidden.of.seq))
            best = ns;
    if (!best)
        return -ENOENT;
    atomic_fetch_add(&best->refs, 1);
    *ret = best;
    return 0;
}

int merge_undo(struct state *p, struct ns *ours, bool redo, enum merge_rule rule,
               const _Atomic bool *interrupted, struct merge_result *ret)
{
    struct ns *before = NULL, *after = NULL;
    uint32_t open;
    int err = find_before(p, ours, redo, &before);

    *ret = (struct merge_result){0};
    if (err == 0)
        err = find_after(p, before, &after);
    if (err == 0) {
        struct merge_call c = {.theirs = before,
                               .ours = ours,
                               .base = after,
                               .label = redo ? "redo" : MERGE_UNDO,
                               .rule = rule,
                               .interrupted = interrupted};

        err = merge_run(p, &c, ret);
    }
    if (err == 0) {
        (void)ns_remove(p, before, false, &open);
        (void)ns_remove(p, after, false, &open);
    }
    ns_put(p, before);
    ns_put(p, after);
    return err;
}
