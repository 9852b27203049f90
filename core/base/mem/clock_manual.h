// SPDX-License-Identifier: Apache-2.0
/*
 * clock_manual: a clock for tests, which stands still until it is advanced. Threads: all calls may
 * come from any thread.
 */
#pragma once

#include "clock.h"

#include <stdatomic.h>

/* `base` is the first member, so &m.base is a clock. */
struct clock_manual {
    struct clock base;
    _Atomic int64_t now; /* nanoseconds; both clocks read it */
};

void clock_manual_init(struct clock_manual *m, int64_t start_ns);
void clock_manual_advance(struct clock_manual *m, int64_t duration_ns);
