// SPDX-License-Identifier: Apache-2.0
/*
 * clock: the only source of time. Code that makes a time stamp, waits or lets something expire asks
 * a `struct clock`: `clock_real()` in programs; in tests one that they set by hand
 * (clock_manual.h). Threads: all calls may come from any thread.
 */
#pragma once

#include <stdint.h>

struct clock {
    int64_t (*realtime)(const struct clock *);  /* nanoseconds since the Unix epoch, UTC */
    int64_t (*monotonic)(const struct clock *); /* nanoseconds since some fixed point, never back */
};

/* The machine's clocks. Static storage; never NULL. */
const struct clock *clock_real(void);

static inline int64_t clock_now(const struct clock *c)
{
    return c->realtime(c);
}
static inline int64_t clock_ticks(const struct clock *c)
{
    return c->monotonic(c);
}

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_USEC INT64_C(1000)

/* Seconds and nanoseconds as nanoseconds since the epoch. `nsec`: 0 … NSEC_PER_SEC - 1. A time that
 * 64 bits cannot hold (before September 1677, after April 2262) becomes the nearest one that they
 * can. */
int64_t clock_join(int64_t sec, int64_t nsec);
