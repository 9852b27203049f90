// SPDX-License-Identifier: Apache-2.0
/*
 * pool: worker threads over one ring of waiting jobs.
 *
 *     submit --room?--> [ head ... head+count ) --work?--> worker --> group.left--
 *
 * One mutex guards the ring; a job's group has its own, taken only when the job has ended, so the
 * two are never held together.
 */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define POOL_THREADS_MAX 256

struct job {
    pool_job_fn *fn;
    void *arg;
    struct pool_group *group; /* or NULL */
};

struct pool {
    struct mutex lock;
    struct cond work; /* a job came, or stopping */
    struct cond room; /* a job left the ring */
    struct job *ring; /* this and the rest down to `stopping`: guarded by lock */
    size_t size;
    size_t head;
    size_t count;
    bool stopping;
    unsigned threads; /* how many run; written only by create and destroy */
    pthread_t thread[POOL_THREADS_MAX];
};

static _Thread_local const struct pool *working_for;

static bool take(struct pool *p, struct job *ret_job)
{
    MUTEX_GUARD(&p->lock);
    while (p->count == 0 && !p->stopping)
        cond_wait(&p->work, &p->lock);
    if (p->count == 0)
        return false;
    *ret_job = p->ring[p->head];
    p->head = (p->head + 1) % p->size;
    p->count--;
    cond_signal(&p->room);
    return true;
}

static void group_end(struct pool_group *g, int result)
{
    if (g == NULL)
        return;
    MUTEX_GUARD(&g->lock);
    if (g->error == 0)
        g->error = result;
    /* Under the lock: the waiter frees the group as soon as it can take it. */
    if (--g->left == 0)
        cond_broadcast(&g->done);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    struct job job;
    working_for = p;
    while (take(p, &job))
        group_end(job.group, job.fn(job.arg));
    return NULL;
}

/* Signals are for the threads of the program, except those a thread causes itself. */
static void block_signals(sigset_t *ret_old)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&set, own[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, ret_old);
}

static int start(struct pool *p, unsigned threads)
{
    sigset_t old;
    int error = 0;
    block_signals(&old);
    while (p->threads < threads && error == 0) {
        error = pthread_create(&p->thread[p->threads], NULL, work, p);
        if (error == 0)
            p->threads++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

int pool_create(unsigned threads, size_t queue, struct pool **ret_pool)
{
    if (threads < 1 || threads > POOL_THREADS_MAX || queue < 1)
        return -EINVAL;
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    p->size = queue;
    p->ring = calloc(queue, sizeof *p->ring);
    mutex_init(&p->lock, "pool");
    cond_init(&p->work);
    cond_init(&p->room);
    int r = p->ring == NULL ? -ENOMEM : start(p, threads);
    if (r < 0) {
        pool_destroy(p);
        return r;
    }
    *ret_pool = p;
    return 0;
}

static void stop(struct pool *p)
{
    MUTEX_GUARD(&p->lock);
    p->stopping = true;
    cond_broadcast(&p->work);
}

void pool_destroy(struct pool *p)
{
    if (p == NULL)
        return;
    assert(working_for != p);
    stop(p);
    for (unsigned i = 0; i < p->threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    cond_destroy(&p->work);
    cond_destroy(&p->room);
    mutex_destroy(&p->lock);
    free(p->ring);
    free(p);
}

static void group_begin(struct pool_group *g, const struct pool *p)
{
    if (g == NULL)
        return;
    MUTEX_GUARD(&g->lock);
    g->pool = p;
    g->left++;
}

void pool_submit(struct pool *p, struct pool_group *g, pool_job_fn *fn, void *arg)
{
    assert(working_for != p);
    group_begin(g, p);
    MUTEX_GUARD(&p->lock);
    while (p->count == p->size)
        cond_wait(&p->room, &p->lock);
    p->ring[(p->head + p->count) % p->size] = (struct job){fn, arg, g};
    p->count++;
    cond_signal(&p->work);
}

void pool_group_init(struct pool_group *g)
{
    *g = (struct pool_group){0};
    mutex_init(&g->lock, "pool_group");
    cond_init(&g->done);
}

static int wait_until_done(struct pool_group *g)
{
    MUTEX_GUARD(&g->lock);
    assert(g->pool == NULL || working_for != g->pool);
    while (g->left > 0)
        cond_wait(&g->done, &g->lock);
    return g->error;
}

int pool_group_wait(struct pool_group *g)
{
    int r = wait_until_done(g);
    cond_destroy(&g->done);
    mutex_destroy(&g->lock);
    return r;
}
