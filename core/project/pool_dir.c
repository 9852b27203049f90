// SPDX-License-Identifier: Apache-2.0
/* pool_dir: see the header. */
#include "pool_dir.h"
#include <errno.h>

int pool_identity_make(struct pool_identity *ret)
{
    (void)ret;
    return -ENOSYS;
}

int pool_dir_create(struct disk *disk, const struct pool_identity *identity, char why[POOL_WHY])
{
    (void)disk;
    (void)identity;
    (void)why;
    return -ENOSYS;
}

int pool_dir_identity(struct disk *disk, struct pool_identity *ret, char why[POOL_WHY])
{
    (void)disk;
    (void)ret;
    (void)why;
    return -ENOSYS;
}

int pool_dir_join(struct disk *disk, struct pool_who *who, char why[POOL_WHY])
{
    (void)disk;
    (void)who;
    (void)why;
    return -ENOSYS;
}

int pool_dir_nodes(struct disk *disk, unsigned *ret_count)
{
    (void)disk;
    (void)ret_count;
    return -ENOSYS;
}

int pool_node_read(struct disk *disk, unsigned node, struct pool_who *ret)
{
    (void)disk;
    (void)node;
    (void)ret;
    return -ENOSYS;
}

int pool_node_write(struct disk *disk, const struct pool_who *who)
{
    (void)disk;
    (void)who;
    return -ENOSYS;
}

int pool_node_is_retired(struct disk *disk, unsigned node)
{
    (void)disk;
    (void)node;
    return -ENOSYS;
}

int pool_node_retire(struct disk *disk, unsigned node)
{
    (void)disk;
    (void)node;
    return -ENOSYS;
}

int pool_node_tidy(struct disk *disk, unsigned node)
{
    (void)disk;
    (void)node;
    return -ENOSYS;
}

int pool_head_read(struct disk *disk, unsigned node, struct pool_head *ret)
{
    (void)disk;
    (void)node;
    (void)ret;
    return -ENOSYS;
}

void pool_node_path(unsigned node, const char *name, char out[DISK_NAME_MAX + 1])
{
    (void)node;
    (void)name;
    (void)out;
}
