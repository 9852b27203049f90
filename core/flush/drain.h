// SPDX-License-Identifier: Apache-2.0
/*
 * drain: what flush_drain waits for, looked at from outside.
 *
 * A caller with a deadline must be able to say at that moment whether all is done, even if a disk
 * that does not answer keeps another thread in a lock. So no lock is waited for longer than
 * DRAIN_LOOK. Threads: any; the caller holds no lock.
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
    size_t flushes;        /* on their way */
    size_t unsealed;       /* contents */
    size_t dropped_pages;
    uint64_t dying; /* objects to delete */
    bool slow;      /* `dying` is not known, and 0: its lock was not free in time */
};

/* One drain, in steps: so one that goes on can let others go first. */
struct drain {
    struct state *p;
    bool idle;
    uint64_t seq;                    /* up to which all is to be durable */
    int64_t begun, until;            /* monotonic ns; until -1: for ever */
    const _Atomic bool *interrupted; /* or NULL */
    unsigned quiet;
};
struct drain drain_begin(struct state *p, bool idle, int64_t timeout,
                         const _Atomic bool *interrupted);
/* 0: all is done; 1: it goes on. The errors of flush_drain. */
int drain_step(struct drain *d);

void drain_look(struct state *p, struct drain_left *ret);
/* Is all done that a drain waits for: up to the change `seq`; `idle`: all there is. */
bool drain_done(struct state *p, bool idle, uint64_t seq);
/* "seq=… durable=…, …" */
void drain_describe(const struct drain_left *left, struct strbuf *out);
