// SPDX-License-Identifier: Apache-2.0
/*
 * move: see the header, and move_impl.h for the way of a cargo. This file has the moves in
 * progress, packs cargoes, ships them, and commits. Small objects are gathered to a cargo until it
 * is a pack; a large object is a cargo at once. Threads of a crew carry the cargoes, so that many
 * requests to shards are under way. All that has an order is done by the thread of the move:
 * holding, naming, committing.
 *
 * Bytes are carried without a lock, and the freeze lock is taken only to change entries, so nobody
 * waits for a shard with a lock held.
 *
 * The moves in progress form a list, with one for each target. A second move to the same target
 * waits. GC cycles read the list, too: they must not take what is just being moved for an orphan.
 */
#include "move.h"
#include "array.h"
#include "durability.h"
#include "flush.h"
#include "job.h"
#include "move_impl.h"
#include "remote_impl.h"
#include "shards.h"
#include <errno.h>
#include <stdlib.h>

#define COMMIT_EVERY (5 * NSEC_PER_SEC) /* ns; a slow move commits so often */
/* ns; a move that waits for another one looks so often whether it was cancelled */
#define LOOK_EVERY (50 * NSEC_PER_MSEC)
#define STALE_TRIES 8 /* of one object whose bytes go elsewhere each time they are read */

/* ---- which are at work ---- */

bool move_is_cancelled(struct state *p, struct job *j)
{
    return atomic_load(&p->closing) || (j && atomic_load(&j->cancel));
}

uint64_t move_next_number(struct move *m)
{
    return m->shard ? shards_first_number(m->p->shards, m->shard) : refs_next(m->p->refs);
}

static struct move *find_move(struct state *p, uint16_t shard)
{
    mutex_held(&p->moving->lock);
    for (struct move *m = p->moving->first; m; m = m->next)
        if (m->shard == shard)
            return m;
    return NULL;
}

/* Is the shard being drained? It is asked again once the move is in the list: whoever removes a
 * shard either sees the move there, or has set `draining` before. */
static int is_draining(struct state *p, uint16_t shard)
{
    struct shards_info info;
    int err = shard ? shards_info_get(p->shards, shard, &info) : 0;

    return err == 0 && shard && info.draining ? -EBUSY : err;
}

/* Waits until no other move has this target, and joins the list. Its floor is set before its first
 * number is given. */
static int enlist(struct move *m)
{
    struct moving *all = m->p->moving;
    MUTEX_GUARD(&all->lock);

    while (find_move(m->p, m->shard)) {
        if (move_is_cancelled(m->p, m->job))
            return -ECANCELED;
        (void)cond_wait_for(&all->changed, &all->lock, LOOK_EVERY);
    }
    m->floor = move_next_number(m);
    m->next = all->first;
    all->first = m;
    return 0;
}

/* Leaves the list, and wakes the moves that wait for this target. */
static void delist(struct move *m)
{
    struct moving *all = m->p->moving;
    MUTEX_GUARD(&all->lock);

    for (struct move **at = &all->first; *at; at = &(*at)->next)
        if (*at == m) {
            *at = m->next;
            break;
        }
    cond_broadcast(&all->changed);
}

/* All that was put and is not on its way any more is committed, so GC cycles may judge it. */
static void raise_floor(struct move *m)
{
    uint64_t floor = move_next_number(m);

    for (const struct cargo *c = m->on_way; c; c = c->next)
        if (c->floor < floor)
            floor = c->floor;
    MUTEX_GUARD(&m->p->moving->lock);
    m->floor = floor;
}

uint64_t move_in_flight(struct state *p, uint16_t shard)
{
    MUTEX_GUARD(&p->moving->lock);
    const struct move *m = find_move(p, shard);

    return m ? m->floor : UINT64_MAX;
}

/* ---- progress, and errors ---- */

void move_done_with(struct move *m, uint64_t objects, uint64_t bytes)
{
    m->seen += objects;
    bytes += atomic_fetch_add(&m->bytes, bytes);
    if (!m->job)
        return;
    job_progress(m->p, m->job, m->seen, 0);
    job_progress_bytes(m->p, m->job, bytes, 0);
}

static bool target_is_well(struct move *m)
{
    struct shards_info info;

    return m->shard == 0 ||
           (shards_info_get(m->p->shards, m->shard, &info) == 0 && info.state == SHARDS_OK);
}

/* Does this error end the whole move, or only this object? An error may come from the shard where
 * the object is, so the state of the target decides. */
static bool ends_all(struct move *m, int err)
{
    switch (err) {
    case -ECANCELED:
    case -ESHUTDOWN:
    case -ENOMEM:
    case -ENOSPC:
    case -EDQUOT:
        return true;
    default:
        return !target_is_well(m) || atomic_load(&m->p->readonly);
    }
}

int move_fail(struct move *m, uint64_t objects, int err)
{
    if (ends_all(m, err))
        return err;
    m->r.failed += objects;
    if (m->r.error == 0)
        m->r.error = err;
    return 0;
}

int move_skip(struct move *m)
{
    m->r.skipped++;
    return 0;
}

int move_again(struct move *m, const struct move_load *l, bool *ret_taken)
{
    if (l->tries + 1 >= STALE_TRIES)
        return move_fail(m, 1, -ESTALE);
    if (ARRAY_RESERVE(m->again, m->again_room, m->again_count + 1) < 0)
        return -ENOMEM;
    m->again[m->again_count] = *l;
    m->again[m->again_count++].tries++;
    *ret_taken = true;
    return 0;
}

/* ---- commits ---- */

/* Commits the new places. When it returns, the old bytes at home are deleted; release.c deletes
 * those on shards. */
static int commit(struct move *m)
{
    int err;

    if (!m->changed)
        return 0;
    err = flush_now(m->p);
    if (err < 0)
        return err;
    m->changed = false;
    m->uncommitted = 0;
    m->committed = ticks(m->p);
    (void)flush_reclaim_dead(m->p, SIZE_MAX);
    raise_floor(m);
    return 0;
}

int move_commit_if_due(struct move *m)
{
    if (m->uncommitted >= MOVE_COMMIT || ticks(m->p) - m->committed >= COMMIT_EVERY)
        return commit(m);
    return 0;
}

/* Called before each object: waits while memory is short, and commits when it is time. */
static int throttle(struct move *m)
{
    int err = move_is_cancelled(m->p, m->job) ? -ECANCELED : state_writable(m->p);

    if (err == 0)
        err = flush_throttle(m->p);
    return err < 0 ? err : move_commit_if_due(m);
}

/* ---- one object ---- */

/* Has home room for `size` bytes more, beside those that are on their way? What is on its way may
 * have taken its room already, so without room that is awaited first. */
static int await_home(struct move *m, uint64_t size)
{
    int err = m->shard ? 0 : flush_room_for(m->p, m->to_come + size);

    if ((err == -ENOSPC || err == -EDQUOT) && m->to_come) {
        err = move_ship_packed(m);
        if (err == 0)
            err = move_land_all(m);
        if (err == 0)
            err = flush_room_for(m->p, m->to_come + size);
    }
    return err;
}

/* Is the object still one to move? Only sealed objects with references are moved. */
static bool is_wanted(const struct move *m, const struct entry *e, const struct move_load *l)
{
    if (!entry_is_sealed(e) || e->count == 0)
        return false;
    return l->only_there ? entry_same_place(e, &l->from) : e->shard != m->shard;
}

/* Reads the entry of an object that is held, and sends the object on its way or skips it.
 * *ret_taken: the caller must not give up the hold. */
static int send_held(struct move *m, struct move_load *l, bool *ret_taken)
{
    struct entry e;
    int err = refs_entry(m->p->refs, l->number, false, NULL, &e);

    if (err == -ENOENT || (err == 0 && !is_wanted(m, &e, l))) {
        move_done_with(m, 1, 0);
        return move_skip(m);
    }
    if (err == 0)
        err = await_home(m, e.size);
    if (err < 0)
        return err;
    l->from = e;
    return e.kind == ENTRY_PACK ? move_ship_small(m, l, ret_taken)
                                : move_ship_large(m, l, ret_taken);
}

/* The same. The hold is given up or passed on in any case, and an error that concerns the object
 * alone counts as a failure. */
static int send(struct move *m, struct move_load *l)
{
    bool taken = false;
    int err = send_held(m, l, &taken);

    if (!taken)
        refs_unhold(m->p->refs, l->number);
    if (err < 0 && m->error == 0) {
        m->error = move_fail(m, 1, err);
        move_done_with(m, 1, 0);
    }
    return m->error;
}

/* Sends the objects once more whose bytes were elsewhere. */
static int send_again(struct move *m)
{
    while (m->again_count && m->error == 0) {
        struct move_load l = m->again[--m->again_count];
        (void)send(m, &l);
    }
    return m->error;
}

int move_one(struct move *m, uint64_t number, const struct entry *from)
{
    struct move_load l = {.number = number, .only_there = from};
    int err = m->error ? m->error : throttle(m);

    if (err == 0)
        err = send_again(m);
    if (err == 0)
        err = refs_hold(m->p->refs, number);
    if (err == -ENOENT) {
        move_done_with(m, 1, 0);
        return move_skip(m);
    }
    if (err < 0)
        return m->error = err;
    if (from)
        l.from = *from;
    return send(m, &l);
}

/* ---- the beginning and the end ---- */

/* Can the target be written, and may anything be moved there? */
static int check_target(struct state *p, uint16_t shard)
{
    struct shards_info info;
    struct shard *s;
    int err = state_writable(p);

    if (err < 0 || shard == 0)
        return err;
    err = p->shards ? shards_info_get(p->shards, shard, &info) : -ENXIO;
    if (err == 0 && info.archive)
        err = -EINVAL;
    if (err == 0 && info.draining)
        err = -EBUSY;
    if (err == 0)
        err = shards_get(p->shards, shard, SHARDS_WRITE, &s, NULL);
    if (err == 0)
        shards_put_back(p->shards, shard);
    return err;
}

int move_begin(struct state *p, struct job *j, uint16_t shard, struct move **ret_move)
{
    struct move *m;
    int err = check_target(p, shard);

    if (err < 0)
        return err;
    m = calloc(1, sizeof *m);
    if (!m || crew_open(move_carry, &m->crew) < 0) {
        free(m);
        return -ENOMEM;
    }
    m->p = p;
    m->job = j;
    m->shard = shard;
    m->committed = ticks(p);
    if (shard)
        atomic_store(&p->has_ghosts, true);
    err = enlist(m);
    if (err == 0) {
        err = is_draining(p, shard);
        if (err < 0)
            delist(m);
    }
    if (err < 0) {
        crew_close(m->crew);
        free(m);
        return err;
    }
    *ret_move = m;
    return 0;
}

/* Sends and lands what is left. */
static int finish(struct move *m)
{
    do {
        (void)send_again(m);
        if (m->error == 0)
            (void)move_ship_packed(m);
        (void)move_land_all(m);
    } while (m->error == 0 && m->again_count);
    return m->error;
}

/* After an error: gives up what was not shipped. */
static void give_up_all(struct move *m)
{
    while (m->again_count)
        refs_unhold(m->p->refs, m->again[--m->again_count].number);
    move_give_up(m);
}

int move_end(struct move *m, struct move_result *ret)
{
    int end, err;

    atomic_store(&m->stop, m->error != 0);
    err = finish(m);
    give_up_all(m);
    end = commit(m); /* also after an error: without a commit both copies would stay */
    *ret = m->r;
    delist(m);
    crew_close(m->crew);
    free(m->again);
    free(m);
    return err < 0 ? err : end;
}
