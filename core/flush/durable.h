// SPDX-License-Identifier: Apache-2.0
/*
 * durable: who is told that a change is durable, in the log or by a commit: each names the number
 * of a change, and is told once, when that change and all before it are.
 *
 *     durable_on(p, &watch)       told at once if they are already
 *     durable_off(p, &watch)      afterwards nobody tells it
 *     durable_wait(p, seq, ...)   the same for one who waits
 *
 * Nobody is hurried: changes become durable by an fsync, a flush, or the flusher's rounds.
 *
 * Threads: any. A watch is its owner's, and stays where it is until it was told or taken off.
 */
#pragma once

#include "lock.h"
#include <stdbool.h>
#include <stdint.h>

struct state;

struct durable_watch {
    uint64_t seq;
    /* Everything up to `durable`, at least `seq`, is durable. The lock "durable" is held: it takes
     * no other one, and calls nothing of the store. */
    void (*fn)(void *ctx, uint64_t durable);
    void *ctx;
    struct durable_watch *next;
    bool listed;
};

void durable_init(struct state *p);
void durable_on(struct state *p, struct durable_watch *w);
void durable_off(struct state *p, struct durable_watch *w);
/* Until everything up to `seq` is durable. Timeout in ns by the clock, -1: none, 0: only look.
 * -EROFS it cannot become so, -ESHUTDOWN, -ETIMEDOUT, -EINTR: these, and *interrupted, which may be
 * NULL, are looked at every 50 ms. Holding nothing. */
int durable_wait(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted);

/* ---- for who makes it so ---- */

/* Everything up to `seq` is durable. `ctx`: the state. Holding nothing. */
void durable_advanced(void *ctx, uint64_t seq);
