// SPDX-License-Identifier: Apache-2.0
/*
 * kv_mem: the in-memory twin of the LMDB store, for tests. What was committed lives in a
 * `struct kv_mem`, which outlives the `struct kv` handles opened on it: closing and opening again
 * is the reboot. A commit asks the shared `struct fault` (fault.h) first, so that "every write
 * cut once" counts commits and disk writes in one sequence.
 */
#pragma once

#include "fault.h"
#include "kv.h"

struct kv_mem;

/* `f` may be NULL (no faults); it must outlive the store. */
int kv_mem_create(struct fault *f, struct kv_mem **ret_mem);
void kv_mem_destroy(struct kv_mem *m);
/* Like kv_open_lmdb. A handle from before a power cut must be closed before the next open. */
int kv_open_mem(struct kv_mem *m, const struct kv_table *tables, unsigned count, unsigned flags,
                struct kv **ret_kv);
/* Flip one bit of a committed value, or of the checksum behind it; -ENOENT when there is no such
 * byte. */
int kv_mem_flip(struct kv_mem *m, unsigned table, const void *key, size_t klen, size_t byte,
                unsigned bit);
/* From now on a walk of that table finds no row, but that the table cannot be read (kv_snap_seek);
 * or it can be read again. -ENOENT when there is no such table. */
int kv_mem_break(struct kv_mem *m, unsigned table, bool broken);
