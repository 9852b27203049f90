// SPDX-License-Identifier: Apache-2.0
#include "sync.h"

#include "array.h"
#include "clock.h"
#include "durability.h"
#include "reply.h"
#include "thread.h"

#include <errno.h>
#include <stdlib.h>

#define GATHER_MAX 8                      /* of them count for how long one waits, */
#define GATHER_NS (50 * NSEC_PER_MSEC)    /* which is never longer: they may be gone for good */

struct requests_list {
    fuse_req_t *v;
    size_t count, room;
};

struct sync {
    struct fs *fs;
    const struct clock *clock;
    pthread_t thread;
    struct mutex lock;
    struct cond work;
    /* guarded by lock: */
    struct requests_list waiting;
    size_t last_count; /* taken for the last sync */
    bool stopping;
    /* its thread's: */
    int64_t took, before; /* ns: it, and the one before it */
};

/* Waits for as many as came the last time. Needs the lock, and gives it up meanwhile.
 *
 * A quarter of a sync's time for each of them, so that few hardly wait for one who may do something
 * else, and many do not fall apart into small groups that sync one after the other: with half of it
 * for all, 16 that create files in one directory came in groups of four, and took a sixth more. The
 * shorter of the last two: the disk may have been busy with something else. Where syncs take long,
 * because there is much to write, what is gained by one of them less is not worth as long a wait.
 * */
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

/* Takes all who wait, leaving `spare`'s memory for the next. False: the end. */
static bool take(struct sync *s, struct requests_list *spare)
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

static void *sync_main(void *arg)
{
    struct sync *s = arg;
    struct requests_list mine = {0};
    while (take(s, &mine)) {
        const int64_t start = clock_ticks(s->clock);
        const int r = flush_sync(s->fs->p);
        s->before = s->took;
        s->took = clock_ticks(s->clock) - start;
        for (size_t i = 0; i < mine.count; i++)
            fs_reply_err(mine.v[i], r);
    }
    free(mine.v);
    return NULL;
}

int sync_start(struct fs *fs, struct sync **ret_s)
{
    struct sync *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->fs = fs;
    s->clock = fs->o->state.clock;
    mutex_init(&s->lock, "sync");
    cond_init(&s->work);
    int r = thread_start(&s->thread, sync_main, s);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret_s = s;
    return 0;
}

static int add(struct sync *s, fuse_req_t req)
{
    MUTEX_GUARD(&s->lock);
    if (s->stopping) /* a ring's thread that was in the midst of it */
        return -ESHUTDOWN;
    if (ARRAY_RESERVE(s->waiting.v, s->waiting.room, s->waiting.count + 1) < 0)
        return -ENOMEM;
    s->waiting.v[s->waiting.count++] = req;
    if (s->waiting.count == 1 || s->waiting.count >= s->last_count)
        cond_signal(&s->work);
    return 0;
}

void sync_request(struct sync *s, fuse_req_t req)
{
    if (add(s, req) < 0)
        fs_reply_err(req, flush_sync(s->fs->p));
}

void sync_stop(struct sync *s)
{
    if (s == NULL)
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
    if (s == NULL)
        return;
    free(s->waiting.v);
    cond_destroy(&s->work);
    mutex_destroy(&s->lock);
    free(s);
}
