// SPDX-License-Identifier: Apache-2.0
/* engines_impl: the drivers of this room. Private to core/engine. */
#pragma once

#include "shard.h"

extern const struct shard_driver s3_driver, rados_driver;
