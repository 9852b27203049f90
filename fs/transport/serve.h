// SPDX-License-Identifier: Apache-2.0
/*
 * serve: a request, as the kernel sent it, served by the thread that took it; or, where core says
 * -EWOULDWAIT to that one (nowait.h), once more and from its beginning by another.
 *
 * The device's requests are read by the threads of libfuse's loop, which are few: a request that
 * waits must not keep them from the others. Those of a ring come to one thread a CPU.
 *
 *     serve_read_next(fs)                   what this thread read before is served
 *     n = read(device, msg, ...)
 *     if (serve_read(fs, msg, &n))          libfuse serves it, in this thread
 *                                             `-> op -> serve_postpone -> a copy -> another thread
 *
 * Such copies take at most SERVE_COPIES bytes. Above that, or without memory, the thread that took
 * it waits itself: the mount gets slower, nothing is refused.
 */
#pragma once

#include "mount.h"

#define SERVE_COPIES (64u << 20)

/* A request came; from now on it waits (waiting.h). */
void serve_began(struct fs *fs, const void *msg);
/* In this thread: through translate.h and libfuse. `msg` stays until it is answered. */
void serve_here(struct fs *fs, char *msg, size_t len);
/* Instead of an answer: the request that this thread serves would wait, and nothing is done of it.
 * `req` is gone. The last that an operation does. */
void serve_postpone(fuse_req_t req);

/* Both may be called where libfuse cancels threads. True: libfuse is to have *len bytes. */
void serve_read_next(struct fs *fs);
bool serve_read(struct fs *fs, char *msg, size_t *len);
/* An operation answers, or gives its request to another thread, which will. If it has done neither
 * when it returns, that is a fault: the client hears EIO, else it would wait for good. And FORGET,
 * which has no answer, may have been sent as a request that somebody waits for: by the device that
 * ends when it is read, a ring's entry has to be given back. */
void serve_answered(uint64_t unique);
void serve_kept(void);
/* Is this a thread that takes requests? */
bool serve_takes(void);
