// SPDX-License-Identifier: Apache-2.0
/*
 * rate: so much a second and no more: for background work that must leave a disk to others.
 *
 *     rate_init(&r, clock);
 *     ... do some of it ...
 *     wait(rate_spend(&r, bytes, per_second));
 *
 * What was not spent is not saved up: after any pause there is room for RATE_BURST at once. So
 * whoever waits as told spends in any time t at most (t + RATE_BURST) · per_second, and what it
 * spends last. Amounts are of any unit, bytes or things.
 *
 * Pure arithmetic; the owner guards it, and does the waiting.
 */
#pragma once

#include "clock.h"

#define RATE_BURST (100 * NSEC_PER_MSEC)

struct rate {
    const struct clock *clock;
    int64_t paid;        /* monotonic ns at which all that was spent is paid for, */
    uint64_t per_second; /* at this rate; 0: nothing was spent yet */
};

void rate_init(struct rate *r, const struct clock *clock); /* the clock is borrowed */
/* `amount` was spent. Returns the ns to wait before the next is begun; 0: none. An amount worth
 * less than a ns counts as one. A wait is at most a day. `per_second` is at least 1; another one
 * than the last time counts from now on, also for what is owed. */
int64_t rate_spend(struct rate *r, uint64_t amount, uint64_t per_second);
int64_t rate_left(struct rate *r, uint64_t per_second); /* the same wait, as it is now */
