// SPDX-License-Identifier: Apache-2.0
/* pool_held: see the header. */
#include "pool_held.h"
#include <errno.h>

int pool_held_list(struct disk *disk, pool_step_fn *step, void *ctx, struct pool_held *ret,
                   char why[POOL_WHY])
{
    (void)disk;
    (void)step;
    (void)ctx;
    (void)ret;
    (void)why;
    return -ENOSYS;
}

void pool_held_release(struct pool_held *h)
{
    (void)h;
}

int pool_held_remove(struct disk *disk, unsigned node, const struct id *keys, size_t count,
                     uint8_t *done, struct pool_removed *ret)
{
    (void)disk;
    (void)node;
    (void)keys;
    (void)count;
    (void)done;
    (void)ret;
    return -ENOSYS;
}

int pool_index_packs(struct disk *disk, unsigned node, unsigned owner, pool_is_open_fn *is_open,
                     void *ctx, unsigned *ret_made)
{
    (void)disk;
    (void)node;
    (void)owner;
    (void)is_open;
    (void)ctx;
    (void)ret_made;
    return -ENOSYS;
}
