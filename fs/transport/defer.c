// SPDX-License-Identifier: Apache-2.0
/*
 * defer: a queue for each lane, a set of detached threads, and a list of every call that has not
 * answered. The end of the mount walks this list to interrupt the calls.
 *
 *     call_run --> fast queue ------------------------------> worker --> fn --> free
 *              --> slow queue --fewer than DEFER_SLOW_MAX run--^  (others likewise)
 *              |       `-----interrupted--> fast queue
 *              --no thread idle or to be had, fast, may wait: here -------> fn --> free
 *
 * Locks: libfuse calls on_interrupt under the lock of the request, and on_interrupt takes
 * defer.lock. So nothing here calls libfuse while it holds defer.lock.
 */
#include "defer.h"

#include "clock.h"
#include "history_by.h"
#include "loop.h"
#include "nowait.h"
#include "serve.h"
#include "thread.h"
#include "txn.h"
#include "waits.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (10 * NSEC_PER_SEC) /* a thread that was idle for so long ends */

TAILQ_HEAD(queue, call);

struct lane {
    struct queue queue;
    unsigned count, running; /* calls in the queue; calls taken from it that have not ended */
};

static const unsigned lane_max[CALL_LANES] = {
    [CALL_FAST] = UINT_MAX,
    [CALL_SLOW] = DEFER_SLOW_MAX,
    [CALL_RIGHTS] = DEFER_RIGHTS_MAX,
    [CALL_PAGES] = DEFER_PAGES_MAX,
};
static_assert(DEFER_SLOW_MAX + DEFER_RIGHTS_MAX + DEFER_PAGES_MAX < DEFER_MAX,
              "work always gets a thread");

struct defer {
    struct mutex lock;
    struct cond work;  /* signalled when a call came, or `stopping` was set */
    struct cond ended; /* signalled when a thread has ended */
    /* The rest is guarded by: lock */
    struct lane lane[CALL_LANES];
    LIST_HEAD(, call) calls; /* every call that has not answered */
    /* All threads; those of them that wait for a call; calls that have `left` set: */
    unsigned threads, idle, left;
    bool interrupting, stopping;
};

int defer_start(struct defer **ret_d)
{
    struct defer *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    mutex_init(&d->lock, "defer");
    cond_init(&d->work);
    cond_init(&d->ended);
    for (unsigned i = 0; i < CALL_LANES; i++)
        TAILQ_INIT(&d->lane[i].queue);
    LIST_INIT(&d->calls);
    *ret_d = d;
    return 0;
}

struct call *call_new(struct fs *fs, call_fn *fn, size_t room)
{
    struct call *c = malloc(sizeof(*c) + room);
    if (c)
        *c = (struct call){.fs = fs, .fn = fn, .request = txn_request()};
    return c;
}

void call_defer(fuse_req_t req, call_fn *fn, const struct call_args *args)
{
    struct call *c = call_new(fs_of(req), fn, args->room);
    if (!c) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    c->req = req;
    c->lane = args->lane;
    c->ino = args->ino;
    if (args->fi)
        c->fi = *args->fi;
    c->len = args->len;
    c->off = args->off;
    if (args->data)
        memcpy(c->data, args->data, args->room);
    call_run(c);
}

bool call_later(struct fs *fs, call_fn *fn, const void *data, size_t len)
{
    struct call *c = call_new(fs, fn, len);
    if (!c)
        return false;
    memcpy(c->data, data, len);
    call_run_in(c);
    return true;
}

/* libfuse holds the lock of the request while it calls on_interrupt, and this call takes that lock,
 * too. So no interrupt is running when it returns, and none will run. */
void call_settle(struct call *c)
{
    fuse_req_interrupt_func(c->req, NULL, NULL);
}

/* ---- these need defer.lock ---- */

static void queue_add(struct defer *d, struct call *c)
{
    mutex_held(&d->lock);
    TAILQ_INSERT_TAIL(&d->lane[c->lane].queue, c, queue);
    d->lane[c->lane].count++;
    c->queued = true;
}

static void queue_del(struct defer *d, struct call *c)
{
    mutex_held(&d->lock);
    TAILQ_REMOVE(&d->lane[c->lane].queue, c, queue);
    d->lane[c->lane].count--;
    c->queued = false;
}

/* How many of the calls in its queue may begin now. */
static unsigned runnable_of(const struct lane *l, unsigned max)
{
    const unsigned room = max - l->running;
    return l->count < room ? l->count : room;
}

static unsigned runnable(const struct defer *d)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CALL_LANES; i++)
        n += runnable_of(&d->lane[i], lane_max[i]);
    return n;
}

/* Takes the first call that may begin. NULL: there is none. Lanes are looked at in the order of the
 * enum, so work comes first. */
static struct call *queue_take(struct defer *d)
{
    mutex_held(&d->lock);
    struct call *c = NULL;
    for (unsigned i = 0; !c && i < CALL_LANES; i++)
        if (runnable_of(&d->lane[i], lane_max[i]) > 0)
            c = TAILQ_FIRST(&d->lane[i].queue);
    if (!c)
        return NULL;
    queue_del(d, c);
    d->lane[c->lane].running++;
    return c;
}

static void *worker(void *arg);

/* Makes one more thread. -EAGAIN: there are DEFER_MAX already. */
static int start_worker(struct defer *d)
{
    mutex_held(&d->lock);
    if (d->threads >= DEFER_MAX)
        return -EAGAIN;
    int err = thread_start(NULL, worker, d);
    d->threads += err == 0;
    return err;
}

int defer_serve(struct defer *d)
{
    MUTEX_GUARD(&d->lock);
    return start_worker(d);
}

/* Wakes or makes a thread for a call that was queued. False: no thread can take it now. */
static bool wake_worker(struct defer *d)
{
    mutex_held(&d->lock);
    cond_signal(&d->work);
    return runnable(d) <= d->idle || start_worker(d) == 0;
}

/* Marks the call as interrupted. A slow one that is queued need not wait for its turn any more: it
 * will answer at once. */
static void interrupt(struct defer *d, struct call *c)
{
    mutex_held(&d->lock);
    atomic_store(&c->interrupted, true);
    if (!c->queued || c->lane != CALL_SLOW)
        return;
    queue_del(d, c);
    c->lane = CALL_FAST;
    queue_add(d, c);
    wake_worker(d); /* if there is none, a busy thread takes it next */
}

/* ---- these take it themselves ---- */

/* Runs a call and frees it. `taken`: it was taken from its queue, and so counts as running
 * there. */
static void call_execute(struct defer *d, struct call *c, bool taken)
{
    txn_set_request(c->request);
    waits_serve(c->request, serve_takes());
    c->fn(c); /* it answers, so c->req is not valid afterwards */
    waits_serve(0, serve_takes());
    txn_set_request(0);
    (void)history_by_set(NULL);
    {
        MUTEX_GUARD(&d->lock);
        LIST_REMOVE(c, all);
        d->lane[c->lane].running -= taken;
        d->left -= c->left;
    }
    free(c);
}

/* Waits for the next call for this thread. NULL: the thread must end, and is already not counted
 * any more. The last thread ends only with the mount, since none may be made when it is needed. */
static struct call *worker_next(struct defer *d)
{
    struct call *c;
    MUTEX_GUARD(&d->lock);
    d->idle++;
    int err = 0;
    while (!(c = queue_take(d)) && !d->stopping && (err != -ETIMEDOUT || d->threads == 1))
        err = cond_wait_for(&d->work, &d->lock, IDLE_NS);
    d->idle--;
    if (!c) {
        d->threads--;
        cond_broadcast(&d->ended);
    }
    return c;
}

static void *worker(void *arg)
{
    struct defer *d = arg;
    struct call *c;
    while ((c = worker_next(d)))
        call_execute(d, c, true);
    return NULL;
}

/* Queues the call for a thread that exists or can be made. False: the caller runs it itself. If no
 * thread is free or can be made, two kinds of calls stay queued as long as there is any thread:
 * those that wait for others, and those of a thread that must not wait. */
static bool hand_over(struct defer *d, struct call *c)
{
    MUTEX_GUARD(&d->lock);
    LIST_INSERT_HEAD(&d->calls, c, all);
    if (d->interrupting)
        atomic_store(&c->interrupted, true);
    if (atomic_load(&c->interrupted) && c->lane == CALL_SLOW)
        c->lane = CALL_FAST;
    if (d->stopping) /* defer_stop may have returned: a thread would outlive the struct */
        return false;
    queue_add(d, c);
    if (wake_worker(d) || ((c->lane != CALL_FAST || !thread_may_wait()) && d->threads > 0))
        return true;
    queue_del(d, c);
    return false;
}

/* libfuse calls this under the lock of the request. */
static void on_interrupt(fuse_req_t req, void *data)
{
    struct defer *d = fs_of(req)->defer;
    MUTEX_GUARD(&d->lock);
    interrupt(d, data);
}

void call_run_in(struct call *c)
{
    struct defer *d = c->fs->defer;
    serve_kept();
    if (!hand_over(d, c))
        call_execute(d, c, false);
}

/* Do too many calls of its lane wait already, so that they could fill a ring? 0, or the errno for
 * the client. */
static int refusal(struct defer *d, const struct call *c)
{
    if (c->lane == CALL_SLOW)
        return loop_may_park() ? 0 : ENOSPC;
    if (c->lane != CALL_RIGHTS)
        return 0;
    const struct lane *l = &d->lane[CALL_RIGHTS];
    MUTEX_GUARD(&d->lock);
    return l->count + l->running < DEFER_RIGHTS_TAKEN ? 0 : EAGAIN;
}

void call_run(struct call *c)
{
    const int refused = refusal(c->fs->defer, c);
    if (refused != 0) {
        fuse_reply_err(c->req, refused);
        free(c);
        return;
    }
    fuse_req_interrupt_func(c->req, on_interrupt, c);
    call_run_in(c);
}

void defer_interrupt_all(struct defer *d)
{
    struct call *c;
    MUTEX_GUARD(&d->lock);
    d->interrupting = true;
    LIST_FOREACH(c, &d->calls, all)
    {
        d->left += !c->left;
        c->left = true;
        interrupt(d, c);
    }
}

bool defer_is_ending(struct defer *d)
{
    MUTEX_GUARD(&d->lock);
    return d->interrupting;
}

unsigned defer_left(struct defer *d)
{
    MUTEX_GUARD(&d->lock);
    return d->left;
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
    if (!d)
        return;
    cond_destroy(&d->work);
    cond_destroy(&d->ended);
    mutex_destroy(&d->lock);
    free(d);
}
