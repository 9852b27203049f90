// SPDX-License-Identifier: Apache-2.0
/* durable: see the header. */
#include "durable.h"
#include "durability.h"
#include "flush_impl.h"
#include "state.h"
#include <errno.h>

#define LOOK_EVERY (50 * NSEC_PER_MSEC) /* how often a wait looks at what ends it */

void durable_init(struct state *p)
{
    mutex_init(&p->durable->lock, "durable");
}

void durable_advanced(void *ctx, uint64_t seq)
{
    struct state *p = ctx;
    MUTEX_GUARD(&p->durable->lock);
    struct durable_watch **at = &p->durable->first;

    while (*at) {
        struct durable_watch *w = *at;

        if (w->seq > seq) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->listed = false;
        w->fn(w->ctx, seq);
    }
}

/* List the watch first, and look at the durable number afterwards: so a commit between the two
 * steps is not missed. */
void durable_on(struct state *p, struct durable_watch *w)
{
    {
        MUTEX_GUARD(&p->durable->lock);
        w->next = p->durable->first;
        w->listed = true;
        p->durable->first = w;
    }
    durable_advanced(p, flush_durable(p));
}

void durable_off(struct state *p, struct durable_watch *w)
{
    MUTEX_GUARD(&p->durable->lock);
    struct durable_watch **at = &p->durable->first;

    if (!w->listed)
        return;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->listed = false;
}

/* ---- a thread that waits ---- */

/* A thread in durable_wait; on its stack. */
struct waiting {
    struct cond told;
    bool is_told; /* the change is durable; guarded by "durable" */
};

/* The watch function of durable_wait: wakes the waiting thread. */
static void on_durable(void *ctx, uint64_t durable)
{
    struct waiting *w = ctx;

    (void)durable;
    w->is_told = true;
    cond_signal(&w->told);
}

/* Is the wait over? 0: the change is durable; < 0: the wait ends with this error; 1: wait at most
 * *ret_nap ns and ask again. Needs the lock. */
static int is_reached(struct state *p, const struct waiting *w, int64_t until,
                      const _Atomic bool *interrupted, int64_t *ret_nap)
{
    int64_t left = until < 0 ? LOOK_EVERY : until - ticks(p);

    if (w->is_told)
        return 0;
    if (atomic_load(&p->readonly))
        return -EROFS;
    if (atomic_load(&p->closing))
        return -ESHUTDOWN;
    if (interrupted && atomic_load(interrupted))
        return -EINTR;
    if (left <= 0)
        return -ETIMEDOUT;
    *ret_nap = left < LOOK_EVERY ? left : LOOK_EVERY;
    return 1;
}

int durable_wait(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted)
{
    struct waiting w = {.is_told = false};
    struct durable_watch watch = {.seq = seq, .fn = on_durable, .ctx = &w};
    int64_t until = timeout < 0 ? -1 : ticks(p) + timeout, nap = 0;
    int err;

    cond_init(&w.told);
    durable_on(p, &watch);
    {
        MUTEX_GUARD(&p->durable->lock);
        while ((err = is_reached(p, &w, until, interrupted, &nap)) > 0)
            (void)cond_wait_for(&w.told, &p->durable->lock, nap);
    }
    durable_off(p, &watch);
    cond_destroy(&w.told);
    return err;
}
