// SPDX-License-Identifier: Apache-2.0
/* waiting: 16 short lists, each with its own lock, so that threads seldom wait for one another. */
#include "waiting.h"

#include "array.h"
#include "lock.h"
#include "report.h"
#include "requests.h"
#include "thread.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define LISTS 16

struct request {
    uint64_t unique;
    struct waiting_request r;
    int64_t since; /* monotonic ns */
    bool told;     /* it was reported */
};

struct list {
    struct mutex lock;  /* "waiting" */
    struct request *v;  /* guarded by: lock */
    size_t count, room; /* guarded by: lock */
};

struct waiting {
    const struct clock *clock;
    struct list list[LISTS];
    pthread_t thread;
    struct mutex lock; /* "waiting" */
    struct cond stop;
    bool stopping; /* guarded by: lock */
};

static struct list *list_of(struct waiting *w, uint64_t unique)
{
    return &w->list[unique / 2 % LISTS]; /* the kernel numbers requests in steps of two */
}

void waiting_add(struct waiting *w, uint64_t unique, const struct waiting_request *r)
{
    if (!w)
        return;
    const struct request one = {.unique = unique, .r = *r, .since = clock_ticks(w->clock)};
    struct list *l = list_of(w, unique);
    MUTEX_GUARD(&l->lock);
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) == 0)
        l->v[l->count++] = one;
}

/* The order of a list does not matter, so the last one takes the place of the removed one. */
bool waiting_done(struct waiting *w, uint64_t unique, struct waiting_request *ret)
{
    if (!w)
        return false;
    const int64_t now = clock_ticks(w->clock);
    struct list *l = list_of(w, unique);
    MUTEX_GUARD(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        if (l->v[i].unique == unique) {
            *ret = l->v[i].r;
            ret->took = now - l->v[i].since;
            l->v[i] = l->v[--l->count];
            return true;
        }
    return false;
}

/* ---- looking ---- */

/* Counts the requests and finds the one that has waited longest. The lists are looked at one after
 * the other, so the result is not of one instant. */
void waiting_describe(struct waiting *w, struct view_edge *ret)
{
    if (!w)
        return;
    const int64_t now = clock_ticks(w->clock);
    for (size_t n = 0; n < LISTS; n++) {
        struct list *l = &w->list[n];
        MUTEX_GUARD(&l->lock);
        ret->waiting += l->count;
        for (size_t i = 0; i < l->count; i++)
            if (now - l->v[i].since >= ret->longest_wait) {
                ret->longest_wait = now - l->v[i].since;
                ret->longest_kind = requests_name(l->v[i].r.opcode);
            }
    }
    ret->waits_too_long = ret->longest_wait >= WAITING_ALARM_NS;
}

/* Finds a request that is to be reported, and marks it as reported. False: there is none. */
static bool take_late(struct list *l, int64_t now, struct request *ret)
{
    MUTEX_GUARD(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        if (!l->v[i].told && now - l->v[i].since >= WAITING_ALARM_NS) {
            l->v[i].told = true;
            *ret = l->v[i];
            return true;
        }
    return false;
}

unsigned waiting_look(struct waiting *w)
{
    const int64_t now = clock_ticks(w->clock);
    struct request r;
    unsigned told = 0;
    for (size_t n = 0; n < LISTS; n++)
        for (; take_late(&w->list[n], now, &r); told++)
            report(REPORT_ALARM,
                   "a request has not been answered for %" PRId64 " seconds: %s, inode %" PRIu64
                   "; who sent it, and who needs that inode, waits for it",
                   (now - r.since) / NSEC_PER_SEC, requests_name(r.r.opcode), r.r.nodeid);
    return told;
}

/* Looks every WAITING_LOOK_NS until the end. It does not hold the lock while it reports. */
static void *waiting_main(void *arg)
{
    struct waiting *w = arg;
    mutex_lock(&w->lock);
    while (!w->stopping)
        if (cond_wait_for(&w->stop, &w->lock, WAITING_LOOK_NS) == -ETIMEDOUT) {
            mutex_unlock(&w->lock);
            (void)waiting_look(w);
            mutex_lock(&w->lock);
        }
    mutex_unlock(&w->lock);
    return NULL;
}

/* ---- its life ---- */

static void release(struct waiting *w)
{
    for (size_t n = 0; n < LISTS; n++) {
        free(w->list[n].v);
        mutex_destroy(&w->list[n].lock);
    }
    cond_destroy(&w->stop);
    mutex_destroy(&w->lock);
    free(w);
}

int waiting_start(const struct clock *clock, struct waiting **ret_w)
{
    struct waiting *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->clock = clock;
    mutex_init(&w->lock, "waiting");
    cond_init(&w->stop);
    for (size_t n = 0; n < LISTS; n++)
        mutex_init(&w->list[n].lock, "waiting");
    int err = thread_start(&w->thread, waiting_main, w);
    if (err < 0)
        release(w);
    else
        *ret_w = w;
    return err;
}

void waiting_stop(struct waiting *w)
{
    if (!w)
        return;
    {
        MUTEX_GUARD(&w->lock);
        w->stopping = true;
        cond_signal(&w->stop);
    }
    pthread_join(w->thread, NULL);
    release(w);
}
