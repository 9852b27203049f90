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
    cond_init(&p->durable->advanced);
}

void durable_advanced(void *ctx, uint64_t seq)
{
    struct durable *d = ((struct state *)ctx)->durable;
    MUTEX_GUARD(&d->lock);

    if (seq <= d->seq)
        return;
    d->seq = seq;
    cond_broadcast(&d->advanced);
}

/* Is the wait for `seq` over? 0: it is durable; < 0: the wait ends with this error; 1: wait at most
 * *ret_nap ns and ask again. Needs the lock. */
static int is_reached(struct state *p, uint64_t seq, int64_t until, const _Atomic bool *interrupted,
                      int64_t *ret_nap)
{
    int64_t left = until < 0 ? LOOK_EVERY : until - ticks(p);

    if (p->durable->seq >= seq)
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
    struct durable *d = p->durable;
    int64_t until = timeout < 0 ? -1 : ticks(p) + timeout, nap = 0;
    int err;

    durable_advanced(p, flush_durable(p)); /* what a start found durable was not reported */
    MUTEX_GUARD(&d->lock);
    while ((err = is_reached(p, seq, until, interrupted, &nap)) > 0)
        (void)cond_wait_for(&d->advanced, &d->lock, nap);
    return err;
}
