// SPDX-License-Identifier: Apache-2.0
/* durability: what makes changes durable, for all who change a store (flusher.c, durability.c,
 * drain.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

/* Make everything that was acknowledged before the call durable. Many callers share one flush.
 * -EROFS after a failed commit turned the store read-only; -ENOSPC, -EDQUOT, -EIO: nothing is lost,
 * it stays in memory and is tried again. */
int flush_now(struct state *p);
/* Make everything that was acknowledged before the call durable, in the log: what fsync needs, and
 * cheaper than a flush. Many callers share one sync. -EROFS, -EIO: it cannot be trusted any more;
 * -ENOSPC, -EDQUOT: a slot found no room, and it may be tried again. */
int flush_sync(struct state *p);
/* flush_now, and wait until background drops are worked off and dead bytes are deleted.
 * timeout in ns, -1: none. *interrupted may be NULL; looked at every 50 ms. `idle`: until nothing
 * at all is pending, otherwise what was accepted before the call: then it ends beside writers who
 * never rest. -ETIMEDOUT: the time is over and not all is done (drain.h says what is left); a disk
 * that does not answer may make it late. -EINTR. */
int flush_drain(struct state *p, bool idle, int64_t timeout, const _Atomic bool *interrupted);
/* The number of the last change that is durable here, in the log or by a commit. */
uint64_t flush_durable(struct state *p);
