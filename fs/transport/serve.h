// SPDX-License-Identifier: Apache-2.0
/*
 * serve: serves a request in the thread that took it from the kernel. If core returns -EWOULDWAIT
 * in that thread (nowait.h), another thread serves the request again from its beginning.
 *
 * Few threads of libfuse's loop read requests from the device, and the requests of a ring come to
 * the one thread of its CPU. A request that waits in such a thread would keep it from all others.
 *
 *     serve_read_next(fs)                   the request that this thread read before is served
 *     n = read(device, msg, ...)
 *     if (serve_read(fs, msg, &n))          libfuse serves it, in this thread
 *                                             `-> op -> serve_postpone -> a copy -> another thread
 *
 * Such copies take at most SERVE_COPIES bytes. Beyond that, or without memory, the thread that took
 * the request waits itself: the mount gets slower, and nothing is refused.
 */
#pragma once

#include "mount.h"

#define SERVE_COPIES (64u << 20) /* bytes; all mounts of the process together */

/* Called when a request was read: from now on waiting.h shows it. */
void serve_began(struct fs *fs, const void *msg);
/* For a ring: serves a message in the calling thread, by translate.h and libfuse. `msg` stays valid
 * until the request is answered. */
void serve_here(struct fs *fs, char *msg, size_t len);
/* Called by an operation instead of an answer: the request that the calling thread serves would
 * wait, and has changed nothing. Another thread serves it from its beginning. `req` is not valid
 * afterwards, so this is the last call of the operation. */
void serve_postpone(fuse_req_t req);

/* For libfuse's loop: the two calls around reading a message. libfuse may cancel the thread there,
 * which these calls do not allow while they run. serve_read returns true if libfuse is to process
 * *len bytes of `msg`. */
void serve_read_next(struct fs *fs);
bool serve_read(struct fs *fs, char *msg, size_t *len);
/* An operation must answer its request, or give it to another thread, which will. serve_answered
 * notes the first, serve_kept the second. If it has done neither when it returns, that is a bug:
 * the client gets EIO, since it would wait for ever. FORGET and the like have no answer; the device
 * needs none, but the entry of a ring has to be given back. */
void serve_answered(uint64_t unique);
void serve_kept(void);
/* Does the calling thread take requests from the kernel? */
bool serve_takes(void);
