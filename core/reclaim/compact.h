// SPDX-License-Identifier: Apache-2.0
/* compact: packs of which little is alive are rewritten (compact.c). */
#pragma once

#include "job.h"
#include "state.h"

struct compact_result {
    uint64_t packs;   /* that are gone, or, of others in a pool, not needed any more */
    uint64_t records; /* moved, */
    uint64_t bytes;   /* of payload that was copied for it */
    uint64_t freed;   /* bytes of files that went, less what was written for them */
};
/* Rewrite the packs of which less than `below` percent is alive, and with `thorough` as many more
 * as it takes until less than 5 % of all is dead. One after the other: its records are copied, the
 * new places are committed, then it goes. In a pool also packs of others whose records were mostly
 * removed: what this store needs of them it takes elsewhere. Holding nothing; `j` may be NULL.
 * -EBUSY another one runs; -ENOSPC, -EIO: what was done stays; -ECANCELED, -EROFS. */
int compact_store(struct state *p, struct job *j, unsigned below, bool thorough,
                  struct compact_result *ret);
/* One as a job that somebody asked for (job_fn): thorough, below `compact_below`. */
int compact_job(struct state *p, struct job *j, void *arg);
/* Begin one as a job, if there is a pack below `compact_below`, and enough is dead at all. Asked
 * again and again; looks at most every COMPACT_EVERY. */
#define COMPACT_EVERY (60 * NSEC_PER_SEC)
#define COMPACT_DUE_PART 4 /* a 4th of `pack_size` is dead at least, for one that nobody asks for */
void compact_if_due(struct state *p);
/* `compact_below` counts from now on. At the start. */
void compact_watch(struct state *p);
struct compact_stats {
    uint64_t packs, bytes; /* rewritten, and copied, since the start */
    bool running;
};
/* No locks. Any thread; the numbers may be of different moments. */
void compact_get_stats(struct state *p, struct compact_stats *ret);
/* In a pool: after a list of marks was read, look whether packs of others make one due. */
void compact_look_at_pool(struct state *p, uint64_t serial);
