// SPDX-License-Identifier: Apache-2.0
/* member_hooks: what a member of a pool has done by the rooms above, as state_hooks.h. */
#pragma once

#include <stdint.h>

struct state;

/* For a store as a member of a pool. */
struct member_hooks {
    /* The node's thread has looked at the pool, whose list of marks `ack` it knows:
     * compact_look_at_pool. */
    void (*looked)(struct state *p, uint64_t ack);
};
