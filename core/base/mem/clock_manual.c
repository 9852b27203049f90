// SPDX-License-Identifier: Apache-2.0
/*
 * clock_manual: one number for both kinds of time, so a test that advances it moves time stamps and
 * timeouts together.
 */
#include "clock_manual.h"

static int64_t manual_now(const struct clock *c)
{
    const struct clock_manual *m = (const struct clock_manual *)c;
    return atomic_load(&m->now);
}

void clock_manual_init(struct clock_manual *m, int64_t start_ns)
{
    m->base = (struct clock){.realtime = manual_now, .monotonic = manual_now};
    atomic_init(&m->now, start_ns);
}

void clock_manual_advance(struct clock_manual *m, int64_t duration_ns)
{
    atomic_fetch_add(&m->now, duration_ns);
}
