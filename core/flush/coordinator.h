// SPDX-License-Identifier: Apache-2.0
/*
 * coordinator: several flushes in flight, and the order in which they end (CONTRACTS section 5).
 *
 *   permit ──rotate──> due ──stream──> streamed ──finalize──> done
 *                       ^      │           │
 *              back-off │      v           v
 *                       └─── failed <──────┘
 *                              │ more than `retry` times: its ticket fails, its permit is given
 *                              v back, and its batch is the successor's, which commits both
 *                            merged
 *
 * What a flush does is in the functions of the configuration. The coordinator only decides when.
 * Rotations happen one at a time and are numbered 0, 1, 2 … without gaps. Streams run anywhere,
 * several at once, and end in any order. Finalize runs strictly in the order of the numbers, one at
 * a time, by one thread: that of the coordinator, or, without `background`, whoever calls
 * coordinator_run. A permit is held from rotate to finalize. A batch that was
 * rotated is pending until it is finalized. Only coordinator_destroy drops a pending batch.
 *
 *     coordinator_flush(c, arg, patient, &t)    waits for a permit, rotates, hands out the stream
 *     ticket_wait(t, ...)                       how it ended
 *     coordinator_stop(c)                       its thread ends; the rest by coordinator_run
 *
 * Two kinds of waiting for a permit: a patient caller waits until it has one, however long that
 * takes. An impatient caller also returns when an attempt fails meanwhile, with its error: a flush
 * that fails may keep its permit until somebody removes the cause.
 *
 * Errors: 0 or -errno: -ESHUTDOWN after coordinator_abort, that of `fatal` once there was one.
 * Threads: any. Lock inside: "coordinator", a leaf, never held while a function of the
 * configuration runs; "rotation" is held while rotate runs.
 */
#pragma once

#include "clock.h"
#include "ticket.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coordinator;

#define COORDINATOR_MAX 64 /* batches rotated and not finalized; a further flush waits */
#define COORDINATOR_BACKOFF (100 * NSEC_PER_MSEC)   /* after the first failure; then doubled */
#define COORDINATOR_BACKOFF_MAX (10 * NSEC_PER_SEC) /* up to this */
#define COORDINATOR_FOREVER (-1)

struct coordinator_config {
    const struct clock *clock;
    unsigned permits; /* flushes at once; 0 means 1 */
    int64_t retry;    /* how often a failed flush is tried again, or COORDINATOR_FOREVER */
    /* Freeze batch `number`; *ret_snapshot: the number of the last change in it. After an error
     * nothing is frozen, and the next rotation gets the same number. `arg` is that of
     * coordinator_flush. */
    int (*rotate)(void *ctx, void *arg, uint64_t number, uint64_t *ret_snapshot);
    /* Make the data durable that batch `number` names. Called again after a failure. */
    int (*stream)(void *ctx, uint64_t number);
    /* Commit batches `first` to `last`. All batches before `first` are committed. */
    int (*finalize)(void *ctx, uint64_t first, uint64_t last);
    /* Asked after a failure: an error after which nothing must be tried again, or 0. May be NULL.
     */
    int (*fatal)(void *ctx);
    /* Do a portion of the work that can wait. The thread of the coordinator calls this while there
     * is nothing to stream or finalize. True: there is more of it. May be NULL. */
    bool (*idle)(void *ctx);
    /* Have fn(arg) run on another thread, without fail; after an error it is not called. NULL: the
     * thread that finalizes streams as well. */
    int (*submit)(void *ctx, int (*fn)(void *arg), void *arg);
    void *ctx;
    bool background; /* the coordinator has a thread that finalizes and tries again */
};

int coordinator_create(const struct coordinator_config *config, struct coordinator **ret_c);
/* coordinator_abort, coordinator_stop, free. NULL is fine. */
void coordinator_destroy(struct coordinator *c);

/* One flush. ret_ticket may be NULL; else the ticket is the caller's, to be given to ticket_unref:
 * dropping it cancels nothing. Returns what `rotate` returned; or, if the caller is impatient, the
 * error of an attempt that failed while it waited for a permit. */
int coordinator_flush(struct coordinator *c, void *arg, bool patient, struct ticket **ret_ticket);
/* How long a caller waits for a permit. */
struct coordinator_wait {
    bool patient;
    int64_t timeout;                 /* ns by the clock; -1: no limit */
    const _Atomic bool *interrupted; /* or NULL; looked at every 50 ms */
};
/* The same within these limits. Also -ETIMEDOUT and -EINTR: it has no permit, and nothing was
 * rotated. The rotation itself has no limit. */
int coordinator_flush_within(struct coordinator *c, void *arg, const struct coordinator_wait *wait,
                             struct ticket **ret_ticket);
/* Without a thread, or after coordinator_stop: stream and finalize all pending flushes in the
 * thread of the caller. The first error ends the run. Only one thread at a time may call this. */
int coordinator_run(struct coordinator *c);
/* Try failed flushes again now, as a caller waits for them, or as the cause may be gone: but not
 * sooner than COORDINATOR_BACKOFF after their last attempt. */
void coordinator_retry(struct coordinator *c);

/* Both settings take effect at once, also for callers that wait and for flushes that have
 * failed. */
void coordinator_set_permits(struct coordinator *c, unsigned permits);
void coordinator_set_retry(struct coordinator *c, int64_t retry);

/* Accept no flush any more, not even one that waits for a permit now, and begin no further stream
 * or finalize; those that run are not interrupted. Tickets and waiting callers get "dropped before
 * completion". Batches that were rotated stay pending. A second call is harmless. */
void coordinator_abort(struct coordinator *c);
/* End the thread of the coordinator, and wait for the streams that run. */
void coordinator_stop(struct coordinator *c);

struct coordinator_stats {
    size_t pending; /* batches from rotate to finalize */
    unsigned permits, used;
    size_t waiting;    /* callers that wait for a permit */
    int64_t oldest_ns; /* age of the oldest pending flush; 0: none */
    uint64_t failed;   /* attempts */
    /* Flushes that failed more than `retry` times: their tickets failed, and their batches were
     * merged with their successors, or will be. */
    uint64_t given_up;
    int error; /* of the last failed attempt; 0: none, or a flush was finalized since */
};
void coordinator_get_stats(struct coordinator *c, struct coordinator_stats *ret);

#define TICKETS_KEPT 256
/* The ticket of flush `number`, with a reference for the caller. -ENOENT: there is no such flush
 * yet, or its ticket is no longer among the last TICKETS_KEPT. */
int coordinator_ticket(struct coordinator *c, uint64_t number, struct ticket **ret_ticket);
/* *ret_next: the number that the next flush gets. *ret_done: all flushes with a lower number are
 * finalized. */
void coordinator_numbers(struct coordinator *c, uint64_t *ret_done, uint64_t *ret_next);
