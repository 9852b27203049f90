// SPDX-License-Identifier: Apache-2.0
/*
 * drain: the steps of flush_drain, and a look at what it still waits for.
 *
 * A caller with a deadline must be able to say at that moment whether all is done, even if a disk
 * that does not answer keeps another thread in a lock. So drain_look waits for the lock
 * that such a thread may hold no longer than DRAIN_LOOK. Threads: any; the caller holds no lock.
 */
#pragma once

#include "clock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;
struct strbuf;

#define DRAIN_LOOK (20 * NSEC_PER_MSEC)

struct drain_left {
    uint64_t seq, durable; /* numbers of the last change, and of the last one that is committed */
    size_t flushes;        /* rotated and not finalized */
    size_t unsealed;       /* contents that wait to be sealed */
    size_t dropped_pages;  /* that are not worked off yet */
    uint64_t dying; /* objects to delete */
    bool slow;      /* `dying` is 0 because it is unknown: its lock was not free in time */
};

/* One drain, done in steps: between two of them its thread can do other work. */
struct drain {
    struct state *p;
    bool idle;                       /* wait until nothing at all is left to do */
    uint64_t seq;                    /* the changes up to this one are to be durable */
    uint64_t dropped;                /* drops_pushed when a round began to work off drops */
    bool drops_left;                 /* some of these are left for the next round */
    int64_t begun, until;            /* monotonic ns; until -1: for ever */
    const _Atomic bool *interrupted; /* or NULL */
    unsigned quiet;                  /* rounds without work, one after another */
    unsigned rounds;                 /* rounds that left nothing of what was dropped before them */
};
struct drain drain_begin(struct state *p, bool idle, int64_t timeout,
                         const _Atomic bool *interrupted);
/* One round. 0: all is done; 1: call it again. The errors of flush_drain. */
int drain_step(struct drain *d);

void drain_look(struct state *p, struct drain_left *ret);
/* Is all done that a drain waits for? It waits for the changes up to `seq`; with `idle`, for
 * all. */
bool drain_done(struct state *p, bool idle, uint64_t seq);
/* "seq=… durable=…, …" */
void drain_describe(const struct drain_left *left, struct strbuf *out);
