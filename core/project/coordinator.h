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
 * What a flush does stands in the configuration; here is only when. Rotations happen one at a time
 * and are numbered 0, 1, 2 … without gaps. Streams run anywhere, several at once, and end in any
 * order. Finalize runs strictly in the order of the numbers, one at a time, by one thread: that of
 * the coordinator, or, without `background`, whoever calls coordinator_run. A permit is held from
 * rotate to finalize. What was rotated is pending until it is finalized, and is never dropped but
 * by coordinator_destroy.
 *
 *     coordinator_flush(c, arg, patient, &t)    waits for a permit, rotates, hands out the stream
 *     ticket_wait(t, ...)                       how it ended
 *     coordinator_stop(c)                       its thread ends; the rest by coordinator_run
 *
 * Two kinds of waiting: the patient waits for the end, whatever it takes; the impatient is told of
 * a failed attempt that happens while it waits, because that may not end before somebody acts.
 *
 * Errors: 0 or -errno: -ESHUTDOWN after coordinator_shutdown, that of `fatal` once there was one.
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

#define COORDINATOR_MAX 64 /* batches rotated and not finalized; who wants one more waits */
#define COORDINATOR_BACKOFF (100 * NSEC_PER_MSEC)   /* after the first failure; then doubled */
#define COORDINATOR_BACKOFF_MAX (10 * NSEC_PER_SEC) /* up to this */
#define COORDINATOR_FOREVER (-1)

struct coordinator_config {
    const struct clock *clock;
    unsigned permits; /* flushes at once; 0 means 1 */
    int64_t retry;    /* of a flush that failed, or COORDINATOR_FOREVER */
    /* Freeze batch `number`; *ret_snapshot says up to what change. After an error nothing is frozen
     * and the number is given out again. `arg` is that of coordinator_flush. */
    int (*rotate)(void *ctx, void *arg, uint64_t number, uint64_t *ret_snapshot);
    /* Make durable what batch `number` names. Again after a failure. */
    int (*stream)(void *ctx, uint64_t number);
    /* Commit batches `first` to `last`, of which all before are committed. */
    int (*finalize)(void *ctx, uint64_t first, uint64_t last);
    /* Asked after a failure: an error after which nothing must be tried again, or 0. May be NULL.
     */
    int (*fatal)(void *ctx);
    /* A portion of work that can wait, by the thread that finalizes while nothing is to be
     * finalized. True: there is more. May be NULL. */
    bool (*idle)(void *ctx);
    /* Have fn(arg) run on another thread, or dropped(arg, error) called if that is not to be. An
     * error: neither will be. NULL: the thread that finalizes streams as well. */
    int (*submit)(void *ctx, int (*fn)(void *arg), void (*dropped)(void *arg, int err), void *arg);
    void *ctx;
    bool background; /* a thread of its own finalizes and tries again */
};

int coordinator_create(const struct coordinator_config *config, struct coordinator **ret_c);
/* coordinator_abort, coordinator_stop, free. NULL is fine. */
void coordinator_destroy(struct coordinator *c);

/* One flush. *ret_ticket may be NULL; else it is the caller's, to be given to ticket_unref:
 * dropping it cancels nothing. Impatient: the error of an attempt that fails while it waits for a
 * permit. Otherwise what rotate said. */
int coordinator_flush(struct coordinator *c, void *arg, bool patient, struct ticket **ret_ticket);
/* -EAGAIN instead of waiting for a permit. */
int coordinator_try_flush(struct coordinator *c, void *arg, struct ticket **ret_ticket);
/* Without a thread, or after coordinator_stop: stream and finalize, here, all that is pending. The
 * first error ends it. One at a time. */
int coordinator_run(struct coordinator *c);
/* What failed is due now: somebody waits, or the cause may be gone. Not more often than the first
 * back-off. */
void coordinator_retry(struct coordinator *c);
/* Look at the clock again (tests turn it by hand). */
void coordinator_wake(struct coordinator *c);

/* Both count at once, also for who waits and for what has failed already. */
void coordinator_set_permits(struct coordinator *c, unsigned permits);
void coordinator_set_retry(struct coordinator *c, int64_t retry);

/* No flush is taken any more, nor one that waits for a permit; what was taken goes on. */
void coordinator_shutdown(struct coordinator *c);
/* The same, and nothing goes on but what runs this moment: tickets and waiters are told "dropped
 * before completion". What was rotated stays pending. */
void coordinator_abort(struct coordinator *c);
/* Its thread ends, and streams that run are waited for. */
void coordinator_stop(struct coordinator *c);

struct coordinator_stats {
    size_t pending; /* batches from rotate to finalize */
    unsigned permits, used;
    size_t waiting;     /* callers that wait for a permit */
    int64_t waited_ns;  /* all that was ever waited for one */
    int64_t oldest_ns;  /* age of the oldest pending flush; 0: none */
    uint64_t finalized; /* batches */
    uint64_t failed;    /* attempts */
    uint64_t given_up;  /* flushes whose tickets failed and that were merged, or will be */
    int error;          /* of the last attempt, 0: it went well */
};
void coordinator_get_stats(struct coordinator *c, struct coordinator_stats *ret);

#define TICKETS_KEPT 256
/* That of flush `number`, referenced. -ENOENT: not yet, or more than TICKETS_KEPT ago. */
int coordinator_ticket(struct coordinator *c, uint64_t number, struct ticket **ret_ticket);
/* Of the next flush, and up to where all are finalized. */
void coordinator_numbers(struct coordinator *c, uint64_t *ret_done, uint64_t *ret_next);
