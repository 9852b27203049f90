// SPDX-License-Identifier: Apache-2.0
/*
 * defer: serves requests that may wait in threads of their own, so that the threads that take
 * requests from the kernel keep answering.
 *
 *     op:    call_defer(req, fn, &(struct call_args){...});
 *     fn:    work, looking at c->interrupted; call_settle(c); fuse_reply_*(c->req, ...)
 *
 * There are at most DEFER_MAX threads. They are made when needed, and end when idle. When all are
 * busy, a call of a thread that takes requests is queued. Any other thread runs its call itself. So
 * nothing is refused, and the mount only gets slower.
 *
 * Calls that wait for other requests (enum call_lane) are always queued, and never get the last
 * threads: any number of waiting clients leaves the mount usable. Each of them keeps its entry of a
 * ring. If they filled a ring, the requests that they wait for could not come through it, so too
 * many of them are refused.
 *
 * When a client is interrupted or killed, and when the mount ends, c->interrupted is set. A slow
 * call that is still queued then runs at once.
 */
#pragma once

#include "mount.h"

#include <sys/queue.h>

#define DEFER_MAX 96
/* How many calls of a lane run at once. Of CALL_FAST: any number. */
#define DEFER_SLOW_MAX 48
#define DEFER_RIGHTS_MAX 4
#define DEFER_PAGES_MAX 24
/* How many calls of CALL_RIGHTS may exist: fewer than a ring has entries. */
#define DEFER_RIGHTS_TAKEN 48

enum call_lane {
    /* Works, and waits for no other request. */
    CALL_FAST,
    /* Waits for an unlimited time: commands that wait for jobs. Refused with ENOSPC once half of
     * the entries of its ring wait. */
    CALL_SLOW,
    /* Waits for a request that the kernel sends to the daemon (notify_mode). Refused with EAGAIN
     * while there are DEFER_RIGHTS_TAKEN of them. */
    CALL_RIGHTS,
    /* Has the kernel drop pages from its cache, and waits for pages that are being read. Never
     * refused: the write that it belongs to has been done. */
    CALL_PAGES,
};
#define CALL_LANES (CALL_PAGES + 1)

struct call;
typedef void call_fn(struct call *c);

struct call {
    fuse_req_t req; /* NULL: for a request that libfuse does not know */
    struct fs *fs;
    call_fn *fn;
    _Atomic bool interrupted; /* true: answer soon, with EINTR if the work is not done */
    enum call_lane lane;      /* from call_run on guarded by: defer.lock */
    bool queued;              /* guarded by: defer.lock */
    uint64_t request;         /* the kernel's number of the request (txn_request) */
    bool left;                /* guarded by: defer.lock; defer_interrupt_all has counted it */
    TAILQ_ENTRY(call) queue;  /* guarded by: defer.lock; in the queue of its lane */
    LIST_ENTRY(call) all;     /* guarded by: defer.lock; every call that has not answered */
    /* Copies of the arguments of the operation, which are not valid when it has returned: */
    uint64_t ino;
    struct fuse_file_info fi;
    size_t len;
    int64_t off;
    char data[];
};

/* The arguments of a call. All may be left out. */
struct call_args {
    enum call_lane lane;
    uint64_t ino;
    const struct fuse_file_info *fi;
    size_t len;
    int64_t off;
    const void *data; /* `room` bytes, which are copied; NULL: the room is not filled */
    size_t room;
};

/* -ENOMEM. No thread is made yet. */
int defer_start(struct defer **ret_d);
/* Makes the first thread, which stays until defer_stop: so a call that waits never has to run in
 * the thread that took its request. Returns -errno if there can be no thread. */
int defer_serve(struct defer *d);
/* Interrupts all calls that run or are queued. Calls that come later begin interrupted. */
void defer_interrupt_all(struct defer *d);
/* Has defer_interrupt_all been called? The calls that it interrupted may still wait for requests,
 * which are served until the loop ends. Later calls must not wait for a request: it may never be
 * served. */
bool defer_is_ending(struct defer *d);
/* How many of the calls that it interrupted have not answered yet. */
unsigned defer_left(struct defer *d);
/* Calls defer_interrupt_all, waits until all calls have answered, and ends the threads. */
void defer_stop(struct defer *d);
void defer_free(struct defer *d); /* after defer_stop, or before the first call; NULL is fine */

/* Has `fn` answer the request, in a thread of this module or in the calling one, or refuses it with
 * an answer. The caller does nothing with the request afterwards. */
void call_defer(fuse_req_t req, call_fn *fn, const struct call_args *args);
/* Has `fn` run with a copy of `data`, for a request that libfuse does not know, or for none. No
 * client can interrupt it. False: no memory, and nothing was done. */
bool call_later(struct fs *fs, call_fn *fn, const void *data, size_t len);

/* The two steps of these, for a caller that needs the memory early. call_new: a call with `room`
 * bytes of data, which the caller fills; NULL: no memory. */
struct call *call_new(struct fs *fs, call_fn *fn, size_t room);
/* Has `c` run, or refuses it with an answer. `c` belongs to this module from here on; it is freed
 * when fn has returned. */
void call_run(struct call *c);
/* The same for a call without a `req`; it is never refused. */
void call_run_in(struct call *c);
/* Called by `fn` before every reply: from here on no interrupt touches `c`, and none is running. */
void call_settle(struct call *c);
