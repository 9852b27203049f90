// SPDX-License-Identifier: Apache-2.0
/* compact: rewrites packs of which little is alive (compact.c). */
#pragma once

#include "job.h"
#include "state.h"
#include <limits.h>

struct compact_result {
    /* packs that were deleted, or, in a pool, that this store does not need any more */
    uint64_t packs;
    uint64_t records;    /* records that were moved */
    uint64_t bytes;      /* payload bytes that were copied for that */
    uint64_t freed;      /* bytes of deleted files, less what was written for them */
    uint64_t compressed; /* records that were compressed at rest */
    uint64_t saved;      /* by how many bytes these are shorter */
};
/* Rewrites the packs of which less than `below` percent is alive. With `thorough` it rewrites as
 * many more as it takes until less than 5 % of all bytes is dead. Packs are rewritten one after the
 * other: the records of a pack are copied, the new places are committed, and then the pack is
 * deleted. In a pool it also leaves packs of other nodes whose records were mostly removed: it
 * copies what this store needs of them to another place. With `thorough` it also compresses what is
 * at rest and should be (compression.h). `j` may be NULL. The caller holds no lock.
 * One compaction runs at a time: with a job the call waits for the other, until `j` is to end
 * (job_pause); with NULL it is -EBUSY. -ENOSPC, -EIO: what was done stays; -EUCLEAN: a pack is
 * damaged, the others were done; -ECANCELED, -EROFS. */
#define COMPACT_ONLY_REST UINT_MAX /* as `below`: it only compresses what is at rest */
int compact_store(struct state *p, struct job *j, unsigned below, bool thorough,
                  struct compact_result *ret);
/* A job_fn for a compaction that somebody asked for: thorough, below `compact_below`. */
int compact_job(struct state *p, struct job *j, void *arg);
/* Begins a compaction as a job "compaction", if enough is dead in packs below `compact_below`; or
 * one that compresses, if something may be due, and nothing has changed since the last look. It
 * is called often, and looks at most every COMPACT_EVERY. */
#define COMPACT_EVERY (60 * NSEC_PER_SEC)
/* a compaction that nobody asked for begins when a 4th of `pack_size` is dead */
#define COMPACT_DUE_PART 4
void compact_if_due(struct state *p);
/* Lets a change of `compact_below` or `compression` count at once. Called once, by the start. */
void compact_watch(struct state *p);
struct compact_stats {
    uint64_t packs, bytes; /* packs rewritten and bytes copied since the start */
    bool running;
};
/* Takes no lock. Threads: any. The numbers may be of different moments. */
void compact_get_stats(struct state *p, struct compact_stats *ret);
/* In a pool, after the list of marks `serial` was read: looks whether packs of other nodes should
 * be left. Threads: that of the node. */
void compact_look_at_pool(struct state *p, uint64_t serial);
