// SPDX-License-Identifier: Apache-2.0
/*
 * frame: what the log is made of (FORMAT.md, "Log"): segment headers, frames, and the operations a
 * frame carries. Pure codecs, checked bounds.
 *
 * A frame is one user-visible change: a list of operations that are applied all or not at all.
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
    OP_CONTENT_COPY,     /* its bytes at `b` become those of number `other` at `c`, `a` of them */
    OP_CONTENT_TRUNCATE, /* it has `a` bytes now, new ones are zeros */
    OP_CONTENT_SLOT,     /* its bytes are in its slot, `a` of them */
    OP_CONTENT_CANCEL,   /* no item ever named it */
    OP_NS_PUT,           /* the record of namespace `ns` (as the table has it, root 0) is `data`: a
                            new, renamed or frozen one keeps the tree it has */
    OP_NS_BRANCH,        /* `ns` becomes a branch of namespace `number`, with the record `data` */
    OP_NS_DROP,          /* `ns` goes */
    OP_PIN,              /* `number` */
    OP_UNPIN,
    OP_SETTING, /* setting number `number` becomes (int64_t)`a` */
    OP_KIND_END,
};

#define OP_NS_ORPHANS 0u /* the `ns` of the tree of orphans; no namespace has the number 0 */

struct op {
    enum op_kind kind;
    uint32_t ns;
    struct key key;
    uint64_t number, other, a, b, c;
    const void *data; /* borrowed; points into the frame when decoded */
    size_t len;       /* of data */
};

#define OP_HEAD_MAX 64 /* bytes of an operation without its data */
/* The part in front of `data`; returns its length. */
size_t op_encode(const struct op *op, uint8_t out[OP_HEAD_MAX]);
/* The operation at *at (then moved behind it). -ENOENT at the end of the payload. */
int op_next(const void *payload, size_t len, size_t *at, struct op *ret);
const char *op_kind_name(enum op_kind kind);
