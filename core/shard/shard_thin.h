// SPDX-License-Identifier: Apache-2.0
/*
 * shard_thin: a pack of which only some parts are left.
 *
 *     shard_thin_put(s, "packs/X", pack, size, parts, count)     the parts are there a second time
 *     shard_delete(s, "packs/X")                                 and now only they are
 *
 * While "packs/X" is not there and "thin/X" is, shard_range, shard_range_alloc and shard_stat
 * answer for "packs/X" from that: it has its old size, the parts are where they were, and all else
 * of it is zeros. So nobody who has noted a place in a pack needs to know. Each read costs two
 * requests more. shard_verify says -EOPNOTSUPP. Other functions, and lists, show the two names as
 * they are.
 *
 * The file has a head with the places of the parts (thin_pack.h), and their bytes.
 *
 * Threads: any. Errors: 0 or -errno: those of the shard; -EUCLEAN: "thin/X" is damaged; -EPROTO: it
 * was written by a newer version.
 */
#pragma once

#include "shard.h"
#include "thin_pack.h"

#define SHARD_PACK_DIR "packs"
#define SHARD_THIN_DIR "thin"

/* `pack` has the `size` bytes of the pack, of which the parts are put. They are ascending and do
 * not overlap. When it returns 0 they are in "thin/X", were read back, and are durable. -EEXIST:
 * what is there, or is read, does not have all of them; -EINVAL: they are not parts of such a pack,
 * or `name` is not that of a pack. *ret_size: bytes of "thin/X"; may be NULL. */
int shard_thin_put(struct shard *s, const char *name, const void *pack, uint64_t size,
                   const struct thin_part *parts, uint32_t count, uint64_t *ret_size);
/* Which parts of a pack are left. The caller frees *ret_parts, which ret->parts points to. -ENOENT:
 * it was not thinned. */
int shard_thin_head(struct shard *s, const char *name, struct thin_head *ret,
                    struct thin_part **ret_parts);
/* The name of what is left of a pack. False: `name` is not that of a pack. */
bool shard_thin_name(const char *name, char out[DISK_NAME_MAX + 1]);
