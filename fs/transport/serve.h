// SPDX-License-Identifier: Apache-2.0
/*
 * serve: a request, as the kernel sent it, served by the thread that has it, or by another since it
 * might wait (ahead.h).
 *
 * The device's requests are read by the threads of libfuse's loop, which are few: a request that
 * waits must not keep them from the others.
 *
 *     serve_read_next(fs)                   what this thread read before is served
 *     n = read(device, msg, ...)
 *     if (serve_read(fs, msg, n))           this thread serves it; else another does, from a copy
 *
 * Such copies take at most SERVE_COPIES bytes. Above that, or without memory, the thread that read
 * it waits itself: the mount gets slower, nothing is refused.
 */
#pragma once

#include "mount.h"

#define SERVE_COPIES (64u << 20)

/* A request came; from now on it waits (waiting.h). */
void serve_began(struct fs *fs, const void *msg);
/* In this thread: through translate.h and libfuse. */
void serve_here(struct fs *fs, char *msg, size_t len);
/* In a thread of defer.h; `msg` must stay until it is answered. False: no memory. */
bool serve_elsewhere(struct fs *fs, char *msg, size_t len);

/* Both may be called where libfuse cancels threads. */
void serve_read_next(struct fs *fs);
bool serve_read(struct fs *fs, const void *msg, size_t len);
/* An operation answers, or gives its request to another thread, which will. If it has done neither
 * when it returns, that is a fault: the client hears EIO, else it would wait for good. And FORGET,
 * which has no answer, may have been sent as a request that somebody waits for: by the device that
 * ends when it is read, a ring's entry has to be given back. */
void serve_answered(uint64_t unique);
void serve_kept(void);

/* Does this thread read from the device? It must not wait, if another can. */
bool serve_reads(void);
