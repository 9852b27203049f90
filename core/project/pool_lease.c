// SPDX-License-Identifier: Apache-2.0
/* pool_lease: see the header. */
#include "pool_lease.h"
#include <errno.h>

int lease_take(struct disk *disk, const struct clock *clock, unsigned node, uint32_t life,
               struct lease *l)
{
    (void)disk;
    (void)clock;
    (void)node;
    (void)life;
    (void)l;
    return -ENOSYS;
}

int lease_beat(struct disk *disk, struct lease *l)
{
    (void)disk;
    (void)l;
    return -ENOSYS;
}

int lease_release(struct disk *disk, struct lease *l)
{
    (void)disk;
    (void)l;
    return -ENOSYS;
}

int lease_read(struct disk *disk, struct pool_term *ret)
{
    (void)disk;
    (void)ret;
    return -ENOSYS;
}
