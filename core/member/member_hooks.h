// SPDX-License-Identifier: Apache-2.0
/* member_hooks: the work that a member of a pool has done by rooms above; as state_hooks.h. */
#pragma once

#include <stdint.h>

struct state;

/* Set for each store; called only where the store is a member of a pool. */
struct member_hooks {
    /* The node's thread has looked at the pool. The store knows its list of marks `ack`. Done by
     * compact_look_at_pool. */
    void (*looked)(struct state *p, uint64_t ack);
};
