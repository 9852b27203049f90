// SPDX-License-Identifier: Apache-2.0
/* pool_node_impl: private to pool_node.c, pool_node_ask.c and the files of gc_pool. */
#pragma once

#include "gc_pool.h"
#include "pool_node.h"
#include "state.h"

struct pool_node {
    struct pool_index *index;

    struct mutex report;   /* "pool report": guards the fields up to told_marked */
    struct pool_head head; /* of the last report; its serial is 0: none yet in this incarnation */
    /* The last report has all changes up to told_seq; told_reclaimed is flush_reclaimed() at that
     * time. */
    uint64_t told_seq, told_reclaimed;
    uint64_t told_commits;   /* flush_commits() before its names were read from the tables */
    unsigned again;          /* reports since then that only rewrote the head */
    uint64_t indexed;        /* gc_pool_index_closed has seen to the own packs up to this number */
    size_t told_marked;      /* so many of its names are marked by the list that it acknowledges */
    _Atomic int64_t doubted; /* ticks when lost rows were found; 0: none are known */

    _Atomic int64_t refreshed; /* last look at the reports of others, ticks; 0: never */
    _Atomic int64_t rest;      /* ns from then to the next look at them */
    const char *_Atomic lost;  /* pool_node_lost */

    /* The next fields belong to the thread that has set `running`, which runs a cycle. While no
     * cycle runs they belong to the thread that holds `looking`. */
    struct mutex looking; /* "pool nodes" */
    _Atomic bool running; /* set with `looking` held */
    struct gc *gc;
    struct lease lease;
    bool reload; /* the list in force is to be read again, even if its serial is known */

    struct mutex lock; /* "pool node", a leaf: guards the fields below */
    struct cond wake;
    bool stop, started; /* `started` belongs to the thread that opens and closes */
    pthread_t thread;
    int64_t reported_at; /* of the last good report, ticks */
    int64_t took;        /* duration of the last report that was read from the tables, ns */
    bool due;            /* a drain left its report to the thread */
    int64_t failing_at;  /* time of the first failure in a row, ticks */
    struct pool_node_status status;
};
