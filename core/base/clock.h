// SPDX-License-Identifier: Apache-2.0
/*
 * clock: the only source of time. Everything that stamps, waits or expires asks a `struct clock`,
 * so that tests can turn time by hand.
 *
 * Calling sequence: `clock_real()` in programs; in tests `clock_manual_init()`, then
 * `clock_manual_advance()`. Threads: all calls may come from any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct clock {
    int64_t (*realtime)(const struct clock *);  /* nanoseconds since the Unix epoch, UTC */
    int64_t (*monotonic)(const struct clock *); /* nanoseconds since some fixed point, never back */
};

/* The machine's clocks. Static storage; never NULL. */
const struct clock *clock_real(void);

/* A clock that stands still until advanced. `base` comes first so that &m.base is a clock. */
struct clock_manual {
    struct clock base;
    _Atomic int64_t now; /* nanoseconds; both clocks read it */
};

void clock_manual_init(struct clock_manual *m, int64_t start_ns);
void clock_manual_advance(struct clock_manual *m, int64_t duration_ns);

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

/* As nanoseconds since the epoch. What 64 bits do not hold (before September 1677, after April
 * 2262) is the nearest that they do. `nsec`: 0 … NSEC_PER_SEC - 1. */
int64_t clock_join(int64_t sec, int64_t nsec);
