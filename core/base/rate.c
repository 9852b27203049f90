// SPDX-License-Identifier: Apache-2.0
/* rate: see the header. Each amount moves the moment `paid`, at which everything is paid for. */
#include "rate.h"

#define DAY (24 * 3600 * NSEC_PER_SEC)

void rate_init(struct rate *r, const struct clock *clock)
{
    *r = (struct rate){.clock = clock, .paid = clock_ticks(clock) - RATE_BURST};
}

/* The ns that an amount costs, rounded up, so that many small amounts are not free. */
static int64_t price(uint64_t amount, uint64_t per_second)
{
    double cost_ns = (double)amount * (double)NSEC_PER_SEC / (double)per_second;

    if (cost_ns >= (double)DAY)
        return DAY;
    return (int64_t)cost_ns + ((double)(int64_t)cost_ns < cost_ns);
}

/* Changes the rate: what is not paid yet is paid at the new one. */
static void turn(struct rate *r, int64_t now, uint64_t per_second)
{
    double owed;

    if (r->per_second && r->per_second != per_second && r->paid > now) {
        owed = (double)(r->paid - now) * (double)r->per_second / (double)per_second;
        r->paid = now + (owed < (double)DAY ? (int64_t)owed : DAY);
    }
    r->per_second = per_second;
}

int64_t rate_left(struct rate *r, uint64_t per_second)
{
    int64_t now = clock_ticks(r->clock);

    turn(r, now, per_second ? per_second : 1);
    return r->paid > now ? r->paid - now : 0;
}

int64_t rate_spend(struct rate *r, uint64_t amount, uint64_t per_second)
{
    int64_t now = clock_ticks(r->clock);

    turn(r, now, per_second ? per_second : 1);
    if (r->paid < now - RATE_BURST)
        r->paid = now - RATE_BURST;
    r->paid += price(amount, r->per_second);
    if (r->paid > now + DAY)
        r->paid = now + DAY;
    return rate_left(r, per_second);
}
