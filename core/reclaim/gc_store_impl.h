// SPDX-License-Identifier: Apache-2.0
/* gc_store_impl: what gc_store.c keeps in an open store. */
#pragma once

#include "gc_store.h"
#include <stdatomic.h>

struct gc_of_store {
    struct gc *gc;
    _Atomic bool running; /* a cycle runs, or the work that follows it */
    uint64_t node;        /* this store's id as a node; fixed */
    bool unsettled;       /* guarded by: running; removals from tables are not committed */
    /* guarded by: running; pages were deleted, and their references not given back */
    bool recount_due;
    _Atomic uint64_t report; /* serial of the last report; reports count from 1 in each process */
    /* fixed: -errno if what earlier cycles remembered cannot be read; then no cycle may delete
     * anything. 0: it can. */
    int damage;
    _Atomic uint64_t leaks, leaked_bytes; /* after the last cycle */
    _Atomic uint64_t collected;           /* removed by all cycles since the start */
    /* The last cycle: shards that it could not search, and names there that do not belong to the
     * store. */
    _Atomic uint64_t shards_unreachable, foreign;
};
