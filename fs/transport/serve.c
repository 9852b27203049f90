// SPDX-License-Identifier: Apache-2.0
/*
 * serve: see the header. Between reading a request and asking for the next one libfuse serves it:
 * when the next is asked for, what the hook `ahead` took is given back; a thread that ends instead does
 * it as its last.
 */
#include "serve.h"

#include "defer.h"
#include "loop.h"
#include "message.h"
#include "report.h"
#include "tally_node.h"
#include "translate.h"
#include "vfs.h"
#include "waiting.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct handed {
    struct fs *fs;
    char *message;
    size_t len;
    bool copied; /* `message` is ours */
};

static _Atomic size_t copied; /* bytes; all mounts of the process, which has one */

/* ---- what a thread serves just now ---- */

static _Thread_local struct {
    uint64_t unique; /* 0: nothing */
    uint32_t opcode;
    bool cared_for; /* answered, or another thread will */
} now;

static bool has_answer(uint32_t opcode)
{
    return opcode != MESSAGE_FORGET && opcode != MESSAGE_BATCH_FORGET &&
           opcode != MESSAGE_INTERRUPT && opcode != MESSAGE_NOTIFY_REPLY;
}

void serve_began(struct fs *fs, const void *msg)
{
    struct in_header in;
    memcpy(&in, msg, sizeof(in));
    if (has_answer(in.opcode) && !taldir_owns(in.nodeid))
        waiting_add(fs->waiting, in.unique, in.opcode, in.nodeid);
}

static void begin(const void *msg)
{
    struct in_header in;
    memcpy(&in, msg, sizeof(in));
    now.unique = in.unique;
    now.opcode = in.opcode;
    now.cared_for = false;
    vfs_set_request(in.unique);
}

static void end(struct fs *fs)
{
    struct out_header out = {.len = sizeof(out), .unique = now.unique};
    struct iovec iov = {&out, sizeof(out)};
    now.unique = 0;
    vfs_set_request(0);
    if (out.unique == 0 || now.cared_for)
        return;
    if (!has_answer(now.opcode)) {
        loop_commit_empty(fs, &iov);
        return;
    }
    report(REPORT_ALARM, "a request (%s) was left without an answer: it fails with EIO",
           requests_name(now.opcode));
    out.error = -EIO;
    (void)loop_writev(fs, fuse_session_fd(fs->se), &iov, 1); /* fails: nobody waits */
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

void serve_here(struct fs *fs, char *msg, size_t len)
{
    begin(msg);
    if (translate_request(fs, msg, &len))
        fuse_session_process_buf(fs->se, &(struct fuse_buf){.size = len, .mem = msg});
    end(fs);
}

static void serve_handed(struct call *c)
{
    struct handed h;
    memcpy(&h, c->data, sizeof(h));
    serve_here(h.fs, h.message, h.len);
    if (!h.copied)
        return;
    free(h.message);
    atomic_fetch_sub(&copied, h.len);
}

static bool hand_over(const struct handed *h)
{
    struct call *c = call_new(NULL, serve_handed, sizeof(*h));
    if (c == NULL)
        return false;
    memcpy(c->data, h, sizeof(*h));
    call_run_in(h->fs->defer, c);
    return true;
}

bool serve_elsewhere(struct fs *fs, char *msg, size_t len)
{
    return hand_over(&(struct handed){.fs = fs, .message = msg, .len = len});
}

/* ---- threads that read ---- */

static pthread_once_t last_once = PTHREAD_ONCE_INIT;
static pthread_key_t last_key; /* not NULL: there may be an end of `ahead` to come */
static _Thread_local const struct fs_hooks *begun; /* their `ahead` began; NULL: none did */
static _Thread_local bool reads;

static void end_begun(void *unused)
{
    (void)unused;
    if (begun != NULL)
        begun->ahead_over();
    begun = NULL;
}

static void make_key(void)
{
    if (pthread_key_create(&last_key, end_begun) != 0)
        abort(); /* at the first request, when a process has no keys at all */
}

void serve_read_next(struct fs *fs)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    end(fs);
    end_begun(NULL);
    pthread_setcancelstate(before, NULL);
}

static bool serve_copy_elsewhere(struct fs *fs, const void *msg, size_t len)
{
    char *copy = NULL;
    if (atomic_fetch_add(&copied, len) + len <= SERVE_COPIES)
        copy = malloc(len);
    if (copy != NULL) {
        memcpy(copy, msg, len);
        if (hand_over(&(struct handed){.fs = fs, .message = copy, .len = len, .copied = true}))
            return true;
        free(copy);
    }
    atomic_fetch_sub(&copied, len);
    return false;
}

bool serve_read(struct fs *fs, const void *msg, size_t len)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_once(&last_once, make_key);
    reads = pthread_setspecific(last_key, &begun) == 0; /* without memory for it: it waits */
    serve_began(fs, msg);
    begun = reads && fs->hooks->ahead(fs, msg, len) ? fs->hooks : NULL;
    const bool here = !reads || begun != NULL || !serve_copy_elsewhere(fs, msg, len);
    if (here)
        begin(msg);
    pthread_setcancelstate(before, NULL);
    return here;
}

bool serve_reads(void)
{
    return reads;
}
