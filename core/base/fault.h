// SPDX-License-Identifier: Apache-2.0
/*
 * fault: one switchboard for injected faults, shared by the in-memory kv and disk of a test, so
 * that all their writes are numbered in one sequence.
 *
 * Every operation that changes something asks `fault_write()` first. `fail_at` makes operation
 * number N (counting from 1) and, with `cut`, every later one, fail: a cut is the loss of power, a
 * plain failure is one EIO or ENOSPC. What had not been synced is then lost as `loss` says.
 * Threads: any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_loss {
    FAULT_LOSE_ALL,  /* nothing unsynced survives */
    FAULT_KEEP_ALL,  /* everything survives (the daemon died, the machine did not) */
    FAULT_LOSE_SOME, /* each unsynced write, name and removal on its own, by `seed` */
    FAULT_LOSE_ONE,  /* one of them alone does not survive, or not whole, by `seed` */
    FAULT_KEEP_ONE,  /* one of them alone survives, perhaps not whole */
};

struct fault {
    _Atomic uint64_t writes; /* operations seen so far */
    uint64_t fail_at;        /* 0: never */
    int error;               /* errno of the failure, positive; 0 means EIO */
    bool cut;                /* power stays off after fail_at */
    enum fault_loss loss;
    uint64_t seed; /* for the last three of them */
};

/* Count one write. 0 to go on, or the -errno to fail with (nothing may be changed then). */
int fault_write(struct fault *f);
/* Has the operation come that was to fail? A test asks before it disarms the fault. */
bool fault_fired(const struct fault *f);
/* Is the power off? Reads fail with -EIO then, too. NULL: no. */
bool fault_is_cut(const struct fault *f);
/* Power on again, counters at zero, no fault armed. */
void fault_reset(struct fault *f);
/* xorshift64*: the generator all seeded tests share. `state` must not be 0. */
uint64_t fault_random(uint64_t *state);
