// SPDX-License-Identifier: Apache-2.0
/*
 * ring_entry: a place for one request: memory that is shared with the kernel. Functions turn what
 * the kernel has put there into a message as libfuse reads it, and an answer back into that form.
 */
#pragma once

#include "mount.h"

#include <sys/uio.h>

struct queue;

/* From linux/fuse.h: fuse_uring_ent_in_out, fuse_uring_req_header. */
struct ring_in_out {
    uint64_t flags, commit_id;
    uint32_t payload_len, padding;
    uint64_t reserved;
};
struct ring_head {
    char in_out[128]; /* fuse_in_header of a request, fuse_out_header of an answer */
    char op_in[128];  /* the first argument */
    struct ring_in_out entry;
};
_Static_assert(sizeof(struct ring_head) == 288, "fuse_uring_req_header");

struct entry {
    struct queue *queue;
    struct ring_head *head;
    char *payload;       /* FS_IO_MAX bytes, and RING_HEADROOM in front of them */
    struct iovec iov[2]; /* head, payload: what is registered */
    uint64_t unique, commit; /* of the request: its number, and the id to answer it by */
    bool answered;      /* the thread of its queue has answered it; used by that thread only */
    struct entry *next; /* in the table of those that wait for an answer, or in `done` (ring.c) */
};

#define RING_HEADROOM 4096 /* bytes in front of the payload, for the head of a message */

/* Maps the memory. -ENOMEM. entry_release unmaps it. */
int entry_init(struct entry *e, struct queue *q);
void entry_release(struct entry *e);
/* The entry is answered and not sent yet: gives back the memory that the answer does not need. */
void entry_trim(struct entry *e);
/* The request as one message of *ret_len bytes; it ends with the payload, which is not copied. Sets
 * `unique` and `commit`. NULL: the lengths that the kernel gave do not fit. */
char *entry_message(struct entry *e, size_t *ret_len);
/* Puts an answer into the entry; the next commit sends it. An answer that is too long becomes
 * EIO. */
void entry_answer(struct entry *e, const struct iovec *iov, int count);
