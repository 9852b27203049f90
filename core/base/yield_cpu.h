// SPDX-License-Identifier: Apache-2.0
/*
 * yield_cpu: long computations let others run.
 *
 * Threads of the idle class (fs/base/below.h) never preempt one another: one that wakes on a CPU
 * where another computes waits for the scheduler's tick, 4 ms or twice that, and so does who asked
 * it for something. So whoever computes for longer than YIELD_CPU_NS says so in between, by a call
 * here, which gives the CPU away if somebody waits for it. Nothing happens in any other class.
 *
 *     for each of many: work of about a microsecond or more; yield_cpu();
 *
 * Threads: any; with or without locks, but who waits for a lock that is held here gains nothing.
 */
#pragma once

#include <stdbool.h>

#define YIELD_CPU_NS 100000

/* All threads of the process that compute are of the idle class. Any time. */
void yield_cpu_is_needed(void);
/* Costs some 20 ns, and a system call every YIELD_CPU_NS. */
void yield_cpu(void);
