// SPDX-License-Identifier: Apache-2.0
/*
 * drain: everything that was accepted becomes durable, and the dead are deleted. A drain works in
 * rounds, until two rounds have found nothing to do. Others may find new work for it in each round,
 * so one that does not wait for idle also ends after as many rounds as what was there at its
 * beginning can need; and each part of a round leaves what came after the part began.
 *
 * The deadline is looked at where a round waits; a disk that does not answer may delay it
 * elsewhere. A caller that must not be late lets another thread drain, and looks at what is left
 * when the time is over (control_drain.c).
 */
#include "drain.h"
#include "coordinator.h"
#include "durability.h"
#include "flush_impl.h"
#include "state.h"
#include "ticket.h"
#include <errno.h>

/* Rounds after which all is gone that was dead before the first of them. One takes the numbers out
 * of the tables, commits that, and deletes the bytes; a second commits that their records are gone,
 * and the pack that these emptied. Two more are for what somebody read meanwhile. */
#define DRAIN_ROUNDS 4
/* So many more uncommitted changes end the working off of drops until a commit, as memory holds
 * them. */
#define DROP_CHANGES_MAX 100000u

/* ---- looking ---- */

void drain_look(struct state *p, struct drain_left *ret)
{
    struct coordinator_stats flushes;

    coordinator_get_stats(p->flush->coordinator, &flushes);
    *ret = (struct drain_left){.seq = atomic_load(&p->seq),
                               .flushes = flushes.pending,
                               .unsealed = seal_waiting(p),
                               .dropped_pages = drops_left(p->drops)};
    ret->slow = !refs_dying_within(p->refs, DRAIN_LOOK, &ret->dying);
    MUTEX_GUARD(&p->flush->lock);
    ret->durable = p->flush->durable_seq;
}

/* Does the last commit have all changes: of nodes, contents, references, packs and pages? */
static bool all_committed(struct state *p, const struct drain_left *left)
{
    return left->durable == left->seq && left->unsealed == 0 && refs_changes(p->refs) == 0 &&
           packs_changes(p->packs) == 0 && pages_dirty_bytes(p->pages) == 0;
}

bool drain_done(struct state *p, bool idle, uint64_t seq)
{
    struct drain_left left;

    drain_look(p, &left);
    return state_lacks(p) == 0 && left.durable >= seq && left.dropped_pages == 0 && !left.slow &&
           left.dying == 0 && (!idle || all_committed(p, &left));
}

void drain_describe(const struct drain_left *left, struct strbuf *out)
{
    strbuf_addf(out,
                "seq=%llu durable=%llu, flushes on their way %zu, unsealed=%zu, dropped pages to "
                "work off %zu, objects to delete ",
                (unsigned long long)left->seq, (unsigned long long)left->durable, left->flushes,
                left->unsealed, left->dropped_pages);
    if (left->slow)
        strbuf_adds(out, "not known, as the disk does not answer");
    else
        strbuf_addf(out, "%llu", (unsigned long long)left->dying);
}

bool flush_is_idle(struct state *p)
{
    struct drain_left left;

    drain_look(p, &left);
    return state_lacks(p) == 0 && left.dropped_pages == 0 && !left.slow && left.dying == 0 &&
           all_committed(p, &left);
}

/* ---- one drain ---- */

/* The time until the deadline in ns, at least 0; -1: there is no deadline. */
static int64_t time_left(const struct drain *d)
{
    int64_t left = d->until < 0 ? -1 : d->until - ticks(d->p);

    return d->until < 0 || left > 0 ? left : 0;
}

/* Is the caller of the drain interrupted? */
static bool is_interrupted(const struct drain *d)
{
    return d->interrupted && atomic_load(d->interrupted);
}

/* Have the dead ghosts released whose shards can be reached. A shard that is unreachable delays
 * nobody. While the store is being closed, the ghosts are left for the next start. */
static void release(struct state *p)
{
    if (refs_dead_ghosts(p->refs) && !atomic_load(&p->closing))
        p->flush->hooks->release_ghosts(p);
}

/* Work off what is dropped by now, until that has changed too much, or the drain has to end. What
 * is left then is what the next round works off, and no more, so that it is done with some time.
 * Each step takes the freeze lock anew, so that a thread that wants it for writing gets it in
 * between. */
static int work_off_drops(struct drain *d)
{
    struct state *p = d->p;
    size_t most = refs_changes(p->refs) + DROP_CHANGES_MAX;
    unsigned done;
    int err = 0;

    if (!d->drops_left)
        d->dropped = drops_pushed(p->drops);
    while ((d->drops_left = drops_has_older(p->drops, d->dropped)) && err == 0 &&
           refs_changes(p->refs) < most && time_left(d) != 0 && !is_interrupted(d)) {
        READ_GUARD(&p->freeze_lock);
        err = drops_step(p->drops, DROP_AT_ONCE, &done);
    }
    p->flush->hooks->drops_done(p);
    return err;
}

/* Close the current pack if no pack has a live record, so that its file can be deleted as well. */
static int retire_empty_pack(struct state *p)
{
    struct packs_stats packs;

    packs_get_stats(p->packs, &packs);
    if (packs.live_records)
        return 0;
    READ_GUARD(&p->freeze_lock);
    return packs_retire_current(p->packs);
}

/* Flush, and wait for it. A drain that is a job gives its place at the workers to other drains
 * while it only waits for the end of its flush. It does not rest while it makes the flush, since
 * it holds locks then, and others can make none meanwhile. One that failed, is late or interrupted
 * ends now, and does not wait for a place. */
static int flush(const struct drain *d)
{
    struct ticket *t;
    int err = flush_begin_named(d->p, SEAL_CLOSED, NULL, time_left(d), d->interrupted, &t);

    if (err < 0)
        return err;
    workers_rest_begin(d->p->workers);
    err = ticket_wait(t, false, time_left(d), d->interrupted, NULL);
    workers_rest_end(d->p->workers, err < 0, d->interrupted);
    ticket_unref(t);
    return err == 0 && is_interrupted(d) ? -EINTR : err;
}

/* One round: work off drops, commit, reclaim the dead, release ghosts. *ret_more: this round did
 * something or left something, so that another round may find work. */
static int drain_round(struct drain *d, bool *ret_more)
{
    struct state *p = d->p;
    uint64_t reclaimed = atomic_load(&p->flush->reclaimed);
    uint64_t released = p->flush->hooks->ghosts_released(p);
    int err = work_off_drops(d);

    if (err < 0)
        blame_note(p, BLAME_FLUSH, err, 0, "working off what was dropped failed");
    if (err == 0)
        err = retire_empty_pack(p);
    if (err == 0)
        err = flush(d);
    if (err == 0 && d->idle) { /* a drain that waits for idle would otherwise wait for a slot that
                                * cannot be sealed */
        MUTEX_GUARD(&p->flush->seal);
        err = p->flush->slot_error;
    }
    if (err == -EINTR || err == -ETIMEDOUT)
        return err;
    (void)flush_reclaim_dead(p, SIZE_MAX); /* also waits for a thread that reclaims now */
    release(p);
    *ret_more = atomic_load(&p->flush->reclaimed) != reclaimed || d->drops_left ||
                refs_dying(p->refs) > 0 || p->flush->hooks->ghosts_released(p) != released;
    d->rounds += !d->drops_left;
    return err;
}

/* Wait a while: the work that is left needs an event from elsewhere, such as the close of a file, a
 * sweep, or an answer of a shard. */
static void rest(const struct drain *d)
{
    struct flusher *f = d->p->flush;
    int64_t most = time_left(d);

    workers_rest_begin(d->p->workers);
    {
        MUTEX_GUARD(&f->lock);
        (void)cond_wait_for(&f->done, &f->lock,
                            most >= 0 && most < TICKET_LOOK_EVERY ? most : TICKET_LOOK_EVERY);
    }
    workers_rest_end(d->p->workers, true, NULL); /* the round is over: other drains go first now */
}

/* Do one round, and decide whether the drain is done. It is done after two quiet rounds: the first
 * may only have committed the last of the dead, which the second then deletes. One that does not
 * wait for idle is done after DRAIN_ROUNDS, too. */
static int go_on(struct drain *d)
{
    bool more = false, waits;
    int err = drain_round(d, &more);

    if (err < 0)
        return err;
    if (is_interrupted(d))
        return -EINTR;
    d->quiet = more ? 0 : d->quiet + 1;
    waits = d->idle && d->quiet >= 2 && !flush_is_idle(d->p);
    if ((d->quiet >= 2 && !waits) || (!d->idle && d->rounds >= DRAIN_ROUNDS))
        return 0;
    if (time_left(d) == 0)
        return -ETIMEDOUT;
    if (waits) {
        d->quiet = 1;
        rest(d);
    }
    return 1;
}

struct drain drain_begin(struct state *p, bool idle, int64_t timeout,
                         const _Atomic bool *interrupted)
{
    int64_t begun = ticks(p);

    return (struct drain){.p = p,
                          .idle = idle,
                          .seq = atomic_load(&p->seq),
                          .begun = begun,
                          .until = timeout < 0 ? -1 : begun + timeout,
                          .interrupted = interrupted};
}

int drain_step(struct drain *d)
{
    int err = go_on(d);

    if (err == -ETIMEDOUT && time_left(d) == 0 && drain_done(d->p, d->idle, d->seq))
        err = 0; /* the round that would have found nothing to do had no time */
    if (err)
        return err;
    passthrough_table_sweep(d->p); /* close deleted files that were kept open */
    d->p->flush->hooks->drained(d->p);
    return 0;
}

int flush_drain(struct state *p, bool idle, int64_t timeout, const _Atomic bool *interrupted)
{
    struct drain d = drain_begin(p, idle, timeout, interrupted);
    int err;

    do
        err = drain_step(&d);
    while (err > 0);
    return err;
}
