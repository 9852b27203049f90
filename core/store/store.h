// SPDX-License-Identifier: Apache-2.0
/*
 * store: one store, opened: its namespaces, contents, refcounts and flush, over a disk and a kv.
 *
 *     store_format(disk, kv, ...)              once
 *     store_open(&config, &p)
 *     vfs_*(p, ...), control_*(p, ...)          any thread
 *     store_close(p)                            flushes; afterwards everything is on disk
 *
 * store_dir.h opens a directory of the machine; tests pass the in-memory disk and kv instead.
 */
#pragma once

#include "state_config.h"

/* Write the first records into an empty disk and kv: identity, keys, namespace "main" owned by
 * uid/gid. A node of a pool takes the pool's `key` of ids, and its `disk` is the route. NULL: a key
 * of its own. -EEXIST there is a store already. */
int store_format(struct disk *disk, struct kv *kv, const struct clock *clock, const char *label,
                 uint32_t uid, uint32_t gid, const struct id_key *key);
/* -ENOENT no store here, -EUCLEAN damaged, -EPROTO written by a newer version, -EXDEV the pool is
 * not the one it was made with. Finishes what a crash left half done (dying objects, orphans,
 * slots) before it returns. */
int store_open(const struct state_config *config, struct state **ret_p);
/* Flush everything, stop the threads, free. A shard that never answers does not hold it up: see
 * shard_is_silent. The error says that the last flush failed (what was
 * not flushed is lost with the process). NULL is fine. */
int store_close(struct state *p);
/* The same; on failure `why` (may be NULL) says what was not flushed. */
int store_close_told(struct state *p, struct strbuf *why);
/* Free without flushing: the death of the process, for tests. */
void store_abandon(struct state *p);
