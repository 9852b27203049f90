// SPDX-License-Identifier: Apache-2.0
/* state_hooks: the work that this room has done by the rooms above. The opening of a store sets the
 * hooks, and nothing changes them afterwards. Each function keeps the rules of the one that its
 * comment names. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

/* The hooks of the state in memory. */
struct state_hooks {
    /* Commit what is not committed yet, and wait for it: flush_now. */
    int (*flush)(struct state *p);
    /* Begin a flush: flush_kick. */
    void (*kick)(struct state *p);
    /* Pages were put into the queue of drops: flush_kick_drops. */
    void (*kick_drops)(struct state *p);
    /* Begin a job that reports which files use damaged objects, by met_tell: locate_damage of
     * store.c. 0 or -errno. */
    int (*locate_damage)(struct state *p);
    /* Did the last scrub find damage? scrub_found_damage. */
    bool (*has_damage)(struct state *p);
};
