// SPDX-License-Identifier: Apache-2.0
/* flush_hooks: what the flush has done by the rooms above, as state_hooks.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

/* For the flush, the drain and their threads. */
struct flush_hooks {
    /* Some drops were worked off: jobs_drops_done. */
    void (*drops_done)(struct state *p);
    /* A drain has ended well: pool_node_drained. */
    void (*drained)(struct state *p);
    /* A flush begins, and may find objects in the pool: pool_node_refresh. */
    void (*refresh_pool)(struct state *p);
    /* The disk is full. Give up the oldest of what is kept only in case somebody wants it back:
     * kept_give_back. False: nothing can be. */
    bool (*give_back)(struct state *p);
    /* A run of the flush thread has ended: flushed of store.c, by compact_if_due, schedule_run
     * and kept_expire. */
    void (*flushed)(struct state *p);
    /* Delete the bytes of dead ghosts, of all shards: release_ghosts of store.c, by
     * release_pass. */
    void (*release_ghosts)(struct state *p);
    /* How many dead ghosts lost their bytes since the start: ghosts_released of store.c. */
    uint64_t (*ghosts_released)(struct state *p);
    /* A commit is there, and there are dead ghosts: shards_thread_kick. */
    void (*dead_ghosts)(struct state *p);
    /* A ghost lost its last reference: sweep_note_purged. */
    void (*ghost_purged)(struct state *p);
};
