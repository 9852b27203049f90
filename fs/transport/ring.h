// SPDX-License-Identifier: Apache-2.0
/*
 * ring: requests by FUSE-over-io_uring (Linux 6.14, and its module's switch enable_uring): for each
 * possible CPU a queue of entries and a thread pinned there, because a wake-up on another CPU costs
 * more than most requests.
 *
 *     ring_create                      before INIT is answered: everything that can fail
 *     ring_start                       INIT is answered with the promise: the kernel waits for us
 *     ring_reply                       instead of writev(2) to the device
 *     ring_hold, ... ring_stop         no new requests; then, when all have answered, the end
 *
 * FORGET, INTERRUPT and what we tell the kernel still go through the device. A request that waits
 * (defer.h, sync.h), or that another thread serves since it would (serve.h), is parked: its entry
 * is busy until it is answered. Once half of a queue is, it gets more entries, up to a limit; once
 * half of the most is, ring_is_full says so to the thread of that queue.
 */
#pragma once

#include "mount.h"

#include <sys/uio.h>

struct ring;

/* -errno: it cannot be had here (seccomp, limits, an old kernel). */
int ring_create(struct fs *fs, struct ring **ret_ring);
/* -errno: the mount cannot go on, since the kernel waits for every queue. */
int ring_start(struct ring *r);
/* Sends the answer if its request came through a ring; false: it did not. Any thread. Every request
 * of a ring needs one, also those that have no answer (serve.h). */
bool ring_reply(struct ring *r, const struct iovec *iov, int count);
/* In a ring thread, for a request that carries no data itself: where data of its answer need not be
 * copied from. Room for FS_IO_MAX bytes. Elsewhere NULL. */
char *ring_answer_room(void);
/* In a ring thread: no more requests of its queue should be parked. */
bool ring_is_full(void);
/* From now on new requests are left unanswered. */
void ring_hold(struct ring *r);
/* Everything is answered: ends the threads. After ring_hold, before the unmount. */
void ring_stop(struct ring *r);
void ring_free(struct ring *r); /* NULL is fine */
