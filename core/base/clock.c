// SPDX-License-Identifier: Apache-2.0
/* clock: the machine's clocks. */
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
