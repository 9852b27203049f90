// SPDX-License-Identifier: Apache-2.0
/*
 * fault: injects faults into tests. The kv and the disk in memory of a test share one struct, so
 * all of their writes are numbered in one sequence.
 *
 * Every operation that changes something calls `fault_write()` first. `fail_at` makes the operation
 * with that number (from 1) fail; with `cut` every later one fails, too. A cut stands for the loss
 * of power, a single failure for one EIO or ENOSPC. After a cut, `loss` says which unsynced changes
 * are lost. Threads: any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_loss {
    FAULT_LOSE_ALL,  /* no unsynced change survives */
    FAULT_KEEP_ALL,  /* every change survives: the daemon died, the machine did not */
    FAULT_LOSE_SOME, /* `seed` decides for each unsynced write, name and removal */
    FAULT_LOSE_ONE,  /* all survive but one, which is lost or cut short, by `seed` */
    FAULT_KEEP_ONE,  /* one alone survives, perhaps cut short, by `seed` */
};

struct fault {
    _Atomic uint64_t writes; /* operations that were counted so far */
    uint64_t fail_at;        /* number of the operation that fails; 0: none */
    int error;               /* errno of the failure, positive; 0: EIO */
    bool cut;                /* the power stays off from `fail_at` on */
    enum fault_loss loss;
    uint64_t seed; /* for FAULT_LOSE_SOME, FAULT_LOSE_ONE and FAULT_KEEP_ONE */
};

/* Counts one operation. 0: it goes on. -errno: it fails with that, and must change nothing. NULL:
 * 0. */
int fault_write(struct fault *f);
/* Has the operation been reached that must fail? A test looks before it disarms the fault. */
bool fault_fired(const struct fault *f);
/* Is the power off? Then reads fail with -EIO, too. NULL: false. */
bool fault_is_cut(const struct fault *f);
/* Turns the power on, sets the counter to 0, and arms no fault. */
void fault_reset(struct fault *f);
/* The random generator of all tests that have a seed: xorshift64*. `state` must not be 0. */
uint64_t fault_random(uint64_t *state);
