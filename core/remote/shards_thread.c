// SPDX-License-Identifier: Apache-2.0
/*
 * shards_thread: the work that shards need from time to time. It has a thread of its own, since a
 * shard may be slow. It asks unreachable shards again, releases dead ghosts, and begins sweeps,
 * which run as jobs.
 *
 * Without a shard the thread sleeps until one is added. A second thread, the looker, asks the
 * shards in doubt on demand, because the first one may be deleting the bytes of very many dead
 * ghosts.
 */
#include "move.h"
#include "remote_impl.h"
#include "shards.h"
#include "shards_thread.h"
#include "sweep.h"
#include "thread.h"
#include <errno.h>

/* ns between two turns while a shard is not well or dead ghosts are left */
#define LOOK_EVERY (5 * NSEC_PER_SEC)
#define REST (60 * NSEC_PER_SEC) /* ns between two turns otherwise */
/* ns that a shard is waited for while the store is closed */
#define ENDING_PATIENCE (2 * NSEC_PER_SEC)

/* ---- one turn ---- */

enum need { NEED_NOTHING, NEED_REST, NEED_LOOK };

/* What the next turn has to do: nothing, if there is no shard; a look, if one is not well or has
 * dead ghosts. */
static enum need need_of(struct state *p)
{
    struct shards_info info;
    enum need need = NEED_NOTHING;

    for (unsigned at = 0; shards_next(p->shards, at, &info) == 0; at = info.number) {
        if (info.state != SHARDS_OK)
            return NEED_LOOK;
        need = NEED_REST;
    }
    return need == NEED_REST && refs_dead_ghosts(p->refs) ? NEED_LOOK : need;
}

void shards_step(struct state *p)
{
    enum need need = need_of(p);
    uint64_t left;

    if (need == NEED_NOTHING || atomic_load(&p->readonly))
        return;
    if (need == NEED_LOOK)
        (void)shards_look(p->shards);
    (void)release_pass(p, 0, &left);
    sweep_if_due(p);
}

/* ---- the thread ---- */

/* Waits for the next turn, which a kick brings forward. False: the thread is to end. */
static bool wait_for_next(struct state *p)
{
    struct shards_thread *t = p->shards_thread;
    enum need need = need_of(p);
    int64_t until = ticks(p) + (need == NEED_LOOK ? LOOK_EVERY : REST), left;
    MUTEX_GUARD(&t->lock);

    while (!t->stop && !t->kicked) {
        if (need == NEED_NOTHING)
            cond_wait(&t->wake, &t->lock);
        else if ((left = until - ticks(p)) > 0)
            (void)cond_wait_for(&t->wake, &t->lock, left);
        else
            break;
    }
    t->kicked = false;
    return !t->stop;
}

/* The thread: works at idle I/O priority, one turn after the other. */
static void *thread_main(void *arg)
{
    struct state *p = arg;

    thread_io_idle(true);
    do
        shards_step(p);
    while (wait_for_next(p));
    return NULL;
}

void shards_thread_kick(struct state *p)
{
    MUTEX_GUARD(&p->shards_thread->lock);
    p->shards_thread->kicked = true;
    cond_broadcast(&p->shards_thread->wake);
}

/* ---- looking on demand ---- */

/* The looker: runs one look for all requests that came before it began. It works at normal I/O
 * priority, since somebody waits. */
static void *looker_main(void *arg)
{
    struct state *p = arg;
    struct shards_thread *t = p->shards_thread;

    thread_io_idle(false);
    mutex_lock(&t->lock);
    while (!t->stop) {
        if (t->done >= t->wanted) {
            cond_wait(&t->look, &t->lock);
            continue;
        }
        t->begun = t->wanted;
        mutex_unlock(&t->lock);
        (void)shards_look_in_doubt(p->shards);
        mutex_lock(&t->lock);
        t->done = t->begun;
        cond_broadcast(&t->looked);
    }
    mutex_unlock(&t->lock);
    return NULL;
}

void shards_look_now(struct state *p, int64_t most)
{
    struct shards_thread *t = p->shards_thread;
    int64_t until = ticks(p) + most, left;

    if (!p->shards || !shards_any_in_doubt(p->shards))
        return;
    if (!t->looker_started) {
        (void)shards_look_in_doubt(p->shards);
        return;
    }
    MUTEX_GUARD(&t->lock);
    uint64_t mine = ++t->wanted; /* a look that runs may have asked that shard before */

    cond_broadcast(&t->look);
    while (!t->stop && t->done < mine && (left = until - ticks(p)) > 0)
        (void)cond_wait_for(&t->looked, &t->lock, left);
}

/* `sweep_interval` was changed: the thread looks whether a sweep is due. */
static void sweeps_set(void *ctx, int64_t value)
{
    (void)value;
    shards_thread_kick(ctx);
}

/* `shard_wait`: those who wait for a shard compute their limit again. */
static void wait_set(void *ctx, int64_t value)
{
    struct state *p = ctx;

    (void)value;
    shards_wake(p->shards);
}

/* `shard_patience`: counts at once, for calls that run, too. */
static void patience_set(void *ctx, int64_t value)
{
    (void)ctx;
    shard_set_patience(value);
}

void shards_hurry(struct state *p)
{
    int64_t duration_ns = settings_get(&p->settings, SET_SHARD_PATIENCE);

    shard_set_patience(duration_ns < ENDING_PATIENCE ? duration_ns : ENDING_PATIENCE);
}

void shards_thread_watch(struct state *p)
{
    shard_set_patience(settings_get(&p->settings, SET_SHARD_PATIENCE));
    settings_watch(&p->settings, SET_SHARD_PATIENCE, patience_set, p);
    settings_watch(&p->settings, SET_SWEEP_INTERVAL, sweeps_set, p);
    settings_watch(&p->settings, SET_SHARD_WAIT, wait_set, p);
}

int shards_thread_start(struct state *p)
{
    int err = pthread_create(&p->shards_thread->thread, NULL, thread_main, p);

    p->shards_thread->started = err == 0;
    if (err == 0)
        err = pthread_create(&p->shards_thread->looker, NULL, looker_main, p);
    p->shards_thread->looker_started = err == 0;
    return -err;
}

void shards_thread_stop(struct state *p)
{
    struct shards_thread *t = p->shards_thread;

    atomic_store(&p->releasing->stop, true);
    if (!t->started)
        return;
    {
        MUTEX_GUARD(&t->lock);
        t->stop = true;
        cond_broadcast(&t->wake);
        cond_broadcast(&t->look);
        cond_broadcast(&t->looked);
    }
    pthread_join(t->thread, NULL);
    if (t->looker_started)
        pthread_join(t->looker, NULL);
    t->started = t->looker_started = false;
}
