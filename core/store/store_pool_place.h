// SPDX-License-Identifier: Apache-2.0
/*
 * store_pool_place: where a pool is: a directory of this machine, or a shard. Private to
 * store_pool.c.
 *
 *     pool_place_find(dirfd, url, &home, why)           once, for a new store
 *     pool_place_open(&home, own, flags, joins, &fd, &disk, why)
 *
 * Errors: 0 or -errno, and a sentence in `why`, unless it is said below that it may stay "".
 */
#pragma once

#include "store_pool.h"

/* Sets home->is_shard and home->path: for "dir:PATH" the path, absolute and without symlinks, of a
 * directory, which is made if it is missing; for any other URL its normal form (shard_normal_url),
 * which has no secrets in it. `dirfd` is the directory of the store. -EINVAL: a bad URL, or one of
 * the two would be inside of the other. */
int pool_place_find(int dirfd, const char *url, struct pool_home *home, char why[STORE_WHY]);
/* Opens the pool, and checks who owns it, if it is a directory. Who owns a shard is up to its
 * driver. *ret_fd is the directory, which the caller closes, also after an error; -1: it is none.
 * `joins`: the store is to become a node, so a shard is tried first: does it decide between writers
 * (shard_probe)? `own` is the store's own disk, for files in the making (disk_put.h); the disk of
 * the pool borrows it. `why` may stay "" after an error of the directory itself. -EHOSTUNREACH: the
 * shard cannot be asked now; -EOPNOTSUPP: it does not decide between writers. */
int pool_place_open(const struct pool_home *home, struct disk *own, unsigned flags, bool joins,
                    int *ret_fd, struct disk **ret_disk, char why[STORE_WHY]);
