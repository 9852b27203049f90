// SPDX-License-Identifier: Apache-2.0
/*
 * durable: reports that changes are durable, in the log or by a commit. A watch names the number of
 * a change. Its function is called once, when that change and all before it are durable.
 *
 *     durable_on(p, &watch)       list a watch; its function is called at once if the changes are
 *                                 durable already
 *     durable_off(p, &watch)      afterwards its function is not called any more
 *     durable_wait(p, seq, ...)   the calling thread waits until a change is durable
 *
 * None of these starts a sync or a flush: changes become durable by an fsync, a flush, or the
 * flusher's rounds.
 *
 * Threads: any. The owner of a watch keeps its memory in place until its function was called, or
 * until durable_off returned.
 */
#pragma once

#include "lock.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

struct durable_watch {
    uint64_t seq;
    /* Called when everything up to `durable`, which is at least `seq`, is durable. The caller holds
     * the lock "durable", so the function takes no lock and calls nothing of the store. */
    void (*fn)(void *ctx, uint64_t durable);
    void *ctx;
    struct durable_watch *next;
    bool listed;
};

void durable_init(struct state *p);
void durable_on(struct state *p, struct durable_watch *w);
void durable_off(struct state *p, struct durable_watch *w);
/* Wait until everything up to `seq` is durable. `timeout` is in ns by the clock; -1: no limit, 0:
 * do not wait. -EROFS: the store is read-only, so `seq` may never become durable; -ESHUTDOWN: the
 * store is closing; -ETIMEDOUT; -EINTR: *interrupted is set (`interrupted` may be NULL). The
 * conditions for these errors are looked at every 50 ms. The caller holds no lock. */
int durable_wait(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted);

/* ---- for the code that makes changes durable ---- */

/* Report that everything up to `seq` is durable. `ctx` is the state. The caller holds no lock. */
void durable_advanced(void *ctx, uint64_t seq);
