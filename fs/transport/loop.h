// SPDX-License-Identifier: Apache-2.0
/*
 * loop: chooses how requests reach the daemon: through rings (ring.h) if the kernel, the rights of
 * the process and the option `transport` allow it, else through the device, which a few threads of
 * libfuse read.
 */
#pragma once

#include "mount.h"

#include <sys/uio.h>

/* Called before the loop: makes everything that rings need. If they are not available, `auto` goes
 * on without them (0), and `uring` fails with -errno and a sentence in `why`. */
int loop_prepare(struct fs *fs, char *why, size_t why_len);
/* Called while INIT is answered: may the answer promise rings? If true, loop_begin must follow. */
bool loop_takes_ring(struct fs *fs);
/* Called when INIT is answered: starts the threads of the rings that were promised. If that fails
 * the mount ends, since the kernel waits for every ring. */
void loop_begin(struct fs *fs);
/* Serves the device until the session ends. 0, or -errno if the connection broke. */
int loop_run(struct fs *fs);
/* Called before a thread reads the device again; `opcode` is that of its last request. With rings
 * only FORGETs and the like come through the device, and no client waits for them. So the thread
 * sleeps for a millisecond after a FORGET: the kernel then puts many of them into one message.
 * Without the sleep each unlink would wake the thread. */
void loop_gather(const struct fs *fs, uint32_t opcode);
/* Called after loop_run: no new requests are begun. */
void loop_hold(struct fs *fs);
/* Called when all requests are answered, before the unmount: ends the threads of the rings. */
void loop_end(struct fs *fs);
/* Called right before request number `unique` is answered: notes how long the request took. */
void loop_note_answered(struct fs *fs, uint64_t unique);
/* Sends an answer, or another message of the daemon, as writev(2) does. */
ssize_t loop_writev(struct fs *fs, int fd, struct iovec *iov, int count);
/* Ends a request that has no answer. If it came through a ring, its entry is given back with the
 * empty answer `iov`. */
void loop_commit_empty(struct fs *fs, const struct iovec *iov);
/* May the request that the calling thread serves be left waiting while the thread goes on? False:
 * too many of its ring wait already. */
bool loop_may_park(void);
/* How requests come now: "io_uring" or "threads". */
const char *loop_transport(const struct fs *fs);
