// SPDX-License-Identifier: Apache-2.0
/* remote_impl: what the mechanisms for other shards keep in an open store. Private to this room and
 * to store/store_impl.h. */
#pragma once

#include "lock.h"
#include "map64.h"
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
    struct move *first; /* lock; the moves in progress, at most one for each target */
};

struct releasing {
    struct mutex lock;         /* "release": one pass at a time holds it */
    struct map64 told;         /* lock; the shards whose failure was reported */
    _Atomic uint64_t released; /* ghosts whose bytes were deleted since the start */
    _Atomic bool stop;         /* the store closes: end the pass after the current ghost */
};

struct shards_thread {
    /* "shards thread", a leaf: guards the fields below, but for the `started` flags and the
     * threads */
    struct mutex lock;
    struct cond wake;
    bool kicked, stop, started;
    pthread_t thread;
    /* A second thread, the looker, asks shards in doubt when somebody waits for it. A look may
     * take long. */
    struct cond look, looked;
    uint64_t wanted, begun, done; /* numbers of looks: asked for, begun, done */
    bool looker_started;
    pthread_t looker;
};

struct sweep_of_store {
    struct mutex lock; /* "sweep", a leaf: guards the fields below that are not atomic or fixed */
    bool running;
    uint64_t job;            /* the job that runs the sweep; 0: none */
    int64_t begun;           /* when the last sweep of this process began, realtime ns */
    struct ghost_report now; /* of the sweep that runs */
    struct sweep_record record;
    /* fixed: -errno of reading the record, so that no sweep runs; 0: the record is sound */
    int damage;
    _Atomic uint64_t purged; /* purged ghosts that are not in the record yet */
};
