// SPDX-License-Identifier: Apache-2.0
/*
 * loop: how requests come to us: through rings (ring.h) where kernel and rights allow it and the
 * option `transport` does, else through the device, read by a few threads of libfuse.
 */
#pragma once

#include "mount.h"

#include <sys/uio.h>

/* Before the loop: everything that rings need. `auto` does without them where they cannot be had;
 * `uring` fails, with a sentence. */
int loop_prepare(struct fs *fs, char *why, size_t why_len);
/* INIT is being answered: may rings be promised? */
bool loop_takes_ring(struct fs *fs);
/* It is answered: starts what was agreed on. */
void loop_begin(struct fs *fs);
/* Serves until the session ends. */
int loop_run(struct fs *fs);
/* Before a thread asks the device for more than a request of this opcode: where rings carry all
 * that anybody waits for, it lets FORGETs gather for a millisecond. One at a time each unlink would
 * wake it; of many the kernel makes one message. */
void loop_gather(const struct fs *fs, uint32_t opcode);
/* After loop_run: no new requests are begun. */
void loop_hold(struct fs *fs);
/* When all are answered, before the unmount. */
void loop_end(struct fs *fs);
/* An answer, or a message of ours to the kernel: writev(2). */
ssize_t loop_writev(struct fs *fs, int fd, struct iovec *iov, int count);
/* The end of a request that has no answer: an empty one, `iov`, if it came by a ring. */
void loop_commit_empty(struct fs *fs, const struct iovec *iov);
/* For the thread that serves a request: may it be left to wait for others? */
bool loop_may_park(void);
/* "io_uring" or "threads" */
const char *loop_transport(const struct fs *fs);
