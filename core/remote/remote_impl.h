// SPDX-License-Identifier: Apache-2.0
/* remote_impl: what the mechanisms about other shards keep of an open store. */
#pragma once

#include "lock.h"
#include "state.h"
#include "sweep.h"
#include "sweep_record.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct moving {
    struct mutex lock; /* "move" */
    struct cond changed;
    struct move *first; /* at work: one for each target; lock */
};

struct releasing {
    struct mutex lock;         /* "release": one pass at a time */
    uint16_t told;             /* lock; the last shard of which a failure was reported */
    _Atomic uint64_t released; /* since the start */
    _Atomic bool stop;
};

struct shards_thread {
    struct mutex lock; /* "shards thread": a leaf; guards the rest */
    struct cond wake;
    bool kicked, stop, started;
    pthread_t thread;
    /* Another one looks for those that are unreachable when somebody asks for them: it may take
     * long. */
    struct cond look, looked;
    uint64_t wanted, begun, done; /* looks */
    bool looker_started;
    pthread_t looker;
};

struct sweep_of_store {
    struct mutex lock; /* "sweep": a leaf; guards what is not atomic or fixed */
    bool running;
    uint64_t job;            /* that runs it; 0: none */
    int64_t begun;           /* the last one, realtime ns, in this process */
    struct ghost_report now; /* of the one that runs */
    struct sweep_record record;
    int damage;              /* of what was remembered, fixed: no sweep runs. 0: all is well */
    _Atomic uint64_t purged; /* ghosts that went, and are not in the record yet */
};
