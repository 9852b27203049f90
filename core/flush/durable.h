// SPDX-License-Identifier: Apache-2.0
/*
 * durable: waiting until a change and all before it are durable, in the log or by a commit. A wait
 * starts neither a sync nor a flush: changes become durable by an fsync, a flush, or the flusher's
 * rounds.
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

void durable_init(struct state *p);
/* Wait until everything up to `seq` is durable. `timeout` is in ns by the clock; -1: no limit, 0:
 * do not wait. -EROFS: the store is read-only, so `seq` may never become durable; -ESHUTDOWN: the
 * store is closing; -ETIMEDOUT; -EINTR: *interrupted is set (`interrupted` may be NULL). The
 * conditions for these errors are looked at every 50 ms. The caller holds no lock. */
int durable_wait(struct state *p, uint64_t seq, int64_t timeout, const _Atomic bool *interrupted);

/* ---- for the code that makes changes durable ---- */

/* Report that everything up to `seq` is durable. `ctx` is the state. The caller holds no lock. */
void durable_advanced(void *ctx, uint64_t seq);
