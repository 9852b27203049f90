// SPDX-License-Identifier: Apache-2.0
/*
 * merge_aside: see the header. Nobody but this changes a draft, so the trees of drafts are read
 * without the freeze lock. The result is changed in small steps under the freeze lock for reading,
 * so that each commit in between has a whole tree with the counts that it makes, and a branch or a
 * commit waits for one step only.
 */
#include "merge_aside.h"
#include "flush.h"
#include "merge_apply.h"
#include "ns_branch.h"
#include "ns_draft.h"
#include <errno.h>
#include <stdlib.h>

#define RESULT_MEMORY ((size_t)256 * 1024 * 1024) /* bytes, as of the deltas of a plan */
#define STEPS 64                                  /* of a plan, for which the freeze lock is held */
/* Bytes of an operation that puts the attributes of an inode. */
#define PUT_BYTES (OP_HEAD_MAX + INODE_ITEM_MAX)

int merge_aside_begin(struct state *p, const struct merge_sides *of, struct merge_aside *ret)
{
    int err;

    *ret = (struct merge_aside){.sides = {.own = of->own}};
    err = ns_draft_of(p, of->base, &ret->sides.base);
    if (err == 0)
        err = ns_draft_of(p, of->theirs, &ret->sides.theirs);
    if (err == 0)
        err = ns_draft_of(p, of->ours, &ret->sides.ours);
    if (err < 0)
        return err;
    READ_GUARD(&of->ours->lock);
    err = vnodes_known(p, of->ours, &ret->known, &ret->sides.known_count);
    ret->sides.known = ret->known;
    return err;
}

void merge_aside_tell(const struct merge_aside *a)
{
    if (a->beside)
        a->beside(a->ctx);
}

static void put_draft(struct state *p, struct ns **draft)
{
    if (*draft)
        ns_draft_drop(p, *draft);
    *draft = NULL;
}

/* Forgets the plan of a rest, and what the result has that the draft of ours has not. */
static void forget_rest(struct merge_aside *a)
{
    a->rest.knows_ours = false;
    merge_plan_release(&a->rest);
}

void merge_aside_end(struct state *p, struct merge_aside *a)
{
    forget_rest(a);
    free(a->known);
    a->known = NULL;
    put_draft(p, &a->made);
    put_draft(p, &a->now);
    put_draft(p, &a->sides.ours);
    put_draft(p, &a->sides.theirs);
    put_draft(p, &a->sides.base);
}

int merge_aside_plan(struct state *p, const struct merge_aside *a, struct merge_plan *plan)
{
    int err;

    merge_sides_lock(NULL, &a->sides);
    err = merge_plan_make(p, &a->sides, plan);
    merge_sides_unlock(NULL, &a->sides);
    return err;
}

/* ---- making the result ---- */

/* Waits until the store can take more. */
static int wait_for_room(struct state *p)
{
    int err = state_writable(p);

    if (err == 0)
        err = flush_throttle(p);
    return err == 0 ? flush_room(p) : err;
}

/* Does some steps of a plan in the draft s->ours. */
static int do_some(struct state *p, const struct merge_sides *s, const struct merge_plan *m,
                   size_t from, size_t to)
{
    TXN(t);
    int err;

    txn_open(p, false, &t);
    merge_sides_lock(&t, s);
    err = merge_apply_some(&t, s, m, from, to);
    s->ours->dirty = true;
    merge_sides_unlock(&t, s);
    return err;
}

/* Does a plan in the draft s->ours. */
static int do_all(struct state *p, const struct merge_aside *a, const struct merge_sides *s,
                  const struct merge_plan *m)
{
    size_t steps = merge_apply_steps(m);
    int err = 0;

    for (size_t at = 0; at < steps && err == 0; at += STEPS) {
        merge_aside_tell(a);
        err = m->interrupted && atomic_load(m->interrupted) ? -EINTR : wait_for_room(p);
        if (err == 0)
            err = do_some(p, s, m, at, at + STEPS < steps ? at + STEPS : steps);
    }
    return err;
}

/* Gathers what the result has that the draft of ours has not. It is much, and each plan of a rest
 * needs it: so it is not gathered under the freeze lock. */
static int know_result(struct merge_aside *a)
{
    const struct merge_sides s = {a->sides.ours, a->sides.theirs, a->made, .own = 0};
    struct merge_plan *m = &a->rest;
    int err;

    forget_rest(a);
    a->result_room.left = RESULT_MEMORY;
    m->ours = (struct delta)DELTA_INIT(&a->result_room);
    merge_sides_lock(NULL, &s);
    err = delta_gather(&a->sides.ours->tree, &a->made->tree, a->sides.ours->next_ino,
                       m->interrupted, &m->ours);
    merge_sides_unlock(NULL, &s);
    m->knows_ours = err == 0;
    return err;
}

int merge_aside_make(struct state *p, struct merge_aside *a, const struct merge_plan *plan)
{
    struct merge_sides s = a->sides;
    int err = ns_draft_from(p, a->sides.ours, &a->made);

    if (err < 0)
        return err;
    s.ours = a->made;
    err = do_all(p, a, &s, plan);
    a->rest.interrupted = plan->interrupted;
    if (err == 0)
        err = know_result(a);
    return err < 0 ? err : flush_now(p);
}

/* ---- what ours did meanwhile ---- */

/* Sets the attributes that no merge takes, and that reading changes: times of access. */
static int carry_times(struct tree *tree, const struct merge_plan *rest, size_t from, size_t to)
{
    const struct delta *d = &rest->theirs;
    struct inode in;
    int err = 0;

    for (size_t i = from; i < to && i < d->count && err == 0; i++) {
        const struct delta_inode *t = &d->inodes[i];

        if (!t->in[DELTA_A] || !t->in[DELTA_B] || t->at[DELTA_A].atime == t->at[DELTA_B].atime)
            continue;
        err = inode_load(tree, t->ino, &in);
        if (err == 0) {
            in.atime = t->at[DELTA_B].atime;
            err = inode_store(tree, t->ino, &in);
        } else if (err == -ESTALE) {
            err = 0; /* the result has removed it */
        }
    }
    return err;
}

/* The sides of the rest. What is open in ours stands against nothing: ours itself did it. */
static struct merge_sides sides_of_rest(const struct merge_aside *a)
{
    return (struct merge_sides){
        .base = a->sides.ours, .theirs = a->now, .ours = a->made, .own = a->sides.ours->next_ino};
}

/* Plans the rest. -ESTALE: it and the result do not fit together. */
static int plan_rest(struct state *p, struct merge_aside *a, size_t memory)
{
    const struct merge_sides s = sides_of_rest(a);
    int err;

    merge_plan_release(&a->rest);
    a->rest.rule = MERGE_FAIL;
    a->rest.memory = memory;
    merge_sides_lock(NULL, &s);
    err = merge_plan_make(p, &s, &a->rest);
    merge_sides_unlock(NULL, &s);
    return err == 0 && a->rest.conflict_count ? -ESTALE : err;
}

/* carry_times in the result, in small steps. */
static int carry_all_times(struct state *p, const struct merge_aside *a)
{
    int err = 0;

    for (size_t at = 0; at < a->rest.theirs.count && err == 0; at += STEPS) {
        TXN(t);

        txn_open(p, false, &t);
        WRITE_GUARD(&a->made->lock);
        err = carry_times(&a->made->tree, &a->rest, at, at + STEPS);
    }
    return err;
}

int merge_aside_more(struct state *p, struct merge_aside *a)
{
    struct merge_sides s;
    int err = a->rounds++ < MERGE_ROUNDS ? plan_rest(p, a, 0) : -EFBIG;

    if (err < 0)
        return err;
    s = sides_of_rest(a);
    err = do_all(p, a, &s, &a->rest);
    if (err == 0)
        err = carry_all_times(p, a);
    put_draft(p, &a->sides.ours);
    a->sides.ours = a->now; /* the result has all that this has */
    a->now = NULL;
    if (err == 0)
        err = know_result(a);
    return err < 0 ? err : flush_now(p);
}

void merge_aside_again(struct state *p, struct merge_aside *a)
{
    put_draft(p, &a->now);
}

/* ---- the instant ---- */

/* Bytes that the deltas of a rest may take which is planned at once. */
static size_t rest_memory(const struct state *p)
{
    const size_t at_once = p->config.merge_at_once;

    return at_once > 1 && at_once < MERGE_REST ? at_once : MERGE_REST;
}

int merge_aside_look(struct txn *t, struct merge_aside *a, struct ns *ours)
{
    int err = 0;

    a->put = (struct merge_sides){.base = a->sides.ours, .theirs = a->made, .ours = ours};
    /* A page that two trees have is copied before one of them changes it. So the tree of ours is as
     * it was if it has the same root. */
    if (ours->tree.root == a->sides.ours->tree.root)
        return ours->counted == a->made->counted ? 0 : -ESTALE;
    if (ours->counted != a->made->counted)
        return -ESTALE; /* a scrub has counted it meanwhile */
    err = ns_draft_now(t, ours, &a->now);
    if (err == 0)
        err = plan_rest(t->p, a, a->rounds < MERGE_ROUNDS ? rest_memory(t->p) : 0);
    if (err == 0)
        a->put.base = a->now;
    return err;
}

/* Looks at an inode of ours that is open or has no name any more. Is it left to those who read it?
 * Or may it go? Counts both. -ESTALE: the result stands against it. */
static int check_known(const struct merge_aside *a, struct merge_plan *plan,
                       const struct vnode_known *v, size_t *stay)
{
    struct merge_inode *i = merge_plan_inode(plan, v->ino);
    struct inode in;
    int err = 0;

    if (i && i->content && !v->orphan && v->writes)
        return -ESTALE;
    if (i && (v->orphan ? i->is_new : i->content)) {
        i->left = v->nodeid;
        *stay += 1;
    } else if (!v->orphan) {
        err = inode_load(&a->made->tree, v->ino, &in);
        *stay += err == -ESTALE;
    }
    return err == -ESTALE ? 0 : err;
}

int merge_aside_stay(struct txn *t, const struct merge_aside *a, struct merge_plan *plan,
                     size_t *ret_stay)
{
    struct vnode_known *known;
    size_t count, stay = 0;
    int err = vnodes_known(t->p, a->put.ours, &known, &count);

    for (size_t i = 0; i < plan->inode_count; i++)
        plan->inodes[i].left = 0; /* what was open when it was planned does not count */
    for (size_t i = 0; i < count && err == 0; i++)
        err = check_known(a, plan, &known[i], &stay);
    free(known);
    *ret_stay = stay;
    return err;
}

int merge_aside_check(struct txn *t, const struct merge_aside *a, struct merge_plan *plan,
                      size_t *ret_needs)
{
    size_t stay = 0;
    int err = merge_aside_stay(t, a, plan, &stay);

    *ret_needs = (6 * (size_t)NS_RECORD_MAX) + (size_t)64 * OP_HEAD_MAX + stay * RENEW_ROOM;
    if (a->now)
        *ret_needs += merge_plan_bytes(&a->rest) + a->rest.theirs.count * PUT_BYTES;
    return err;
}

/* Ours gets its old tree back. */
static int give_back(struct txn *t, const struct merge_aside *a)
{
    struct tree *tree = &a->put.ours->tree, was = {.pages = tree->pages, .refs = tree->refs};
    int err = tree_branch(&a->put.base->tree, &was);

    if (err < 0) {
        state_turn_readonly(t->p, "a merge", err);
        return err;
    }
    (void)drops_push(t->p->drops, tree->root);
    tree->root = was.root;
    tree->usage = was.usage;
    return 0;
}

/* Applies the rest to ours, which has the result. */
static int put_rest(struct txn *t, const struct merge_aside *a)
{
    const struct merge_sides s = {
        .base = a->sides.ours, .theirs = a->now, .ours = a->put.ours, .own = a->sides.own};
    int err = merge_apply(t, &s, &a->rest);

    return err < 0 ? err : carry_times(&a->put.ours->tree, &a->rest, 0, SIZE_MAX);
}

/* Keeps what is open in ours and has gone from it. */
static int keep_open(struct txn *t, const struct merge_aside *a)
{
    struct ns *ours = a->put.ours;
    struct vnode_known *known;
    struct inode in;
    size_t count;
    int err = vnodes_known(t->p, ours, &known, &count);

    for (size_t i = 0; i < count && err == 0; i++) {
        if (known[i].orphan)
            continue;
        err = inode_load(&ours->tree, known[i].ino, &in);
        if (err == -ESTALE)
            err = orphan_keep(t->p, ours, &a->put.base->tree, known[i].ino);
    }
    free(known);
    return err;
}

/* Ours gets the result and the rest. After an error it is as it was. */
static int take(struct txn *t, const struct merge_aside *a)
{
    int err = ns_draft_take(t, a->put.ours, a->made);

    if (err < 0)
        return err;
    err = a->now ? put_rest(t, a) : 0;
    if (err < 0)
        (void)give_back(t, a);
    return err;
}

int merge_aside_put(struct txn *t, const struct merge_aside *a, const struct merge_plan *plan)
{
    int err = merge_leave(t, a->put.ours, plan);

    if (err == 0) {
        err = take(t, a);
        if (err < 0)
            merge_leave_undo(t->p, a->put.ours, plan);
    }
    if (err < 0) {
        capture_forget(t);
        return err;
    }
    err = keep_open(t, a);
    if (err < 0) /* some may be orphans already */
        state_turn_readonly(t->p, "a merge", err);
    return err;
}
