// SPDX-License-Identifier: Apache-2.0
/*
 * ring_entry: one place for one request: its memory, shared with the kernel, and the way from there
 * to a message as libfuse reads it, and back.
 */
#pragma once

#include "message.h"

#include "mount.h"

#include <sys/uio.h>

struct queue;

/* From the kernel's fuse.h: fuse_uring_ent_in_out, fuse_uring_req_header. */
struct ring_in_out {
    uint64_t flags, commit_id;
    uint32_t payload_len, padding;
    uint64_t reserved;
};
struct ring_head {
    char in_out[128]; /* in_header of a request, out_header of an answer */
    char op_in[128];  /* the first argument */
    struct ring_in_out entry;
};
_Static_assert(sizeof(struct ring_head) == 288, "fuse_uring_req_header");

struct entry {
    struct queue *queue;
    struct ring_head *head;
    char *payload;       /* FS_IO_MAX bytes, and RING_HEADROOM in front of them */
    struct iovec iov[2]; /* head, payload: what is registered */
    uint64_t unique, commit;
    bool answered;      /* by the thread of its queue; only looked at there */
    struct entry *next; /* among those that wait for an answer, or to be sent */
};

#define RING_HEADROOM 4096

/* Maps the memory. -ENOMEM. */
int entry_init(struct entry *e, struct queue *q);
void entry_release(struct entry *e);
/* Answered, and not sent: gives back the memory that the answer does not need. */
void entry_trim(struct entry *e);
/* The request as one message, in front of the payload; NULL: the kernel's words make no sense.
 * Notes `unique` and `commit`. */
char *entry_message(struct entry *e, size_t *ret_len);
/* The answer, to be sent with the next commit. One that is too long becomes EIO. */
void entry_answer(struct entry *e, const struct iovec *iov, int count);
