// SPDX-License-Identifier: Apache-2.0
/* pool_node_impl: what pool_node.c and gc_pool.c share. Nobody else includes this. */
#pragma once

#include "gc_pool.h"
#include "pool_node.h"
#include "state.h"

struct pool_node {
    struct pool_index *index;

    struct mutex report; /* "pool report": guards the next */
    struct pool_head head;
    /* What the last report has: changes up to here, and so many dead that had been let go of. */
    uint64_t told_seq, told_reclaimed;
    uint64_t told_commits; /* commits there had been before it was read from the tables */
    unsigned again;        /* reports since then that only repeated it */
    size_t told_marked;    /* of its names, how many the list has that it acknowledges */
    _Atomic int64_t doubted; /* ticks; when rows were found to be lost; 0: they are not known to */

    _Atomic int64_t refreshed; /* ticks; 0: never */
    _Atomic int64_t rest;      /* ns from then to the next look at others */
    const char *_Atomic lost;  /* pool_node_lost */

    /* Of who runs a cycle, or asks for the nodes: `running`. */
    _Atomic bool running;
    struct gc *gc;
    struct lease lease;
    bool reload; /* the list in force is to be read again, whatever its serial */

    struct mutex lock; /* "pool node": a leaf; guards the rest */
    struct cond wake;
    bool stop, started;
    pthread_t thread;
    int64_t reported_at; /* ticks */
    int64_t took;        /* ns, the last report that was read from the tables */
    bool due;            /* a drain left one to the thread */
    int64_t failing_at;  /* ticks; of the first failure in a row */
    struct pool_node_status status;
};
