// SPDX-License-Identifier: Apache-2.0
/*
 * objects_batch: small objects that are copied together: to another shard as one pack, or home.
 *
 *     objects_batch_begin(o, &b)
 *     objects_batch_add(b, number, &from)        of each; nothing is read yet
 *     objects_batch_load(b, pace)                their bytes are read and verified
 *     objects_batch_compress(b, all)             perhaps; not for an archive
 *     objects_batch_put(b, shard)                a pack with them is on the shard, durably
 *     objects_batch_get(b, nth)                  where each of them is now; or its bytes, which
 *                                                objects_append takes home
 *     objects_batch_end(b)
 *
 * An object that cannot be read has its error in its record, and the others go on. On shards
 * records that are near one another in a pack are read by one request.
 *
 * Memory: the bytes of the pack, which are SHARD_PACK_MAX at most; and while they are read, or read
 * back, as many again. Threads: one at a time. `from` is sealed, and held by the caller.
 */
#pragma once

#include "objects.h"

/* What objects_batch_get shows of an object. */
struct objects_record {
    uint64_t number;
    struct entry from; /* where it was when it was added */
    struct entry to;   /* after objects_batch_put: where its copy is */
    /* after objects_batch_load: its from.size bytes, or after objects_batch_compress those of the
     * payload, good as long as the batch */
    const void *data;
    uint32_t payload; /* after objects_batch_compress: length of its frame; 0: it is plain */
    int err;          /* 0, or why it could not be read; then it is not in the pack */
};

struct objects_batch;
int objects_batch_begin(struct objects *o, struct objects_batch **ret_batch); /* -ENOMEM */
/* Takes an object of at most PACK_RECORD_MAX bytes along. -EFBIG: the batch is full; -EINVAL: it is
 * larger, or not sealed. -ENOMEM. */
int objects_batch_add(struct objects_batch *b, uint64_t number, const struct entry *from);
/* Reads the bytes of all objects, and verifies them by their ids. In a record -ESTALE means: it was
 * moved; -EUCLEAN, with an alarm: it is damaged; -EHOSTUNREACH. `pace` is called after each piece
 * that was read; NULL: it is not. -ENOMEM, or the error of `pace`. */
int objects_batch_load(struct objects_batch *b, const struct blob_pace *pace);
/* Compresses those of what was loaded that are compressed where they are, or are to be, and with
 * `all` each that was not found to stay as long: then fewer bytes are put. The entry of
 * a plain copy says that it stays as long, if that is known, or that it is to be compressed, if the
 * record it was copied from is or is to be. Whose packs others read by other tables, as an
 * archive's are, does without. -ENOMEM: all is as it was. */
int objects_batch_compress(struct objects_batch *b, bool all);
/* Puts what was loaded as a pack on that shard (not 0), durably, and reads it back. Nothing names
 * it yet. Where nothing was loaded nothing is put. -EIO: the shard gives back other bytes; others
 * as shards_get and shard_put. */
int objects_batch_put(struct objects_batch *b, uint16_t shard);
/* The nth object that was added, from 0. NULL: there are no more. The caller holds the freeze lock
 * from packs_count_in until an entry names the new place (move_name.c). */
const struct objects_record *objects_batch_get(const struct objects_batch *b, size_t nth);
/* Bytes of the pack: as it was put, or before that of all that was added. */
uint64_t objects_batch_file_bytes(const struct objects_batch *b);
void objects_batch_end(struct objects_batch *b); /* NULL is fine */
