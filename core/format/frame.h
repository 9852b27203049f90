// SPDX-License-Identifier: Apache-2.0
/*
 * frame: the parts of the log (FORMAT.md, "Log"): heads of segments, frames, and the operations in
 * a frame. Pure codecs that check all bounds.
 *
 * A frame is one change that a user can see: a list of operations of which all are applied, or
 * none. A frame is small: a change of any number of items is one operation on a range. Operations
 * say which item of a tree is put or deleted, and name contents by object number. So applying a
 * frame looks up no name and checks no permission.
 *
 * Decoders return 0, or -EUCLEAN and leave their output untouched.
 */
#pragma once

#include "item.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
    OP_PUT = 1,          /* the item `key` of namespace `ns` becomes `data` */
    OP_DEL,              /* the item `key` of namespace `ns` is deleted */
    OP_CONTENT_NEW,      /* the content `number` begins, empty; `a` owner nodeid, `b` its offset */
    OP_CONTENT_WRITE,    /* the bytes of content `number` at `a` become `data` */
    OP_RANGE_COPY,       /* the items of `ns` from `key` to before `end`, all of one inode, are
                            copied into namespace `a`, as items of inode `b` */
    OP_CONTENT_TRUNCATE, /* content `number` has `a` bytes from now on; new bytes are zeros */
    OP_CONTENT_SLOT,     /* the bytes of content `number` are in its slot, `a` of them */
    OP_CONTENT_CANCEL,   /* content `number` is given up; no item has ever named it */
    OP_NS_PUT,           /* the record of namespace `ns` becomes `data`, as in the table but with
                            root 0: a new, renamed or frozen namespace keeps its tree */
    OP_NS_BRANCH,        /* `ns` becomes a branch of namespace `number`, with the record `data` */
    OP_NS_DROP,          /* namespace `ns` is dropped */
    OP_PIN,              /* the object `number` is pinned */
    OP_UNPIN,            /* the object `number` is unpinned */
    OP_SETTING,          /* the setting with the name `data` becomes (int64_t)`a` */
    OP_RANGE_DEL,  /* the items of `ns` from `key` to before `end`, all of one inode, are deleted */
    OP_REQUEST,    /* the kernel's request `a` has made this frame; changes nothing */
    OP_INO_RUN,    /* the inode numbers from `a` to before `b` are those of `ns` alone */
    OP_NS_SETTING, /* a setting of namespace `ns` changes: `data` (ns_setting.h) */
    OP_HISTORY,    /* the frame is an operation on namespaces: `data` (history_entry.h) */
    OP_NS_TAKE,    /* namespace `ns` gets the tree of the draft `number` instead of its own */
    OP_KIND_END,
};

#define OP_NS_ORPHANS 0u /* `ns` of the tree of orphans; no namespace has the number 0 */

struct op {
    enum op_kind kind;
    uint32_t ns;
    struct key key, end;
    uint64_t number, a, b;
    const void *data; /* borrowed; after decoding it points into the frame */
    size_t len;       /* of data */
};

#define OP_HEAD_MAX 64 /* the most bytes of an operation without its data */
/* Encodes the part in front of `data`, which has less than 4 GiB. Returns its length. */
size_t op_encode(const struct op *op, uint8_t out[OP_HEAD_MAX]);
/* Decodes the operation at offset *at of the payload, and moves *at behind it. Fields that its kind
 * does not use are 0. -ENOENT: the payload has ended. */
int op_next(const void *payload, size_t len, size_t *at, struct op *ret);
const char *op_kind_name(enum op_kind kind); /* NULL: there is no such kind */

/* ---- segments ---- */

#define SEGMENT_HEAD 4096 /* bytes in front of the first frame of a segment */
#define SEGMENT_VERSION 1

struct segment_head {
    uint64_t serial, epoch;
    uint64_t seq;            /* number of a frame before its first one */
    uint64_t size;           /* bytes of the segment, with this head */
    uint64_t salt;           /* random, so that the bytes of no file can look like a frame */
    uint8_t incarnation[32]; /* disk_incarnation() when it was made */
    uint64_t after; /* serial of the segment before it, which is not removed before a commit has
                       passed it; 0: it may be gone */
};

/* Encodes the head twice, so that one damaged sector does not cost the segment. */
void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD]);
/* -ENOENT: the head was never written. -EPROTO: it is of another version. */
int segment_head_decode(const uint8_t in[SEGMENT_HEAD], struct segment_head *ret);
/* The seed for the checksums of frames in the segment. */
uint64_t segment_seed(const struct segment_head *h);

/* ---- frames ---- */

enum frame_kind {
    FRAME_CHANGE = 1,
    FRAME_SYNC, /* its payload is a number: when it was made all frames up to it were durable */
    FRAME_END,  /* the last frame of a segment */
    FRAME_KIND_END,
};

#define FRAME_HEAD 40    /* bytes */
#define FRAME_SYNC_LEN 8 /* bytes of the payload of a FRAME_SYNC */

struct frame_head {
    enum frame_kind kind;
    uint32_t len; /* bytes of the payload */
    uint32_t ns;
    uint64_t seq; /* FRAME_CHANGE: its own; FRAME_SYNC: the last it vouches for; else the last */
    int64_t time; /* ns since the epoch */
};

/* How many bytes a frame with a payload of `len` bytes takes in a segment. */
static inline uint64_t frame_size(uint64_t len)
{
    return (FRAME_HEAD + len + 7) & ~UINT64_C(7);
}
/* Writes the head of a frame whose payload is at frame + FRAME_HEAD already, and zeros behind the
 * payload up to frame_size. The checksum is written last. `frame` is aligned to 8 bytes; `offset`
 * is its offset in the segment. */
void frame_seal(uint8_t *frame, const struct frame_head *h, uint64_t seed, uint64_t offset);
/* Decodes the head alone, to learn how long the frame is. The checksum is not verified. */
int frame_peek(const uint8_t head[FRAME_HEAD], struct frame_head *ret);
/* Decodes a frame whose checksum is right. `room`: how many bytes there are from it on. */
int frame_decode(const uint8_t *frame, size_t room, uint64_t seed, uint64_t offset,
                 struct frame_head *ret);
