// SPDX-License-Identifier: Apache-2.0
/* rate: see the header. A debt in time: each amount moves the moment at which all is paid for. */
#include "rate.h"

#define DAY (24 * 3600 * NSEC_PER_SEC)

void rate_init(struct rate *r, const struct clock *clock)
{
    *r = (struct rate){.clock = clock, .paid = clock_ticks(clock) - RATE_BURST};
}

/* In ns, rounded up, so that many small amounts are not free. */
static int64_t price(uint64_t amount, uint64_t per_second)
{
    double ns = (double)amount * (double)NSEC_PER_SEC / (double)per_second;

    if (ns >= (double)DAY)
        return DAY;
    return (int64_t)ns + ((double)(int64_t)ns < ns);
}

int64_t rate_spend(struct rate *r, uint64_t amount, uint64_t per_second)
{
    int64_t now = clock_ticks(r->clock);

    if (r->paid < now - RATE_BURST)
        r->paid = now - RATE_BURST;
    r->paid += price(amount, per_second ? per_second : 1);
    if (r->paid > now + DAY)
        r->paid = now + DAY;
    return r->paid > now ? r->paid - now : 0;
}
