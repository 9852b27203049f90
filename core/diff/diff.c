// SPDX-License-Identifier: Apache-2.0
/* diff: see the header. */
#include "diff.h"

#define ROUNDS 3 /* so often a search is made without the locks */

struct comparing {
    struct state *p;
    struct ns *ns[DELTA_SIDES];
    const _Atomic bool *interrupted;
    struct diff *d;
};

/* Up to which number an inode number is certain to be one file in both (delta.h). */
static uint64_t own_of(const struct ns *a, const struct ns *b)
{
    if (b->origin.ns == a->number && b->origin.generation == a->generation)
        return b->own_ino;
    if (a->origin.ns == b->number && a->origin.generation == b->generation)
        return a->own_ino;
    return 0;
}

static void lock_both(struct comparing *c)
{
    ns_rdlock_two(c->ns[DELTA_A], c->ns[DELTA_B]);
}

static void unlock_both(struct comparing *c)
{
    ns_rdunlock_two(c->ns[DELTA_A], c->ns[DELTA_B]);
}

static bool are_live(struct comparing *c)
{
    READ_GUARD(&c->p->names.lock);

    return c->ns[DELTA_A]->live && c->ns[DELTA_B]->live;
}

/* One attempt; the caller holds both locks. */
static int gather(struct comparing *c)
{
    struct diff *d = c->d;

    if (!are_live(c))
        return -ESTALE;
    changes_end(&d->changes);
    d->room.left = DIFF_MEMORY;
    return changes_gather(&d->changes, own_of(c->ns[DELTA_A], c->ns[DELTA_B]), c->interrupted);
}

/* Searches what the attempt lacked. `locked`: the caller holds both locks. */
static int search(struct comparing *c, bool locked)
{
    int err = 0;

    for (int s = 0; s < DELTA_SIDES && err == 0; s++)
        err = ino_names_search(&c->d->names[s], locked ? NULL : &c->ns[s]->lock, c->interrupted);
    return err;
}

/* The last attempt: as nothing changes during the search, nothing is missing after it. */
static int gather_at_last(struct comparing *c)
{
    int err;

    lock_both(c);
    for (int s = 0; s < DELTA_SIDES; s++) /* what is known by now may be outdated */
        ino_names_release(&c->d->names[s]);
    err = gather(c);
    if (err == -EAGAIN) {
        err = search(c, true);
        if (err == 0)
            err = gather(c);
    }
    unlock_both(c);
    return err;
}

static int gather_all(struct comparing *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        int err;
        lock_both(c);
        err = gather(c);
        unlock_both(c);
        if (err != -EAGAIN)
            return err;
        err = search(c, false);
        if (err < 0)
            return err;
    }
    return gather_at_last(c);
}

int diff_namespaces(struct state *p, struct ns *a, struct ns *b, const _Atomic bool *interrupted,
                    struct diff *ret)
{
    struct comparing c = {p, {a, b}, interrupted, ret};
    int err;

    *ret = (struct diff)DIFF_INIT;
    ret->changes.room = &ret->room;
    for (int s = 0; s < DELTA_SIDES; s++) {
        ret->names[s] = (struct ino_names)INO_NAMES_INIT(&c.ns[s]->tree, &ret->room);
        ret->changes.tree[s] = &c.ns[s]->tree;
        ret->changes.names[s] = &ret->names[s];
    }
    if (a == b)
        return 0;
    err = gather_all(&c);
    return err < 0 ? err : changes_compare(p, &ret->changes, interrupted);
}

void diff_end(struct diff *d)
{
    changes_end(&d->changes);
    ino_names_release(&d->names[DELTA_A]);
    ino_names_release(&d->names[DELTA_B]);
}
