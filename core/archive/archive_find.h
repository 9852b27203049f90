// SPDX-License-Identifier: Apache-2.0
/*
 * archive_find: which segment of a lineage has what the store was at a change or at a time. Nothing
 * is listed: it goes back from epoch to epoch, and then bisects in one. So the requests grow with
 * the number of epochs since then, and the logarithm of the segments of one.
 *
 * Not all segments before the begin of a catalogue are there (catalogue.h): of these it is the last
 * state that the catalogue keeps and that is not behind the moment.
 *
 * Threads: any. Errors: 0 or -errno: -ENOENT: there is no such segment; as archive_read.h.
 */
#pragma once

#include "catalogue.h"
#include "segment.h"
#include "shard.h"

/* The last segment of which the instant is not after `time`, ns since the epoch. `c`: the last
 * catalogue, as archive_last_catalogue gives it. */
int archive_find_time(struct shard *s, uint32_t lineage, const struct catalogue *c, int64_t time,
                      struct segment_pos *ret);
/* The time of the oldest state that can be restored, ns since the epoch; 0: there is none yet. */
int archive_oldest(struct shard *s, uint32_t lineage, const struct catalogue *c, int64_t *ret);
/* Likewise, of the segments up to `last`, which is one. */
int archive_find_time_before(struct shard *s, uint32_t lineage, const struct catalogue *c,
                             int64_t time, struct segment_pos last, struct segment_pos *ret);
/* The first segment whose instant has the change `seq`; if none has it the last one. Before the
 * begin of the catalogue: the last state that has no later change. */
int archive_find_seq(struct shard *s, uint32_t lineage, const struct catalogue *c, uint64_t seq,
                     struct segment_pos *ret);
