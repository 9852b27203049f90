// SPDX-License-Identifier: Apache-2.0
/* yield_cpu: see the header. */
#include "yield_cpu.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

static _Atomic bool needed;
static _Thread_local int64_t last;

void yield_cpu_is_needed(void)
{
    atomic_store(&needed, true);
}

/* The machine's own clock, and not that of a test: this is about the scheduler. */
static int64_t machine_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void yield_cpu(void)
{
    if (!atomic_load_explicit(&needed, memory_order_relaxed))
        return;
    int64_t at = machine_ns();
    if (at - last < YIELD_CPU_NS)
        return;
    (void)sched_yield();
    last = machine_ns();
}
