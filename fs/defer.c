// SPDX-License-Identifier: Apache-2.0
/*
 * defer: one queue, a set of detached threads, and a list of every call that has not answered,
 * which is what the end of the mount walks to interrupt them.
 *
 *     call_run --idle thread or room for one--> queue --> worker --> fn --> free
 *              --set full or no thread to be had---------- here ---> fn --> free
 */
#include "defer.h"

#include "clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define IDLE_NS (10 * NSEC_PER_SEC)

struct defer {
    struct mutex lock;
    struct cond work;  /* a call came, or stopping */
    struct cond ended; /* a thread ended */
    /* guarded by lock: */
    struct call *queue, **queue_end;
    struct call *calls; /* all, queued or running */
    unsigned threads, idle, queued;
    bool interrupting, stopping;
};

int defer_start(struct defer **ret_d)
{
    struct defer *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return -ENOMEM;
    mutex_init(&d->lock, "defer");
    cond_init(&d->work);
    cond_init(&d->ended);
    d->queue_end = &d->queue;
    *ret_d = d;
    return 0;
}

struct call *call_new(fuse_req_t req, call_fn *fn, size_t room)
{
    struct call *c = malloc(sizeof(*c) + room);
    if (c == NULL) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    *c = (struct call){.req = req, .fn = fn};
    return c;
}

static void on_interrupt(fuse_req_t req, void *data)
{
    struct call *c = data;
    (void)req;
    atomic_store(&c->interrupted, true);
}

/* libfuse calls on_interrupt under the request's own lock, which this takes, too: when it returns
 * no interrupt is running, and none will. */
void call_settle(struct call *c)
{
    fuse_req_interrupt_func(c->req, NULL, NULL);
}

/* ---- below: under lock ---- */

static void calls_add(struct defer *d, struct call *c)
{
    mutex_held(&d->lock);
    c->prev = NULL;
    c->next = d->calls;
    if (c->next != NULL)
        c->next->prev = c;
    d->calls = c;
    if (d->interrupting)
        atomic_store(&c->interrupted, true);
}

static void calls_del(struct defer *d, struct call *c)
{
    mutex_held(&d->lock);
    if (c->next != NULL)
        c->next->prev = c->prev;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        d->calls = c->next;
}

static void queue_add(struct defer *d, struct call *c)
{
    mutex_held(&d->lock);
    c->queue_next = NULL;
    *d->queue_end = c;
    d->queue_end = &c->queue_next;
    d->queued++;
    cond_signal(&d->work);
}

static struct call *queue_take(struct defer *d)
{
    mutex_held(&d->lock);
    struct call *c = d->queue;
    d->queue = c->queue_next;
    if (d->queue == NULL)
        d->queue_end = &d->queue;
    d->queued--;
    return c;
}

/* ---- above: under lock ---- */

static void call_execute(struct defer *d, struct call *c)
{
    c->fn(c); /* answers; c->req is gone afterwards */
    {
        MUTEX_GUARD(&d->lock);
        calls_del(d, c);
    }
    free(c);
}

/* The next call for this thread, or NULL: end it (it is counted out already). */
static struct call *worker_next(struct defer *d)
{
    MUTEX_GUARD(&d->lock);
    d->idle++;
    int r = 0;
    while (d->queue == NULL && !d->stopping && r != -ETIMEDOUT)
        r = cond_wait_for(&d->work, &d->lock, IDLE_NS);
    d->idle--;
    if (d->queue != NULL)
        return queue_take(d);
    d->threads--;
    cond_broadcast(&d->ended);
    return NULL;
}

static void *worker(void *arg)
{
    struct defer *d = arg;
    struct call *c;
    while ((c = worker_next(d)) != NULL)
        call_execute(d, c);
    return NULL;
}

/* All signals stay with the thread that waits for them. */
static int start_worker(struct defer *d)
{
    pthread_t id;
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&id, &attr, worker, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

/* Queue it for a thread that is or will be there. False: run it here. */
static bool hand_over(struct defer *d, struct call *c)
{
    MUTEX_GUARD(&d->lock);
    calls_add(d, c);
    if (d->idle <= d->queued) {
        if (d->threads >= DEFER_MAX || start_worker(d) < 0)
            return false;
        d->threads++;
    }
    queue_add(d, c);
    return true;
}

void call_run(struct call *c)
{
    struct defer *d = fs_of(c->req)->defer;
    fuse_req_interrupt_func(c->req, on_interrupt, c);
    if (!hand_over(d, c))
        call_execute(d, c);
}

void defer_interrupt_all(struct defer *d)
{
    MUTEX_GUARD(&d->lock);
    d->interrupting = true;
    for (struct call *c = d->calls; c != NULL; c = c->next)
        atomic_store(&c->interrupted, true);
}

void defer_stop(struct defer *d)
{
    defer_interrupt_all(d);
    MUTEX_GUARD(&d->lock);
    d->stopping = true;
    cond_broadcast(&d->work);
    while (d->threads > 0)
        cond_wait(&d->ended, &d->lock);
}

void defer_free(struct defer *d)
{
    if (d == NULL)
        return;
    cond_destroy(&d->work);
    cond_destroy(&d->ended);
    mutex_destroy(&d->lock);
    free(d);
}
