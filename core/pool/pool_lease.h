// SPDX-License-Identifier: Apache-2.0
/*
 * pool_lease: who of a pool's nodes runs GC cycles. It saves work and keeps histories in order;
 * safety does not rest on it: two collectors at once harm nothing (DESIGN 4.8).
 *
 *     struct lease l = LEASE_INIT;                         one a process, kept for its incarnation
 *     lease_take(disk, clock, node, life, &l)              -EBUSY: call again, some seconds later
 *     lease_beat(disk, &l)                                 every few seconds while it runs
 *     lease_release(disk, &l)                              after the cycle, and before unmounting
 *
 * Terms rise; each is taken by putting the file lease/<term>, which only one can. The newest is in
 * force until its owner releases it, or until its beat was not seen to advance for LEASE_PATIENCE
 * by the asker's own monotonic clock, from when this very asker first saw it: clocks of others are
 * not looked at. An earlier incarnation of the same node is dead, and is not waited for. A file
 * that is damaged is held by somebody unknown, and waited for like any.
 *
 * Errors and threads: as pool_dir.h; one thread a lease.
 */
#pragma once

#include "clock.h"
#include "disk.h"
#include "pool_format.h"

#define LEASE_PATIENCE (60 * NSEC_PER_SEC)

struct lease {
    struct pool_term own; /* term 0: not held */
    struct pool_term seen; /* the newest of somebody else, when last asked; node 0: unknown */
    int64_t seen_at;       /* monotonic: since when it has been as it is */
};
#define LEASE_INIT                                                                                 \
    {                                                                                              \
        .seen_at = 0                                                                               \
    }

/* 0 it is ours (already, or now); -EBUSY it is another's: l->seen says whose; -EOVERFLOW there are
 * no more terms, for somebody has forged one. */
int lease_take(struct disk *disk, const struct clock *clock, unsigned node, uint32_t incarnation,
               struct lease *l);
/* We are alive. -ESTALE a newer term was taken: it is ours no more, end the cycle. */
int lease_beat(struct disk *disk, struct lease *l);
/* Nothing to do when it is not held; not held afterwards, whatever is returned. */
int lease_release(struct disk *disk, struct lease *l);
