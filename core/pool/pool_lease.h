// SPDX-License-Identifier: Apache-2.0
/*
 * pool_lease: decides which node of a pool runs GC cycles. The lease saves work and keeps histories
 * in order; safety does not rest on it: two collectors at once harm nothing (DESIGN 4.8).
 *
 *     struct lease l = LEASE_INIT;                      one a process, kept for its incarnation
 *     lease_take(disk, clock, node, incarnation, &l)    -EBUSY: call again, some seconds later
 *     lease_beat(disk, &l)                              every few seconds while it runs
 *     lease_release(disk, &l)                           after the cycle, and before unmounting
 *
 * Terms rise; each is taken by putting the file lease/<term>, which only one can. The newest is in
 * force until its owner releases it, or until its beat was not seen to advance for LEASE_PATIENCE
 * by the asker's own monotonic clock, from when this asker first saw that beat: the clocks of other
 * nodes are not used. An earlier incarnation of the same node is dead, and is not waited for. A
 * file that is damaged counts as held by an unknown node, and the asker waits for it like for any
 * other.
 *
 * Errors and threads: as pool_dir.h; one thread a lease.
 */
#pragma once

#include "clock.h"
#include "disk.h"
#include "pool_format.h"

#define LEASE_PATIENCE (60 * NSEC_PER_SEC)

struct lease {
    struct pool_term own; /* the term that this process holds; term 0: none */
    struct pool_term seen; /* the newest term of another node at the last look; node 0: unknown */
    int64_t seen_at;       /* monotonic, ns: when `seen` was first seen with its present beat */
};
#define LEASE_INIT                                                                                 \
    {                                                                                              \
        .seen_at = 0                                                                               \
    }

/* 0: this process holds the lease (already, or from now on). -EBUSY another node holds it, see
 * l->seen. -EOVERFLOW there is no higher term: no member counts that far, so a term was forged. */
int lease_take(struct disk *disk, const struct clock *clock, unsigned node, uint32_t incarnation,
               struct lease *l);
/* Show the other nodes that this process is alive. -ESTALE the lease is not held any more, because
 * another node took a newer term: the caller ends its cycle. */
int lease_beat(struct disk *disk, struct lease *l);
/* Does nothing if the lease is not held. The lease is not held afterwards, even after an error. */
int lease_release(struct disk *disk, struct lease *l);
