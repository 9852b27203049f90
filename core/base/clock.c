// SPDX-License-Identifier: Apache-2.0
/*
 * clock: the machine's clocks, and one that a test sets by hand. The manual clock uses one number
 * for both kinds of time, so a test that advances it moves time stamps and timeouts together.
 */
#include "clock.h"

#include <time.h>

/* Before the epoch a time counts from the second above: near the lower limit the second below does
 * not fit into 64 bits, though the time itself does. */
int64_t clock_join(int64_t sec, int64_t nsec)
{
    int64_t time_ns;

    if (sec < 0) {
        sec++;
        nsec -= NSEC_PER_SEC;
    }
    if (__builtin_mul_overflow(sec, NSEC_PER_SEC, &time_ns) ||
        __builtin_add_overflow(time_ns, nsec, &time_ns))
        return sec < 0 ? INT64_MIN : INT64_MAX;
    return time_ns;
}

static int64_t read_clock(clockid_t id)
{
    struct timespec ts = {0};
    clock_gettime(id, &ts);
    return clock_join(ts.tv_sec, ts.tv_nsec);
}

static int64_t real_realtime(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t real_monotonic(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock *clock_real(void)
{
    static const struct clock real = {.realtime = real_realtime, .monotonic = real_monotonic};
    return &real;
}

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
