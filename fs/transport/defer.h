// SPDX-License-Identifier: Apache-2.0
/*
 * defer: requests that may wait get a thread of their own, so that the threads that read from the
 * kernel keep answering.
 *
 *     op:    struct call *c = call_new(req, fn, room); fill c->...; call_run(c);
 *     fn:    work, looking at c->interrupted; call_settle(c); fuse_reply_*(c->req, ...)
 *
 * At most DEFER_MAX threads, made on demand; idle ones end. When all are busy, what a thread that
 * takes requests from the kernel brings is queued; any other thread runs its call itself: nothing
 * is refused, the mount gets slower. Calls that wait for others (enum call_lane) are never run so
 * and never get the last threads: they queue, so that any number of waiting clients leaves the
 * mount usable. Too many of them would fill a ring, whose entries they keep, and what they wait for
 * could not come through it: such calls are refused.
 *
 * A client that is interrupted or killed sets c->interrupted, and so does the end of the mount; a
 * slow call that still queues then runs at once.
 */
#pragma once

#include "mount.h"

#include <sys/queue.h>

#define DEFER_MAX 96
/* How many of a lane run at once. */
#define DEFER_SLOW_MAX 48
#define DEFER_RIGHTS_MAX 4
#define DEFER_PAGES_MAX 24
/* How many calls about rights are taken: fewer than a ring has entries. */
#define DEFER_RIGHTS_TAKEN 48

enum call_lane {
    /* Work. */
    CALL_FAST,
    /* Waits for as long as somebody else likes: commands that wait for jobs. Refused (ENOSPC) once
     * half of a ring's queue waits. */
    CALL_SLOW,
    /* Waits for a request that the kernel sends us (notify_mode). Refused (EAGAIN) when
     * DEFER_RIGHTS_TAKEN are there. */
    CALL_RIGHTS,
    /* Has the kernel forget pages, and waits for those that are being read. Never refused: what it
     * is about has happened. */
    CALL_PAGES,
};
#define CALL_LANES (CALL_PAGES + 1)

struct call;
typedef void call_fn(struct call *c);

struct call {
    fuse_req_t req;
    call_fn *fn;
    _Atomic bool interrupted; /* true: answer soon, with EINTR if the work is not done */
    enum call_lane lane;      /* set before call_run; then guarded by defer's lock */
    bool queued;              /* guarded by defer's lock */
    uint64_t request;         /* the kernel's number of it */
    bool left;                /* guarded by defer's lock: begun before defer_interrupt_all */
    TAILQ_ENTRY(call) queue;  /* while queued */
    LIST_ENTRY(call) all;     /* every call that has not answered */
    /* For the callers; the FUSE arguments must be copied, they die with the op. */
    uint64_t ino;
    struct fuse_file_info fi;
    size_t len;
    int64_t off;
    char data[]; /* `room` bytes */
};

int defer_start(struct defer **ret_d);
/* Interrupts all calls that run or wait; later ones begin interrupted. */
void defer_interrupt_all(struct defer *d);
/* Has it been called? Those that it interrupted are served the requests they wait for; later ones
 * may not be. */
bool defer_is_ending(struct defer *d);
/* How many of those that it interrupted have not answered yet. */
unsigned defer_left(struct defer *d);
/* defer_interrupt_all, wait until all calls have answered, end the threads. */
void defer_stop(struct defer *d);
void defer_free(struct defer *d); /* after defer_stop, or before the first call; NULL is fine */

/* NULL: no memory, and the request is answered so. req NULL: one that libfuse does not know; `fn`
 * answers it without libfuse, and no client interrupts it. */
struct call *call_new(fuse_req_t req, call_fn *fn, size_t room);
/* Takes over `c`; it is freed after fn returned. */
void call_run(struct call *c);
void call_run_in(struct defer *d, struct call *c); /* the same without a req */
/* From here on no interrupt touches `c`. Before every reply. */
void call_settle(struct call *c);
