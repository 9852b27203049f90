// SPDX-License-Identifier: Apache-2.0
/* gc_store_impl: what gc_store.c keeps of an open store. */
#pragma once

#include "gc_store.h"
#include <stdatomic.h>

struct gc_of_store {
    struct gc *gc;
    _Atomic bool running;    /* a cycle, to the end of what follows it */
    uint64_t node;           /* this store's number among nodes */
    bool unsettled;          /* likewise; what one took out of tables is not committed */
    bool recount_due;        /* by the one cycle that runs; pages went, what they held did not */
    _Atomic uint64_t report; /* serial of its last report, of this process */
    /* What earlier cycles found cannot be read: no cycle may delete by it. 0: all is well. */
    int damage;
    _Atomic uint64_t leaks, leaked_bytes; /* as the last cycle left them */
    _Atomic uint64_t collected;           /* by all cycles since the start */
    /* The last cycle: shards that it could not look through, names there that are not the
     * store's. */
    _Atomic uint64_t shards_unreachable, foreign;
};
