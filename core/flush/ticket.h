// SPDX-License-Identifier: Apache-2.0
/*
 * ticket: a handle on one flush, on which one waits for its end (CONTRACTS section 5).
 *
 * Counted, and good without the coordinator that made it: dropping one cancels nothing, and one
 * whose flush was lost says so. Threads: any; a lock inside, "ticket", a leaf.
 */
#pragma once

#include "clock.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stdint.h>

struct ticket;

#define TICKET_LOOK_EVERY (50 * NSEC_PER_MSEC) /* at what may interrupt a wait */

struct ticket *ticket_ref(struct ticket *t);
void ticket_unref(struct ticket *t); /* NULL is fine */
/* Of its flush, in rotate order from 0. */
uint64_t ticket_number(const struct ticket *t);
/* The change up to which its flush goes. */
uint64_t ticket_snapshot(const struct ticket *t);
/* 0 when its flush is finalized; its error when it was given up or dropped, with a sentence in
 * `why` (may be NULL). Impatient: also the error of an attempt of it, or of one before it, that has
 * failed since it was rotated. -ETIMEDOUT, -EINTR: it goes on. timeout in ns by the clock, -1:
 * none, 0: only look. *interrupted may be NULL; looked at every 50 ms. */
int ticket_wait(struct ticket *t, bool patient, int64_t timeout, const _Atomic bool *interrupted,
                struct strbuf *why);

/* ---- for who makes the flush ---- */

struct ticket *ticket_create(const struct clock *clock); /* NULL: no memory */
void ticket_set(struct ticket *t, uint64_t number, uint64_t snapshot);
/* It ended so; the first end counts. */
void ticket_resolve(struct ticket *t, int error, bool dropped);
/* An attempt failed. */
void ticket_tell(struct ticket *t, int error);
/* What the errno means, for a sentence. */
const char *ticket_describe(int err);
