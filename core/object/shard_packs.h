// SPDX-License-Identifier: Apache-2.0
/*
 * shard_packs: how much is alive of each pack that was put on another shard: a kv table with
 * changes in front (layer.h), committed with the refcount table.
 *
 *     put the pack, verified      shard_packs_add            (with refs_relocate, one freeze lock)
 *     a record's entry is gone    shard_packs_count_out      (with refs_reclaimed, one freeze lock)
 *     none is left                the pack is deleted, then shard_packs_forget
 *
 * So a row without live records leads to a pack that may still be there, and a pack without a row
 * is an orphan. Value: pack_entry (packs.h).
 *
 * Errors: 0 or -errno: -ENOENT no row, -EUCLEAN damaged, or more counted out than there was.
 * Threads: any; "shard packs" inside, a leaf.
 */
#pragma once

#include "packs.h"

struct shard_packs;

int shard_packs_open(struct kv *kv, unsigned table, struct shard_packs **ret_packs);
void shard_packs_close(struct shard_packs *p); /* NULL is fine */

/* Counts in `records` more live records, of `bytes` bytes of payload, of a pack whose file has
 * `file_bytes` bytes. Makes the row if there is none. */
int shard_packs_add(struct shard_packs *p, uint16_t shard, uint64_t pack, uint32_t records,
                    uint64_t bytes, uint64_t file_bytes);
int shard_packs_count_out(struct shard_packs *p, uint16_t shard, uint64_t pack, uint32_t records,
                          uint64_t bytes, struct pack_entry *ret_left);
int shard_packs_get(struct shard_packs *p, uint16_t shard, uint64_t pack, struct pack_entry *ret);
int shard_packs_forget(struct shard_packs *p, uint16_t shard, uint64_t pack); /* -EBUSY: alive */
/* The first row behind (*shard, *pack), in that order; both are set to it. -ENOENT: there is
 * none. */
int shard_packs_next(struct shard_packs *p, uint16_t *shard, uint64_t *pack,
                     struct pack_entry *ret);

/* Its part in a commit; see layer.h. */
int shard_packs_freeze(struct shard_packs *p);
int shard_packs_write(struct shard_packs *p, size_t n, struct kv_txn *t);
void shard_packs_retire(struct shard_packs *p, size_t n);
size_t shard_packs_changes(struct shard_packs *p); /* without the lock */
