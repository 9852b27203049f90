// SPDX-License-Identifier: Apache-2.0
/*
 * rate: limits background work to an amount per second, so that it leaves a disk to others.
 *
 *     rate_init(&r, clock);
 *     ... do some of it ...
 *     wait(rate_spend(&r, bytes, per_second));
 *
 * An unused amount is not saved up: after any pause RATE_BURST of work is free at once. So a caller
 * that waits as told spends in any time t at most (t + RATE_BURST) · per_second, plus what it
 * spends last. The amount may have any unit, such as bytes or files.
 *
 * This is pure arithmetic. The owner of the struct guards it, and does the waiting.
 */
#pragma once

#include "clock.h"

#define RATE_BURST (100 * NSEC_PER_MSEC)

struct rate {
    const struct clock *clock;
    int64_t paid;        /* monotonic ns: when everything that was spent is paid for */
    uint64_t per_second; /* the rate for that; 0: nothing was spent yet */
};

void rate_init(struct rate *r, const struct clock *clock); /* the clock is borrowed */
/* Called when `amount` was spent. Returns for how many ns the caller waits before its next piece of
 * work; at most a day, 0: none. An amount that is worth less than a ns counts as one. `per_second`
 * must be at least 1. If it differs from the last call it applies from now on, also to what is not
 * paid yet. */
int64_t rate_spend(struct rate *r, uint64_t amount, uint64_t per_second);
int64_t rate_left(struct rate *r, uint64_t per_second); /* what is left of that wait now */
