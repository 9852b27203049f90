// SPDX-License-Identifier: Apache-2.0
/* pool_marks: see the header. */
#include "pool_marks.h"
#include <errno.h>

int pool_marks_newest(struct disk *disk, uint64_t from, uint64_t *ret_serial)
{
    (void)disk;
    (void)from;
    (void)ret_serial;
    return -ENOSYS;
}

int pool_marks_read(struct disk *disk, uint64_t serial, struct pool_marks *ret)
{
    (void)disk;
    (void)serial;
    (void)ret;
    return -ENOSYS;
}

void pool_marks_release(struct pool_marks *m)
{
    (void)m;
}

int pool_marks_publish(struct disk *disk, unsigned node, const struct pool_marks *list)
{
    (void)disk;
    (void)node;
    (void)list;
    return -ENOSYS;
}

int pool_marks_prune(struct disk *disk, uint64_t below)
{
    (void)disk;
    (void)below;
    return -ENOSYS;
}
