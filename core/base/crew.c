// SPDX-License-Identifier: Apache-2.0
/* crew: see the header. A thread that has no piece waits for the next one until the crew ends. */
#include "crew.h"

#include "lock.h"
#include "thread.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

STAILQ_HEAD(crew_list, crew_piece);

struct crew {
    crew_work_fn *work;
    unsigned under_way; /* the owner's */
    pthread_t thread[CREW_MAX];
    unsigned threads;  /* the owner's: how many were started */
    struct mutex lock; /* "crew", a leaf: guards the fields below */
    struct cond given, done;
    struct crew_list to_do, finished;
    unsigned undone; /* pieces that were given to threads and are not done yet */
    bool ending;
};

int crew_open(crew_work_fn *work, struct crew **ret_crew)
{
    struct crew *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->work = work;
    mutex_init(&c->lock, "crew");
    cond_init(&c->given);
    cond_init(&c->done);
    STAILQ_INIT(&c->to_do);
    STAILQ_INIT(&c->finished);
    *ret_crew = c;
    return 0;
}

/* Waits for a piece. NULL: the crew ends. Needs the lock. */
static struct crew_piece *next_piece(struct crew *c)
{
    struct crew_piece *piece;

    while (STAILQ_EMPTY(&c->to_do)) {
        if (c->ending)
            return NULL;
        cond_wait(&c->given, &c->lock);
    }
    piece = STAILQ_FIRST(&c->to_do);
    STAILQ_REMOVE_HEAD(&c->to_do, next);
    return piece;
}

static void *crew_main(void *arg)
{
    struct crew *c = arg;
    struct crew_piece *piece;
    MUTEX_GUARD(&c->lock);

    while ((piece = next_piece(c))) {
        mutex_unlock(&c->lock);
        if (thread_io_is_idle() != piece->io_idle)
            thread_io_idle(piece->io_idle);
        c->work(piece);
        mutex_lock(&c->lock);
        STAILQ_INSERT_TAIL(&c->finished, piece, next);
        c->undone--;
        cond_signal(&c->done);
    }
    return NULL;
}

/* Starts one more thread if that is allowed and possible. */
static void start_one(struct crew *c, unsigned most)
{
    if (c->threads < most && c->threads < CREW_MAX &&
        thread_start(&c->thread[c->threads], crew_main, c) == 0)
        c->threads++;
}

/* Does a piece in the thread of the owner. */
static void do_here(struct crew *c, struct crew_piece *piece)
{
    c->work(piece);
    MUTEX_GUARD(&c->lock);
    STAILQ_INSERT_TAIL(&c->finished, piece, next);
}

/* Has every thread a piece already? */
static bool all_busy(struct crew *c)
{
    MUTEX_GUARD(&c->lock);
    return c->undone >= c->threads;
}

void crew_give(struct crew *c, struct crew_piece *piece, unsigned most)
{
    piece->io_idle = thread_io_is_idle();
    c->under_way++;
    if (most > 1 && all_busy(c))
        start_one(c, most);
    if (most <= 1 || c->threads == 0) {
        do_here(c, piece);
        return;
    }
    MUTEX_GUARD(&c->lock);
    STAILQ_INSERT_TAIL(&c->to_do, piece, next);
    c->undone++;
    cond_signal(&c->given);
}

struct crew_piece *crew_take(struct crew *c, bool wait)
{
    struct crew_piece *piece;
    MUTEX_GUARD(&c->lock);

    while (wait && c->under_way > 0 && STAILQ_EMPTY(&c->finished))
        cond_wait(&c->done, &c->lock);
    piece = STAILQ_FIRST(&c->finished);
    if (!piece)
        return NULL;
    STAILQ_REMOVE_HEAD(&c->finished, next);
    c->under_way--;
    return piece;
}

unsigned crew_under_way(const struct crew *c)
{
    return c->under_way;
}

void crew_close(struct crew *c)
{
    if (!c)
        return;
    assert(c->under_way == 0);
    {
        MUTEX_GUARD(&c->lock);
        c->ending = true;
        cond_broadcast(&c->given);
    }
    for (unsigned i = 0; i < c->threads; i++)
        pthread_join(c->thread[i], NULL);
    cond_destroy(&c->given);
    cond_destroy(&c->done);
    mutex_destroy(&c->lock);
    free(c);
}
