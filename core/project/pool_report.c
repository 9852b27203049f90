// SPDX-License-Identifier: Apache-2.0
/* pool_report: see the header. */
#include "pool_report.h"
#include <errno.h>

int pool_report_open(struct disk *disk, unsigned node, const struct pool_report *like,
                     struct pool_report **ret_report)
{
    (void)disk;
    (void)node;
    (void)like;
    (void)ret_report;
    return -ENOSYS;
}

void pool_report_close(struct pool_report *r)
{
    (void)r;
}

const struct pool_head *pool_report_head(const struct pool_report *r)
{
    (void)r;
    return NULL;
}

int pool_report_find(const struct pool_report *r, const struct id *id, uint64_t size, unsigned nth,
                     struct entry *ret)
{
    (void)r;
    (void)id;
    (void)size;
    (void)nth;
    (void)ret;
    return -ENOSYS;
}

int pool_report_get(const struct pool_report *r, const struct id *key, struct pool_record *ret)
{
    (void)r;
    (void)key;
    (void)ret;
    return -ENOSYS;
}

int pool_report_names(const struct pool_report *r, const struct id *keys, size_t count,
                      uint8_t *ret)
{
    (void)r;
    (void)keys;
    (void)count;
    (void)ret;
    return -ENOSYS;
}

int pool_report_write(struct disk *disk, struct pool_head *head, const struct pool_record *records,
                      size_t count)
{
    (void)disk;
    (void)head;
    (void)records;
    (void)count;
    return -ENOSYS;
}
