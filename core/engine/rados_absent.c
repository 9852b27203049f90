// SPDX-License-Identifier: Apache-2.0
/* rados_absent: stands for the driver "rados:" where tallyfs is built without it. */
#include "engines_impl.h"

#include <errno.h>
#include <stdio.h>

static int rados_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY])
{
    (void)rest, (void)out, (void)cap;
    snprintf(why, SHARD_WHY,
             "this tally was built without RADOS: install librados-dev, and build "
             "it again");
    return -EINVAL;
}

static int rados_open(const char *rest, unsigned flags, struct shard **ret_shard,
                      char why[SHARD_WHY])
{
    (void)flags, (void)ret_shard;
    return rados_normal(rest, NULL, 0, why);
}

const struct shard_driver rados_driver = {.scheme = "rados",
                                          .form = "rados:POOL[/NAMESPACE]",
                                          .normal = rados_normal,
                                          .open = rados_open};
