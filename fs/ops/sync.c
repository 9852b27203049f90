// SPDX-License-Identifier: Apache-2.0
#include "sync.h"

#include "array.h"
#include "clock.h"
#include "durability.h"
#include "reply.h"
#include "ship.h"
#include "thread.h"
#include "txn.h"
#include "waiting.h"
#include "waits.h"

#include <errno.h>
#include <stdlib.h>

#define ARCHIVE_LOOK (200 * NSEC_PER_MSEC) /* how often a wait looks who waits still */
#define GATHER_MAX 8                       /* so many requests of the last sync count at most */
#define GATHER_NS (50 * NSEC_PER_MSEC)     /* the longest wait for more requests */

struct requests_list {
    fuse_req_t *v;
    size_t count, room;
};

struct sync {
    struct fs *fs;
    bool ships; /* what is synced must be in the archives, too */
    const struct clock *clock;
    pthread_t thread;
    _Atomic int tid; /* of the thread */
    struct mutex lock;
    struct cond work;
    struct requests_list waiting; /* guarded by: lock */
    size_t last_count;            /* guarded by: lock; how many the last sync served */
    bool stopping;                /* guarded by: lock */
    /* Used by the thread only: how many ns the last sync took, and the one before it. */
    int64_t took, before;
};

/* Waits until as many requests have come as the last sync has served. The caller holds the lock,
 * which is released meanwhile.
 *
 * It waits for at most a quarter of a sync's duration for each of them. So a few clients hardly
 * wait for one that may do something else, and many clients do not fall apart into small groups
 * that sync one after the other. (With half a duration for all together, 16 programs that create
 * files in one directory came in groups of four, and took a sixth longer.) The duration is the
 * shorter one of the last two syncs, since the disk may have been busy with something else. The
 * total is limited to GATHER_NS: where a sync takes long because there is much to write, saving one
 * sync is not worth such a long wait. */
static void gather_waiting(struct sync *s)
{
    const size_t worth = s->last_count < GATHER_MAX ? s->last_count : GATHER_MAX;
    const int64_t took = s->took < s->before ? s->took : s->before;
    const int64_t most = took / 4 * (int64_t)worth;
    const int64_t until = clock_ticks(s->clock) + (most < GATHER_NS ? most : GATHER_NS);
    while (s->waiting.count < s->last_count && !s->stopping) {
        const int64_t left = until - clock_ticks(s->clock);
        if (left <= 0 || cond_wait_for(&s->work, &s->lock, left) == -ETIMEDOUT)
            return;
    }
}

/* Waits for requests and takes all of them; `spare` gives its memory for the next ones. False: the
 * thread must end. */
static bool take_requests(struct sync *s, struct requests_list *spare)
{
    MUTEX_GUARD(&s->lock);
    while (s->waiting.count == 0 && !s->stopping)
        cond_wait(&s->work, &s->lock);
    if (s->waiting.count == 0)
        return false;
    gather_waiting(s);
    const struct requests_list taken = s->waiting;
    s->last_count = taken.count;
    spare->count = 0;
    s->waiting = *spare;
    *spare = taken;
    return true;
}

static bool is_stopping(struct sync *s)
{
    MUTEX_GUARD(&s->lock);

    return s->stopping;
}

/* Answers those whose programs do not wait any more. */
static void drop_interrupted(struct requests_list *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++)
        if (fuse_req_interrupted(l->v[i]))
            fs_reply_err(l->v[i], -EINTR);
        else
            l->v[kept++] = l->v[i];
    l->count = kept;
}

/* Waits until the archives have what was changed before, as long as somebody waits for that. */
static int await_archives(struct sync *s, struct requests_list *l)
{
    const uint64_t seq = state_seq(s->fs->p);
    int err;

    ship_kick(s->fs->p);
    WAITS_GUARD(WAITS_ROOM, "archives to have what was changed", 0, NULL);
    do {
        err = ship_wait_all(s->fs->p, seq, ARCHIVE_LOOK, NULL);
        if (err == -ETIMEDOUT)
            drop_interrupted(l);
    } while (err == -ETIMEDOUT && l->count > 0 && !is_stopping(s));
    return err == -ETIMEDOUT ? -EIO : err;
}

/* The thread: one sync for all requests that were taken. flush_sync makes everything durable that
 * was acknowledged before the call. */
static void *sync_main(void *arg)
{
    struct sync *s = arg;
    struct requests_list mine = {0};
    atomic_store(&s->tid, waits_self());
    while (take_requests(s, &mine)) {
        const int64_t start = clock_ticks(s->clock);
        int err = flush_sync(s->fs->p);
        if (err == 0 && s->ships)
            err = await_archives(s, &mine);
        s->before = s->took;
        s->took = clock_ticks(s->clock) - start;
        for (size_t i = 0; i < mine.count; i++)
            fs_reply_err(mine.v[i], err);
    }
    free(mine.v);
    return NULL;
}

int sync_start(struct fs *fs, bool ships, struct sync **ret_s)
{
    struct sync *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->fs = fs;
    s->ships = ships;
    s->clock = fs->o->state.clock;
    mutex_init(&s->lock, "sync");
    cond_init(&s->work);
    int err = thread_start(&s->thread, sync_main, s);
    if (err < 0) {
        free(s);
        return err;
    }
    *ret_s = s;
    return 0;
}

/* Queues a request. The thread is woken when the first one comes, and when as many wait as the last
 * sync has served. -ESHUTDOWN, -ENOMEM: the caller syncs itself. */
static int add_request(struct sync *s, fuse_req_t req)
{
    MUTEX_GUARD(&s->lock);
    if (s->stopping) /* a ring's thread may still be serving an FSYNC */
        return -ESHUTDOWN;
    if (ARRAY_RESERVE(s->waiting.v, s->waiting.room, s->waiting.count + 1) < 0)
        return -ENOMEM;
    s->waiting.v[s->waiting.count++] = req;
    waiting_hand(s->fs->waiting, txn_request(), atomic_load(&s->tid));
    if (s->waiting.count == 1 || s->waiting.count >= s->last_count)
        cond_signal(&s->work);
    return 0;
}

void sync_request(struct sync *s, fuse_req_t req)
{
    if (add_request(s, req) < 0)
        fs_reply_err(req, flush_sync(s->fs->p));
}

void sync_stop(struct sync *s)
{
    if (!s)
        return;
    {
        MUTEX_GUARD(&s->lock);
        s->stopping = true;
        cond_signal(&s->work);
    }
    pthread_join(s->thread, NULL);
}

void sync_free(struct sync *s)
{
    if (!s)
        return;
    free(s->waiting.v);
    cond_destroy(&s->work);
    mutex_destroy(&s->lock);
    free(s);
}
