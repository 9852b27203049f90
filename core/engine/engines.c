// SPDX-License-Identifier: Apache-2.0
/* engines: see the header. */
#include "engines.h"

#include "engines_impl.h"

void engines_register(void)
{
    (void)shard_register(&s3_driver);
    (void)shard_register(&rados_driver);
}
