// SPDX-License-Identifier: Apache-2.0
/*
 * shard_impl: what shard.c and the drivers that are built in share. Private to core/shard.
 */
#pragma once

#include "shard.h"

#define SHARD_TMP "tmp" /* the directory of files that are being written; refused in names */

extern const struct shard_driver shard_dir_driver;
