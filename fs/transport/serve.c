// SPDX-License-Identifier: Apache-2.0
/*
 * serve: see the header. A message that goes to another thread has been translated already.
 */
#include "serve.h"

#include "defer.h"
#include "history_by.h"
#include "loop.h"
#include "nowait.h"
#include "report.h"
#include "tally_node.h"
#include "translate.h"
#include "txn.h"
#include "waiting.h"
#include "waits.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct handed {
    char *message;
    size_t len;
    bool copied; /* `message` is a copy, which serve_handed frees */
};

static _Atomic size_t copied; /* bytes of all copies, for SERVE_COPIES */

/* ---- the request that a thread serves now ---- */

static _Thread_local struct {
    uint64_t unique; /* 0: nothing */
    uint32_t opcode;
    bool cared_for; /* it was answered, or another thread will answer it */
    char *message;
    size_t len;
    bool stays; /* the message stays valid until it is answered */
} now;

static _Thread_local bool takes; /* for serve_takes */

static bool has_answer(uint32_t opcode)
{
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
           opcode != FUSE_NOTIFY_REPLY;
}

void serve_began(struct fs *fs, const void *msg)
{
    struct fuse_in_header in;
    memcpy(&in, msg, sizeof(in));
    if (has_answer(in.opcode) && !taldir_owns(in.nodeid))
        waiting_add(fs->waiting, &(struct waiting_request){.unique = in.unique,
                                                           .nodeid = in.nodeid,
                                                           .opcode = in.opcode,
                                                           .tid = (int32_t)in.pid});
}

/* Notes the request that this thread serves from here on. */
static void begin_request(char *msg, size_t len, bool stays)
{
    struct fuse_in_header in;
    memcpy(&in, msg, sizeof(in));
    now.unique = in.unique;
    now.opcode = in.opcode;
    now.cared_for = false;
    now.message = msg;
    now.len = len;
    now.stays = stays;
    txn_set_request(in.unique);
    waits_serve(in.unique, takes);
}

/* The operation has returned. A request that it has neither answered nor kept is answered here. One
 * without an answer frees its entry of a ring. */
static void end(struct fs *fs)
{
    struct fuse_out_header out = {.len = sizeof(out), .unique = now.unique};
    struct iovec iov = {&out, sizeof(out)};
    now.unique = 0;
    txn_set_request(0);
    waits_serve(0, takes);
    (void)history_by_set(NULL);
    if (out.unique == 0 || now.cared_for)
        return;
    if (!has_answer(now.opcode)) {
        loop_commit_empty(fs, &iov);
        return;
    }
    report(REPORT_ALARM, "a request (%s) was left without an answer: it fails with EIO",
           requests_name(now.opcode));
    out.error = -EIO;
    (void)loop_writev(fs, fuse_session_fd(fs->se), &iov, 1); /* fails if no client waits */
}

void serve_answered(uint64_t unique)
{
    if (unique == now.unique)
        now.cared_for = true;
}

void serve_kept(void)
{
    now.cared_for = true;
}

static void process(struct fs *fs)
{
    fuse_session_process_buf(fs->se, &(struct fuse_buf){.size = now.len, .mem = now.message});
    end(fs);
}

bool serve_takes(void)
{
    return takes;
}

/* Marks the calling thread as one that takes requests. It must not wait, since other requests rely
 * on it: few threads read the device, and the requests of a CPU come to the one thread of its
 * ring. */
static void mark_taker(void)
{
    takes = true;
    (void)thread_set_may_wait(false);
}

void serve_here(struct fs *fs, char *msg, size_t len)
{
    mark_taker();
    begin_request(msg, len, true);
    if (translate_request(fs, msg, &now.len))
        process(fs);
    else
        end(fs);
}

/* ---- requests that would wait ---- */

/* Serves the request from its beginning, in a thread that may wait now. That may be the thread that
 * took it, if no other is available. */
static void serve_again(struct fs *fs, char *msg, size_t len)
{
    const bool before = thread_set_may_wait(true);
    begin_request(msg, len, true);
    translate_again(msg, len);
    process(fs);
    (void)thread_set_may_wait(before);
}

/* In a thread of defer.h: serves the message that it was given. */
static void serve_handed(struct call *c)
{
    struct handed h;
    memcpy(&h, c->data, sizeof(h));
    serve_again(c->fs, h.message, h.len);
    if (!h.copied)
        return;
    free(h.message);
    atomic_fetch_sub(&copied, h.len);
}

/* Gives a copy of the message to another thread: libfuse reuses its buffer for the next one. False:
 * no memory, or SERVE_COPIES is reached. */
static bool hand_over_copy(struct fs *fs)
{
    const size_t len = now.len;
    char *copy = NULL;
    if (atomic_fetch_add(&copied, len) + len <= SERVE_COPIES)
        copy = malloc(len);
    if (copy) {
        memcpy(copy, now.message, len);
        const struct handed h = {.message = copy, .len = len, .copied = true};
        if (call_later(fs, serve_handed, &h, sizeof(h)))
            return true;
        free(copy);
    }
    atomic_fetch_sub(&copied, len);
    return false;
}

void serve_postpone(fuse_req_t req)
{
    struct fs *fs = fs_of(req);
    const struct handed h = {.message = now.message, .len = now.len};
    fuse_reply_none(req); /* libfuse frees its request, and sends nothing */
    if (!(now.stays ? call_later(fs, serve_handed, &h, sizeof(h)) : hand_over_copy(fs)))
        serve_again(fs, h.message, h.len);
}

/* ---- threads that read the device ---- */

void serve_read_next(struct fs *fs)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    end(fs);
    pthread_setcancelstate(before, NULL);
}

bool serve_read(struct fs *fs, char *msg, size_t *len)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    mark_taker();
    serve_began(fs, msg);
    begin_request(msg, *len, false);
    const bool here = translate_request(fs, msg, &now.len);
    *len = now.len;
    pthread_setcancelstate(before, NULL);
    return here;
}
