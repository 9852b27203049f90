// SPDX-License-Identifier: Apache-2.0
/*
 * check_thin: does each thin pack (shard_thin.h) have all contents that segments name? Private to
 * core/restore.
 *
 *     check_thin_begin(&t, shard)
 *     check_thin_note(&t, &content) ...              each content that a segment names
 *     check_thin_missing(&t, shard, where, &missing) of each pack that they name
 *     check_thin_release(&t)
 *
 * Memory: 16 bytes for each time that a segment names a content in a thin pack.
 *
 * Threads: one. Errors: 0 or -errno: -ENOMEM; those of the shard.
 */
#pragma once

#include "map64.h"
#include "segment.h"
#include "shard.h"

struct named_content;

struct check_thin {
    struct map64 packs; /* of which only the thin pack is there */
    struct named_content *v;
    size_t count, room;
    bool unsorted;
};

/* After an error there is nothing to release. */
int check_thin_begin(struct check_thin *t, struct shard *shard);
void check_thin_release(struct check_thin *t);
int check_thin_note(struct check_thin *t, const struct segment_content *content);
/* *ret: how many contents of the pack that were noted are not completely in the thin pack; 0 also
 * if the pack itself is there. -EUCLEAN, -EPROTO: the thin pack is damaged, or newer. */
int check_thin_missing(struct check_thin *t, struct shard *shard, uint64_t where, uint64_t *ret);
