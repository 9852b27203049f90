// SPDX-License-Identifier: Apache-2.0
/* s3_absent: stands for the driver "s3:" where tallyfs is built without it. */
#include "engines_impl.h"

#include <errno.h>
#include <stdio.h>

static int s3_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY])
{
    (void)rest, (void)out, (void)cap;
    snprintf(why, SHARD_WHY,
             "this tally was built without S3: install libcurl4-openssl-dev, "
             "libssl-dev and libexpat1-dev, and build it again");
    return -EINVAL;
}

static int s3_open(const char *rest, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    (void)flags, (void)ret_shard;
    return s3_normal(rest, NULL, 0, why);
}

const struct shard_driver s3_driver = {.scheme = "s3",
                                       .form = "s3://BUCKET[/PREFIX]?endpoint=URL",
                                       .normal = s3_normal,
                                       .open = s3_open};
