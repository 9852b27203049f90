// SPDX-License-Identifier: Apache-2.0
/*
 * ring: requests by FUSE-over-io_uring (Linux 6.14, if the module's parameter enable_uring is on).
 * Each possible CPU has a queue of entries, and a thread that is pinned to this CPU, because a
 * wake-up on another CPU costs more than most requests.
 *
 *     ring_create                      before INIT is answered: everything that can fail
 *     ring_start                       INIT is answered with the promise: the kernel waits for us
 *     ring_reply                       instead of writev(2) to the device
 *     ring_hold, ... ring_stop         no new requests; then, when all have answered, the end
 *
 * FORGET, INTERRUPT and the messages of the daemon still go through the device.
 *
 * A request is parked when it waits (defer.h, sync.h), or when another thread serves it because it
 * would wait (serve.h). The entry of a parked request is in use until the request is answered. When
 * half of the entries of a queue are in use the queue gets more, up to a limit. When half of that
 * limit are in use, ring_is_full returns true in the thread of that queue.
 */
#pragma once

#include "mount.h"

#include <sys/uio.h>

struct ring;

/* Makes the queues. -errno: rings are not available here (seccomp, limits, an old kernel). */
int ring_create(struct fs *fs, struct ring **ret_ring);
/* Starts the threads. -errno: the mount must end, since the kernel waits for every queue. */
int ring_start(struct ring *r);
/* Sends an answer if its request came through a ring. False: the request came through the device,
 * and nothing was sent. Any thread. Every request of a ring needs one call, also a request that has
 * no answer (serve.h). */
bool ring_reply(struct ring *r, const struct iovec *iov, int count);
/* In the thread of a ring, while it serves a request that carries no data: room for FS_IO_MAX bytes
 * of the answer, from which they need not be copied. NULL in any other thread. */
char *ring_answer_room(void);
/* Must the calling thread park no more requests of its queue? False in a thread that has no
 * queue. */
bool ring_is_full(void);
/* From now on new requests are not served. */
void ring_hold(struct ring *r);
/* Ends the threads. Called after ring_hold, when every request is answered, and before the
 * unmount. */
void ring_stop(struct ring *r);
void ring_free(struct ring *r); /* NULL is fine */
