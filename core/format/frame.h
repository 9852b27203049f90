// SPDX-License-Identifier: Apache-2.0
/*
 * frame: what the log is made of (FORMAT.md, "Log"): segment headers, frames, and the operations a
 * frame carries. Pure codecs, checked bounds.
 *
 * A frame is one user-visible change: a list of operations that are applied all or not at all. It
 * is small, whatever it changes: what is done to any number of items is one operation on a range.
 * Operations are physical where trees are concerned (an item put or deleted) and name contents by
 * object number, so applying a frame needs no name looked up and no permission asked.
 *
 * Decoders: 0 or -EUCLEAN, output untouched then.
 */
#pragma once

#include "item.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
    OP_PUT = 1,          /* tree item `key` of namespace `ns` becomes `data` */
    OP_DEL,              /* it goes */
    OP_CONTENT_NEW,      /* number `number` begins, empty; `a` owner nodeid, `b` owner offset */
    OP_CONTENT_WRITE,    /* its bytes at `a` become `data` */
    OP_RANGE_COPY,       /* the items of `ns` from `key` to before `end`, all of one inode, are put
                            into namespace `a` as items of inode `b`, too */
    OP_CONTENT_TRUNCATE, /* it has `a` bytes now, new ones are zeros */
    OP_CONTENT_SLOT,     /* its bytes are in its slot, `a` of them */
    OP_CONTENT_CANCEL,   /* no item ever named it */
    OP_NS_PUT,           /* the record of namespace `ns` (as the table has it, root 0) is `data`: a
                            new, renamed or frozen one keeps the tree it has */
    OP_NS_BRANCH,        /* `ns` becomes a branch of namespace `number`, with the record `data` */
    OP_NS_DROP,          /* `ns` goes */
    OP_PIN,              /* `number` */
    OP_UNPIN,
    OP_SETTING,   /* the setting named by `data` becomes (int64_t)`a` */
    OP_RANGE_DEL, /* the items of `ns` from `key` to before `end`, all of one inode, go */
    OP_REQUEST,   /* the kernel's request number `a` made this frame: nothing is to be done */
    OP_KIND_END,
};

#define OP_NS_ORPHANS 0u /* the `ns` of the tree of orphans; no namespace has the number 0 */

struct op {
    enum op_kind kind;
    uint32_t ns;
    struct key key, end;
    uint64_t number, a, b;
    const void *data; /* borrowed; points into the frame when decoded */
    size_t len;       /* of data */
};

#define OP_HEAD_MAX 64 /* bytes of an operation without its data */
/* The part in front of `data`, which has less than 4 GiB; returns its length. */
size_t op_encode(const struct op *op, uint8_t out[OP_HEAD_MAX]);
/* The operation at *at (then moved behind it); fields its kind has no use for are 0. -ENOENT at the
 * end of the payload. */
int op_next(const void *payload, size_t len, size_t *at, struct op *ret);
const char *op_kind_name(enum op_kind kind); /* NULL: there is no such kind */

/* ---- segments ---- */

#define SEGMENT_HEAD 4096 /* bytes in front of a segment's first frame */
#define SEGMENT_VERSION 1

struct segment_head {
    uint64_t serial, epoch;
    uint64_t seq;  /* of some frame before its first one */
    uint64_t size; /* bytes, this head included */
    uint64_t salt; /* random; nobody who writes files can make bytes that look like a frame */
    uint8_t incarnation[32]; /* disk_incarnation() when it was made */
    uint64_t after; /* serial of the one before it, which goes no earlier than a commit has passed
                       it; 0: that may be gone */
};

/* Written twice, so that one damaged sector does not cost a segment. */
void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD]);
/* -ENOENT: never written, -EPROTO: by a newer version. */
int segment_head_decode(const uint8_t in[SEGMENT_HEAD], struct segment_head *ret);
/* What the checksums of frames in it are seeded with. */
uint64_t segment_seed(const struct segment_head *h);

/* ---- frames ---- */

enum frame_kind {
    FRAME_CHANGE = 1,
    FRAME_SYNC, /* its payload: up to which number everything was durable when it was made */
    FRAME_END,  /* the segment has no more */
    FRAME_KIND_END,
};

#define FRAME_HEAD 40
#define FRAME_SYNC_LEN 8 /* of a sync frame's payload */

struct frame_head {
    enum frame_kind kind;
    uint32_t len; /* of the payload */
    uint32_t ns;
    uint64_t seq; /* of a change: its own; FRAME_SYNC: the last it vouches for; else the last */
    int64_t time; /* ns since the epoch */
};

/* Bytes a frame takes in a segment. */
static inline uint64_t frame_size(uint64_t len)
{
    return (FRAME_HEAD + len + 7) & ~UINT64_C(7);
}
/* Put the head before the payload, which is at frame + FRAME_HEAD already, and zeros behind it up
 * to frame_size. The checksum comes last. `frame` is aligned to 8; `offset` is where it is in the
 * segment. */
void frame_seal(uint8_t *frame, const struct frame_head *h, uint64_t seed, uint64_t offset);
/* The head alone, unproven, to see how long the frame is. */
int frame_peek(const uint8_t head[FRAME_HEAD], struct frame_head *ret);
/* Is the frame whole? `room`: bytes there are from it on. */
int frame_decode(const uint8_t *frame, size_t room, uint64_t seed, uint64_t offset,
                 struct frame_head *ret);
