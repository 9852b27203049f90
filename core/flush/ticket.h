// SPDX-License-Identifier: Apache-2.0
/*
 * ticket: a handle on one flush. A caller waits on it for the end of that flush (CONTRACTS
 * section 5).
 *
 * A ticket has a reference count, and stays valid after the coordinator that made it is gone. To
 * release a ticket does not cancel its flush. If the flush was dropped, waiting on the ticket fails
 * with the reason. Threads: any; a ticket has a lock of its own, "ticket", a leaf.
 */
#pragma once

#include "clock.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stdint.h>

struct ticket;

#define TICKET_LOOK_EVERY (50 * NSEC_PER_MSEC) /* how often a wait looks at *interrupted */

struct ticket *ticket_ref(struct ticket *t);
void ticket_unref(struct ticket *t); /* NULL is fine */
/* The number of its flush: flushes are numbered from 0 in the order of their rotates. */
uint64_t ticket_number(const struct ticket *t);
/* The number of the last change that its flush covers. */
uint64_t ticket_snapshot(const struct ticket *t);
/* Wait until the flush ends. Returns 0 when the flush is finalized, and its error when it was given
 * up or dropped. If `patient` is false, the wait also ends with the error of a failed attempt that
 * was reported to this ticket. -ETIMEDOUT, -EINTR: the wait is over, and the flush goes on. After
 * an error `why` (may be NULL) gets a sentence about it. `timeout` is in ns by the clock; -1: no
 * limit, 0: do not wait. `interrupted` may be NULL; it is looked at every 50 ms. */
int ticket_wait(struct ticket *t, bool patient, int64_t timeout, const _Atomic bool *interrupted,
                struct strbuf *why);

/* ---- for the coordinator, which makes the flush ---- */

struct ticket *ticket_create(const struct clock *clock); /* NULL: no memory */
void ticket_set(struct ticket *t, uint64_t number, uint64_t snapshot);
/* The flush ended, with `error` or 0. Later calls for the same ticket have no effect. */
void ticket_resolve(struct ticket *t, int error, bool dropped);
/* An attempt at the flush failed with `error`; the flush itself goes on. */
void ticket_tell(struct ticket *t, int error);
/* The meaning of an error (negative errno) in words, to be put into a sentence. */
const char *ticket_describe(int err);
