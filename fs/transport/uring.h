// SPDX-License-Identifier: Apache-2.0
/*
 * uring: the little of io_uring that requests need, by system calls.
 *
 * Not liburing: its rings are mappings of the ring's file, and a mapping keeps that file, and
 * with it /dev/fuse, open as long as any thread of the process lives. A killed daemon one of
 * whose threads waits in the kernel for an answer would then never end. Here the rings are memory of
 * the process (IORING_SETUP_NO_MMAP, Linux 6.5; several pages of it since 6.13).
 *
 *     uring_create(128, 256, &u)        any thread; then one thread only:
 *     uring_enable(&u)
 *     sqe = uring_sqe(&u); fill it ...
 *     uring_wait(&u)                    submits, waits for one completion at least
 *     while ((cqe = uring_cqe(&u))) ... uring_seen(&u);
 */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URING_COMMAND_LEN 80 /* bytes of a command in an entry of 128 */

struct uring {
    int fd;
    char *memory;
    size_t len;
    uint32_t sq_mask, cq_mask, sq_room;
    uint32_t sq_next; /* the next entry to be filled */
    _Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
    struct io_uring_cqe *cqes;
    char *sqes; /* of 128 bytes */
};

/* `sq` and `cq`: powers of two. Disabled at first. -errno: not to be had here. */
int uring_create(unsigned sq, unsigned cq, struct uring *ret);
/* The calling thread will be the only one to use it. Registers `device` as file 0. */
int uring_enable(struct uring *u, int device);
/* An empty entry, or NULL: all are in use until the next uring_wait. */
struct io_uring_sqe *uring_sqe(struct uring *u);
/* Submits what is filled and waits for `completions`. -errno; -EINTR is none. */
int uring_wait(struct uring *u, unsigned completions);
const struct io_uring_cqe *uring_cqe(struct uring *u); /* the oldest; NULL: none */
void uring_seen(struct uring *u);                      /* it is done with */
void uring_destroy(struct uring *u);                   /* fd -1 is fine */
