// SPDX-License-Identifier: Apache-2.0
/*
 * shard_impl: what shard.c and the drivers that are built in share. Private to core/shard.
 */
#pragma once

#include "shard.h"

#define SHARD_TMP "tmp" /* the directory of files that are being written; refused in names */

extern const struct shard_driver shard_dir_driver;

/* What is left of a pack that is gone (shard_thin.h). As shard_range,
 * shard_range_alloc and shard_stat; -ENOENT also for names that are not those of packs. */
ssize_t thin_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off);
ssize_t thin_range_alloc(struct shard *s, const char *name, size_t len, uint64_t off,
                         void **ret_data);
int thin_stat(struct shard *s, const char *name, uint64_t *ret_size);
