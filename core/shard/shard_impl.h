// SPDX-License-Identifier: Apache-2.0
/*
 * shard_impl: what shard.c and the drivers that are built in share. Private to core/shard.
 */
#pragma once

#include "shard.h"

#define SHARD_TMP "tmp" /* a directory for what is half written; no name may begin with it */

extern const struct shard_driver shard_dir_driver;
