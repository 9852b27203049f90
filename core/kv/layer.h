// SPDX-License-Identifier: Apache-2.0
/*
 * layer: one kv table with the changes that are not committed yet in front of it.
 *
 *     get ->  [ active changes ] -> [ frozen changes ] -> kv table
 *               put, del write here     being committed
 *
 * Changes are absolute values or deletions, never differences, so a reader that misses a layer
 * just as it is retired finds the same value in the one below. A flush calls `layer_freeze` (the
 * active changes become the frozen ones; O(1)), `layer_write` into a transaction, and after the
 * commit `layer_thaw`. If the commit fails the frozen changes stay and are simply written again by
 * the next one; `layer_freeze` is then refused with -EBUSY until they are through. Every freeze
 * needs its thaw, also when nothing was pending.
 *
 * Keys have one fixed length per layer (1–16 bytes), values 0–LAYER_VALUE_MAX bytes.
 * Errors: 0 or -errno: -ENOENT, -ENOMEM (nothing changed), -ERANGE, and what kv_get returns.
 * Threads: NOT locked here. The owner guards all calls on one layer with one lock of its own,
 * except layer_write, which only reads the frozen layer and may run beside the others.
 */
#pragma once

#include "kv.h"

#define LAYER_VALUE_MAX 88

struct layer;

int layer_create(struct kv *kv, unsigned table, size_t klen, struct layer **ret_layer);
void layer_destroy(struct layer *l); /* NULL is fine; uncommitted changes are dropped */

int layer_get(struct layer *l, const void *key, void *buf, size_t cap, size_t *ret_len);
int layer_put(struct layer *l, const void *key, const void *val, size_t vlen);
int layer_del(struct layer *l, const void *key); /* absent is fine */

int layer_freeze(struct layer *l);
int layer_write(struct layer *l, struct kv_txn *t);
void layer_thaw(struct layer *l);

/* Uncommitted changes: active plus frozen. */
size_t layer_pending(const struct layer *l);

/* Smallest key > `key` (klen bytes; NULL: from the start) over all three layers, deletions left
 * out. Costs a scan of the changes: for listings and tests, not for hot paths. */
int layer_next(struct layer *l, const void *key, void *ret_key, void *buf, size_t cap,
               size_t *ret_len);
/* Visit the frozen changes (deletions have val NULL). Non-zero from `fn` stops and is returned. */
typedef int layer_visit_fn(const void *key, const void *val, size_t vlen, void *ctx);
int layer_visit_frozen(struct layer *l, layer_visit_fn *fn, void *ctx);
/* Visit the active changes and then the frozen ones not overridden by an active one. */
int layer_visit_changes(struct layer *l, layer_visit_fn *fn, void *ctx);
