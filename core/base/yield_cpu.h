// SPDX-License-Identifier: Apache-2.0
/*
 * yield_cpu: lets other threads run during a long computation.
 *
 * Threads of the idle class (fs/base/below.h) never preempt one another. A thread that wakes on a
 * CPU where another one computes waits for the scheduler's tick, 4 ms or twice that, and so does
 * the client that waits for it. So a thread that computes for longer than YIELD_CPU_NS calls
 * yield_cpu in between, which gives the CPU to a thread that waits for it. In any other scheduling
 * class the call does nothing.
 *
 *     for each of many: work of about a microsecond or more; yield_cpu();
 *
 * Threads: any, with or without locks. It does not help a thread that waits for a lock which the
 * caller holds.
 */
#pragma once

#include <stdbool.h>

#define YIELD_CPU_NS 100000

/* Called when all threads of the process that compute are of the idle class. At any time. */
void yield_cpu_is_needed(void);
/* Costs about 20 ns, and a system call every YIELD_CPU_NS. */
void yield_cpu(void);
