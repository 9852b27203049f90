// SPDX-License-Identifier: Apache-2.0
/*
 * import_stream: the bytes of an image come in pieces of any length, and its records go to who
 * takes them. A record is read where a piece has it as a whole; one that goes over the end of a
 * piece is gathered in memory.
 *
 *     import_stream_init(&s);
 *     err = import_stream_take(&s, buf, len, take, ctx, &why);    for each piece
 *     if (s.stream.ended) …                                       all was taken
 *     import_stream_release(&s);
 *
 * Errors: 0 or -errno; after one it takes no more. Threads: one at a time, without locks of its
 * own.
 */
#pragma once

#include "image.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct import_stream {
    struct image_stream stream;
    bool opened;     /* `stream` has its head */
    uint64_t whole;  /* bytes of the stream up to the end of the last record that was taken */
    uint8_t *gather; /* IMAGE_RECORD_MAX bytes */
    size_t gathered;
};

/* Takes a record. 0 or -errno, with a sentence in `why` where the errno does not say it. */
typedef int import_record_fn(void *ctx, const struct image_record *r, struct strbuf *why);

/* -ENOMEM */
int import_stream_init(struct import_stream *s);
/* Calls `take` for each record that is complete with these bytes, and keeps the rest of them. What
 * image_open and image_next return; -EINVAL: bytes follow the END, which was taken; what `take`
 * returns. */
int import_stream_take(struct import_stream *s, const uint8_t *buf, size_t len,
                       import_record_fn *take, void *ctx, struct strbuf *why);
/* Forgets what came of a record that is not complete: the stream goes on at `whole`. */
void import_stream_cut(struct import_stream *s);
/* All zeros are fine. */
void import_stream_release(struct import_stream *s);
