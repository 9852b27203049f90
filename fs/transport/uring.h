// SPDX-License-Identifier: Apache-2.0
/*
 * uring: the few functions of io_uring that ring.c needs, by system calls.
 *
 * liburing is not used: its rings are mappings of the ring's file. Such a mapping keeps that file
 * open, and with it /dev/fuse, as long as any thread of the process lives. If the daemon is killed
 * while one of its threads waits in the kernel for an answer, that thread would then never end.
 * Here the rings are memory of the process (IORING_SETUP_NO_MMAP, Linux 6.5; more than one page of
 * it needs Linux 6.13).
 *
 *     uring_create(128, 256, &u)        any thread; the rest by one thread only:
 *     uring_enable(&u, device)
 *     sqe = uring_sqe(&u); fill it ...
 *     uring_wait(&u, 1)                 submits, and waits for at least one completion
 *     while ((cqe = uring_cqe(&u))) ... uring_seen(&u);
 */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uring {
    int fd;
    char *memory; /* both rings and the submission entries: one mapping, owned */
    size_t len;   /* of it, in bytes */
    uint32_t sq_mask, cq_mask, sq_room;
    uint32_t sq_next; /* number of the next submission entry to be filled */
    _Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
    struct io_uring_cqe *cqes;
    char *sqes; /* submission entries of 128 bytes */
};

/* Makes a disabled ring of `sq` submissions and `cq` completions, both powers of two. -errno:
 * io_uring is not available here. */
int uring_create(unsigned sq, unsigned cq, struct uring *ret);
/* Enables the ring; from here on the calling thread is the only one that may use it. Registers
 * `device` as file 0. 0 or -errno. */
int uring_enable(struct uring *u, int device);
/* A zeroed submission entry. NULL: all are in use until the next uring_wait. */
struct io_uring_sqe *uring_sqe(struct uring *u);
/* Submits the filled entries and waits for `completions`. 0, also after a signal, or -errno. */
int uring_wait(struct uring *u, unsigned completions);
const struct io_uring_cqe *uring_cqe(struct uring *u); /* the oldest one; NULL: none */
void uring_seen(struct uring *u);                      /* frees the oldest completion */
void uring_destroy(struct uring *u);                   /* fd -1 is fine */
