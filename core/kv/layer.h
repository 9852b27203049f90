// SPDX-License-Identifier: Apache-2.0
/*
 * layer: one kv table with the changes that are not committed yet in front of it.
 *
 *     get ->  [ active changes ] -> [ batch ] -> ... -> [ batch ] -> kv table
 *               put, del write here   newest   frozen    oldest
 *
 * Changes are absolute values or deletions, never differences, so a reader that misses a batch
 * just as it is retired finds the same value in the one below, and what is written twice does no
 * harm. A flush calls `layer_freeze` (the active changes become the newest batch; O(1)),
 * `layer_write` of the oldest batches into a transaction, and after the commit `layer_retire` of as
 * many. If the commit fails they stay, and are written again: alone, or with the next ones in one
 * transaction. Every freeze needs its retire, also when nothing was pending.
 *
 * Keys have one fixed length per layer (1–16 bytes), values 0–LAYER_VALUE_MAX bytes.
 * Errors: 0 or -errno: -ENOENT, -ENOMEM (nothing changed), -ERANGE, and what kv_get returns.
 * Threads: NOT locked here. The owner guards all calls on one layer with one lock of its own,
 * except layer_write, which only reads batches and may run beside all others but layer_retire, and
 * layer_pending, which may be asked at any time.
 */
#pragma once

#include "kv.h"

#define LAYER_VALUE_MAX 88
#define LAYER_BATCHES_MAX 64

struct layer;

int layer_create(struct kv *kv, unsigned table, size_t klen, struct layer **ret_layer);
void layer_destroy(struct layer *l); /* NULL is fine; uncommitted changes are dropped */

int layer_get(struct layer *l, const void *key, void *buf, size_t cap, size_t *ret_len);
/* Between these two calls all layer_get read the table through one snapshot, which makes many gets
 * of neighbouring keys cheaper. The owner keeps its lock, so that no layer_retire comes between. */
void layer_gets_begin(struct layer *l);
void layer_gets_end(struct layer *l);
/* Makes room for so many puts and deletions, with values of up to `vlen` bytes: until the next
 * layer_freeze so many of them cannot fail. -ENOMEM: no change was made. */
int layer_room(struct layer *l, size_t changes, size_t vlen);
int layer_put(struct layer *l, const void *key, const void *val, size_t vlen);
int layer_del(struct layer *l, const void *key); /* absent is fine */

/* Makes the active changes the newest batch. -EBUSY: there are LAYER_BATCHES_MAX batches. */
int layer_freeze(struct layer *l);
/* Writes the `n` oldest batches, the oldest first; there must be so many. */
int layer_write(struct layer *l, size_t n, struct kv_txn *t);
void layer_retire(struct layer *l, size_t n);

/* Uncommitted changes: active plus frozen; a key that several maps have counts in
 * each of them. */
size_t layer_pending(const struct layer *l);

/* The lowest keys above `after` (klen bytes; NULL: from the start) over all changes and the table,
 * ascending, deletions left out: at most `most` of them, which is not 0; fewer: there are no more.
 * Each has klen bytes. A key whose value is damaged is among them. Costs a scan of the changes: so
 * a walk takes many at once. */
int layer_keys(struct layer *l, const void *after, void *keys, size_t most, size_t *ret_count);
/* Visit the uncommitted changes, each key once with its last value (deletions have val NULL), the
 * newest batch first. Non-zero from `fn` stops and is returned. */
typedef int layer_visit_fn(const void *key, const void *val, size_t vlen, void *ctx);
int layer_visit_changes(struct layer *l, layer_visit_fn *fn, void *ctx);
