// SPDX-License-Identifier: Apache-2.0
/*
 * engine_pieces: puts a long stream in pieces, several at once, with bounded memory.
 *
 *     pieces_room_init(&room)                                    once for each shard
 *     pieces_put(&room, &source, PIECE, put_piece, ctx)          0: every piece was put
 *
 * The calling thread reads the source, front to back. Each piece is put by a thread of its own, at
 * most PIECES_AT_ONCE of one stream, and PIECES_ROOM of all streams of the shard. Threads: any.
 */
#pragma once

#include "lock.h"
#include "shard.h"

#define PIECES_AT_ONCE 4
#define PIECES_ROOM 16

struct pieces_room {
    struct mutex lock; /* "engine pieces", a leaf */
    struct cond freed;
    unsigned used; /* pieces that are in memory. Guarded by: lock */
};

void pieces_room_init(struct pieces_room *r);
void pieces_room_release(struct pieces_room *r);

/* Puts piece number `index`. It is called by several threads at once, which are none of shard.c.
 * `data` is borrowed until it returns. 0 or -errno. */
typedef int pieces_fn(void *ctx, uint64_t index, const void *data, size_t len);
/* Puts the whole source in pieces of `size` bytes, of which the last may be shorter. After an error
 * no further piece is begun; when it returns no piece is under way. Returns the first error: one of
 * `fn` or of the source, -ENOMEM, or -EAGAIN: no thread could be started. */
int pieces_put(struct pieces_room *r, const struct shard_source *source, size_t size, pieces_fn *fn,
               void *ctx);
