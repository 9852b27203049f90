// SPDX-License-Identifier: Apache-2.0
/* merge: see the header. */
#include "merge.h"
#include "kept.h"
#include "merge_apply.h"
#include "merge_aside.h"
#include "merge_paths.h"
#include "merge_size.h"
#include "merge_tell.h"
#include "ns_branch.h"
#include "ns_label.h"
#include "quota.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST ((size_t)64 * 1024)  /* bytes of the log that the first try takes */
#define ROOM_ASIDE ((size_t)512 * 1024) /* the same, for what came while a large one was made */
#define TRIES 8
#define ASIDE_TRIES 3 /* of a merge that is made beside those who write */

/* ---- the base ---- */

/* Is it a branch of that one? What a merge has kept notes something else as its origin. */
static bool is_branch_of(const struct ns *ns, const struct ns *of)
{
    return ns_is_of(&ns->origin, of) && !ns->hidden.passing;
}

/* Of the two the one that is a branch of the other; NULL: neither is. */
static struct ns *child_of(const struct merge_call *c)
{
    if (c->back)
        return c->branch;
    if (is_branch_of(c->theirs, c->ours))
        return c->theirs;
    return is_branch_of(c->ours, c->theirs) ? c->ours : NULL;
}

static bool same_instant(const struct ns_instant *x, const struct ns_instant *y)
{
    return x->ns && x->ns == y->ns && x->generation == y->generation && x->seq == y->seq;
}

/* What the records say is the base of both; ns 0: nothing. Two branches of one instant have it in
 * common, too. The caller holds "names". */
static struct ns_instant base_of(const struct merge_call *c)
{
    const struct ns *child = child_of(c);

    if (child)
        return child->base;
    return same_instant(&c->theirs->base, &c->ours->base) ? c->ours->base : (struct ns_instant){0};
}

/* Finds what is the base of both, with a reference. */
static int find_base(struct state *p, const struct merge_call *c, struct ns **ret)
{
    struct ns_instant base;
    int err;

    if (c->base) {
        atomic_fetch_add(&c->base->refs, 1);
        *ret = c->base;
        return 0;
    }
    {
        READ_GUARD(&p->names.lock);
        base = base_of(c);
    }
    err = base.ns ? ns_get_hidden(p, NS_ORIGIN, &base, NULL, ret) : -ENOENT;
    return err == -ENOENT ? -ENODATA : err;
}

/* ---- one try ---- */

struct trying {
    struct state *p;
    const struct merge_call *c;
    struct merge_sides s;
    struct usage becomes; /* what ours takes after it */
    struct ns *child;     /* of which the base moves; NULL: of neither */
    struct merge_plan plan;
    struct ns *base;            /* what was found to be the base, with a reference */
    struct merge_aside aside;   /* if it is made beside those who write */
    bool large;                 /* it is one of those */
    unsigned asides;            /* so often that was begun since contents or rules were new */
    size_t room;                /* bytes of the log for the try */
    bool keeps;                 /* what ours was is kept, with the old base of the pair */
    bool sealed;                /* contents were sealed, since some may be equal */
    int64_t since;              /* when what is kept began to be, ns since the epoch */
    struct ns_instant from, to; /* how the base of `child` moves; ns 0: it does not */
    uint64_t seq;
    uint64_t ours_seq; /* the last change of ours when it was planned */
};

/* Is there nothing to do? If ours has all that theirs changed, or a rule left it out, the base of
 * the pair moves at least. */
static bool is_empty(const struct trying *k)
{
    const struct delta *d = &k->plan.theirs;

    return !merge_plan_changes(&k->plan) && (!k->child || (d->count == 0 && d->name_count == 0));
}

/* Keeps what ours is now, as one of a pair. */
static int keep(struct txn *t, struct trying *k, bool after)
{
    char name[VFS_NAME_MAX + 1];
    struct ns_passing how = {.name = name, .since = k->since, .from = k->from};

    if ((!k->c->label && !k->c->undo) || !merge_plan_changes(&k->plan))
        return 0;
    if (k->c->undo)
        snprintf(name, sizeof name, "%s", after ? MERGE_UNDO_AFTER : MERGE_UNDO_BEFORE);
    else
        snprintf(name, sizeof name, "%s%.200s", after ? MERGE_AFTER : MERGE_BEFORE, k->c->label);
    for (char *at = name; (at = strchr(at, '@'));)
        *at = '-';
    if (k->to.ns)
        how.branch = (struct ns_instant){k->child->number, k->child->generation, k->to.seq};
    k->keeps = true;
    return ns_keep_passing(t, k->c->ours, &how);
}

/* Keeps what ours became. The merge is done, so an error is only reported. */
static void keep_after(struct txn *t, struct trying *k)
{
    int err = keep(t, k, true);

    if (err < 0)
        report(REPORT_WARN, "what was merged into %s cannot be undone (%s)", k->c->ours->name,
               strerror(-err));
}

/* Notes the merge for the history. What takes back a merge is about the operation that this was, or
 * took back. */
static int note_merge(struct txn *t, const struct trying *k)
{
    const struct ns *theirs = k->c->theirs, *ours = k->c->ours;
    struct history_entry e = {.kind = k->c->kind ? k->c->kind : HISTORY_MERGE,
                              .ns = {ours->number, ours->generation}};

    if (!merge_plan_changes(&k->plan))
        return 0;
    ns_label(t->p, ours, e.name);
    if (e.kind != HISTORY_IMPORT_INTO) { /* a draft is nothing that people know */
        e.other = (struct history_ns){theirs->number, theirs->generation};
        ns_label(t->p, theirs, e.second);
    }
    if (k->c->back) {
        e.of = history_root(&t->p->history, k->base->hidden.of.seq);
        e.again = !k->c->undo;
    }
    return capture_history(t, &e);
}

/* Moves the base of the pair. */
static void move_base(struct txn *t, struct ns *child, const struct ns_instant *to)
{
    {
        WRITE_GUARD(&t->p->names.lock);
        child->base = *to;
    }
    child->dirty = true;
    capture_ns_put(t, child);
}

/* How does the base move? By a merge to what theirs is now; by an undo to where it was before, if
 * it is still where the merge brought it. */
static void find_move(struct trying *k)
{
    const struct ns *done = k->c->back;

    if (!k->child)
        return;
    k->from = k->child->base;
    if (!done)
        k->to = ns_now(k->s.theirs);
    else if (k->child->base.seq == done->origin.seq)
        k->to = done->base;
    else
        k->from = k->to = (struct ns_instant){0};
}

/* Changes ours as the plan says. */
static int change_ours(struct txn *t, struct trying *k)
{
    if (!k->large)
        return merge_apply(t, &k->s, &k->plan);
    return k->aside.made ? merge_aside_put(t, &k->aside, &k->plan) : 0;
}

/* Do the limits of ours allow the result? -EDQUOT */
static int check_size(struct state *p, struct trying *k)
{
    const struct ns *ours = k->c->ours;
    int err = 0;

    if (!quota_is_limited(ours)) /* what it becomes is counted by what changes it */
        return 0;
    k->becomes = quota_used(ours);
    if (!k->large)
        err = merge_size(p, &k->s, &k->plan, &k->becomes);
    else if (k->aside.made)
        err = merge_size_aside(p, &k->aside, &k->plan, &k->becomes);
    return err < 0 ? err : quota_check_result(ours, quota_used(ours), k->becomes);
}

/* Does the plan, and moves the base of the pair, in one frame. What is kept has frames before and
 * after it. */
static int do_plan(struct txn *t, struct trying *k)
{
    int err = check_size(t->p, k);

    if (err == 0 && k->child && !k->c->back)
        err = ns_hold_base(t, k->s.theirs);
    k->since = now(t->p);
    find_move(k);
    if (err == 0)
        err = keep(t, k, false);
    if (err == 0)
        err = note_merge(t, k);
    if (err == 0)
        err = change_ours(t, k);
    if (err < 0)
        return err;
    if (k->to.ns)
        move_base(t, k->child, &k->to);
    err = state_changed(t, k->c->ours);
    k->seq = k->c->ours->seq;
    if (err == 0)
        keep_after(t, k);
    return err;
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

/* Is what was found to be the base still that? Another merge of the two may have moved it. */
static bool has_same_base(const struct trying *k)
{
    READ_GUARD(&k->p->names.lock);
    const struct ns_instant base = base_of(k->c);

    return k->c->base || same_instant(&base, &k->s.base->hidden.of);
}

/* May the change be made now? -ESTALE: the base is another one by now. */
static int check_now(const struct trying *k)
{
    const struct ns *ours = k->c->ours;

    if (!k->c->theirs->live || !ours->live)
        return -ENOENT;
    if (!k->s.base->live)
        return -ENODATA;
    if (!has_same_base(k))
        return -ESTALE;
    if (k->c->if_seq && k->c->if_seq != ours->seq)
        return -ECANCELED;
    return ns_is_fixed(ours) || ours->hidden.kind ? -EROFS : 0;
}

static int try_once(struct trying *k)
{
    TXN(t);
    int err = txn_begin_alone(k->p, k->room, &t);

    if (err == 0)
        err = check_now(k);
    if (err < 0)
        return err;
    merge_sides_lock(&t, &k->s);
    k->ours_seq = k->s.ours->seq;
    err = plan_and_do(&t, k);
    merge_sides_unlock(&t, &k->s);
    return err;
}

/* ---- beside those who write ---- */

/* Ours gets the result, if there is room in the log. -EAGAIN: there is not. */
static int put_if_room(struct txn *t, struct trying *k)
{
    size_t needs;
    int err = merge_aside_check(t, &k->aside, &k->plan, &needs);

    if (err == 0 && needs > k->room) {
        k->room = needs + needs / 8;
        return -EAGAIN;
    }
    return err < 0 ? err : do_plan(t, k);
}

/* Ours gets the result, or only the base of the pair moves. */
static int put_once(struct trying *k)
{
    TXN(t);
    int err = txn_begin_alone(k->p, k->room, &t);

    if (err == 0)
        err = check_now(k);
    if (err == 0 && k->aside.made)
        err = merge_aside_look(&t, &k->aside, k->c->ours);
    if (err < 0)
        return err;
    if (!k->aside.made) {
        NS_GUARD(&t, k->c->ours);
        return do_plan(&t, k);
    }
    merge_sides_lock(&t, &k->aside.put);
    err = put_if_room(&t, k);
    merge_sides_unlock(&t, &k->aside.put);
    return err;
}

/* Makes the result, and gives it to ours. */
static int make_and_put(struct state *p, struct trying *k)
{
    int err = merge_plan_changes(&k->plan) ? merge_aside_make(p, &k->aside, &k->plan) : 0;

    if (err < 0)
        return err;
    k->room = ROOM_ASIDE;
    do {
        merge_aside_again(p, &k->aside);
        merge_aside_tell(&k->aside);
        err = put_once(k);
        if (err == -E2BIG) {
            err = merge_aside_more(p, &k->aside);
            err = err < 0 ? err : -EAGAIN;
        }
    } while (err == -EAGAIN);
    return err;
}

/* Makes all of it beside those who write, which is tried again if ours did what does not fit. */
static int try_aside(struct state *p, struct trying *k)
{
    const struct merge_sides s = {k->base, k->c->theirs, k->c->ours, .own = k->s.own};
    int err;

    k->large = true;
    if (k->asides++ == ASIDE_TRIES)
        return -EBUSY;
    merge_aside_end(p, &k->aside);
    merge_plan_release(&k->plan);
    k->plan.memory = 0;
    err = merge_aside_begin(p, &s, &k->aside);
    k->aside.beside = k->c->beside;
    k->aside.ctx = k->c->ctx;
    k->s = k->aside.sides;
    if (err == 0) {
        k->ours_seq = k->s.ours->hidden.of.seq;
        err = k->c->if_seq && k->c->if_seq != k->ours_seq ? -ECANCELED : 0;
    }
    if (err == 0)
        err = merge_aside_plan(p, &k->aside, &k->plan);
    if (err < 0)
        return err;
    if (k->plan.conflict_count)
        return -EEXIST;
    return is_empty(k) ? 0 : make_and_put(p, k);
}

/* Tries until there is room in the log. -E2BIG, -EFBIG: too much has changed for that. */
static int try_at_once(struct state *p, struct trying *k)
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
    return err;
}

/* Finds the base, and merges. -ESTALE: ours or the base of the pair has changed so that all is to
 * be done anew. */
static int try_with_base(struct state *p, struct trying *k)
{
    int err;

    ns_put(p, k->base);
    k->base = NULL;
    k->s = (struct merge_sides){.theirs = k->c->theirs, .ours = k->c->ours};
    err = find_base(p, k->c, &k->base);
    if (err < 0)
        return err;
    k->s.base = k->base;
    k->s.own = k->child ? k->child->own_ino : k->base->next_ino;
    if (k->base == k->s.theirs || k->base == k->s.ours)
        return -EINVAL;
    err = k->large ? -E2BIG : try_at_once(p, k);
    return err == -E2BIG || err == -EFBIG ? try_aside(p, k) : err;
}

static int run_unsealed(struct state *p, struct trying *k)
{
    int err = -ESTALE;

    k->asides = 0;
    for (unsigned i = 0; err == -ESTALE && i < TRIES; i++)
        err = try_with_base(p, k);
    return err == -EAGAIN || err == -ESTALE ? -EBUSY : err;
}

/* Runs, and if there are conflicts that may be none, since contents are not sealed and so may be
 * equal, seals them and runs once more. */
static int run(struct state *p, struct trying *k)
{
    int err = run_unsealed(p, k);

    if (err != -EEXIST || !k->plan.unsealed || k->sealed)
        return err;
    k->sealed = true;
    seal_for_view(p);
    return run_unsealed(p, k);
}

/* Gives the conflicts of the plan, of which `r` has the paths, their rules. The number of those
 * that had none; -ENOMEM. */
static int add_rules(struct merge_rules *rules, const struct merge_plan *m,
                     const struct merge_result *r)
{
    int added = 0;

    for (size_t i = 0; i < m->conflict_count; i++) {
        int err = merge_rules_add(rules, &m->conflicts[i], r->conflicts[i].path);

        if (err < 0)
            return err;
        added += err;
    }
    return added;
}

/* Runs, and if there are conflicts finds their paths. If patterns say which rules they have, it
 * runs again with these, until all that is left is a conflict in spite of its rule. */
static int run_with_rules(struct state *p, struct trying *k, struct merge_rules *rules,
                          struct merge_result *ret)
{
    for (;;) {
        int err = run(p, k), added = 0;

        if (err == -EEXIST)
            err = merge_paths(&k->s, &k->plan, ret);
        else
            return err;
        ret->ours_seq = k->ours_seq;
        if (err == 0 && k->plan.rules)
            added = add_rules(rules, &k->plan, ret);
        if (err < 0 || added < 0)
            return err < 0 ? err : added;
        if (!added) {
            const struct merge_sides named = {k->base, k->c->theirs, k->c->ours, .own = 0};

            err = k->c->all_paths ? merge_paths_all(p, &k->s, &named, &k->plan, ret) : 0;
            merge_paths_sort(ret);
            return err < 0 ? err : -EEXIST;
        }
        merge_result_release(ret);
    }
}

int merge_run(struct state *p, const struct merge_call *c, struct merge_result *ret)
{
    const size_t at_once = p->config.merge_at_once;
    struct merge_rules rules = {.sets = c->sets, .count = c->set_count, .rest = c->rule};
    struct trying k = {.p = p,
                       .c = c,
                       .plan = {.rule = c->rule,
                                .rules = c->set_count ? &rules : NULL,
                                .interrupted = c->interrupted,
                                .memory = at_once ? at_once : MERGE_AT_ONCE},
                       .room = ROOM_FIRST};
    int err = c->theirs == c->ours ? -EINVAL : state_writable(p);

    *ret = (struct merge_result){0};
    k.child = child_of(c);
    if (k.child && ns_is_hidden(p, k.child)) /* what is kept stays as it is */
        k.child = NULL;
    if (err == 0)
        err = run_with_rules(p, &k, &rules, ret);
    ret->decided = k.plan.decided;
    ret->becomes = k.becomes;
    if (err == 0 && merge_plan_changes(&k.plan)) {
        ret->seq = k.seq;
        ret->names = k.plan.name_count;
        ret->inodes = k.plan.inode_count;
        merge_tell(p, c->ours, &k.plan);
    }
    ns_put(p, k.base);
    merge_aside_end(p, &k.aside);
    merge_plan_release(&k.plan);
    merge_rules_release(&rules);
    if (err == 0 && !k.keeps) /* nobody may need the old base any more */
        kept_release(p);
    return err;
}
