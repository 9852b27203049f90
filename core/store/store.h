// SPDX-License-Identifier: Apache-2.0
/*
 * store: one open store: its namespaces, contents, refcounts and flush, over a disk and a kv.
 *
 *     store_format(disk, kv, ...)              once
 *     store_open(&config, &p)
 *     vfs_*(p, ...), control_*(p, ...)          any thread
 *     store_close(p)                            flushes; afterwards everything is on disk
 *
 * store_dir.h opens a directory of the machine; tests pass the disk and the kv in memory instead.
 * Threads: one thread opens and closes a store, when no other call uses it.
 */
#pragma once

#include "state_config.h"

struct strbuf;

/* Writes the first records into an empty disk and kv: the identity, the keys, and the namespace
 * "main", owned by uid/gid. `label` is "" or ORG/PROJECT. For a node of a pool `key` is the pool's
 * key of ids, and `disk` is the route over both disks; NULL: the store gets a key of its own.
 * -EEXIST: there is a store already; -ENAMETOOLONG, -EIO. */
int store_format(struct disk *disk, struct kv *kv, const struct clock *clock, const char *label,
                 uint32_t uid, uint32_t gid, const struct id_key *key);
/* Opens a store. Before it returns it finishes what a crash left half done (the log, dying objects,
 * orphans, slots). The caller owns *ret_p, and closes it with store_close. `config` is copied; its
 * disk, kv and clock must outlive the store. -ENOENT: there is no store; -EUCLEAN: it is damaged;
 * -EPROTO: a newer version wrote it; -EXDEV: the pool is not the one that it was made with. After
 * an error nothing is open. */
int store_open(const struct state_config *config, struct state **ret_p);
/* Stops the threads, flushes everything, and frees the store, also after an error. The error says
 * that the last flush failed, or that the log could not be removed after it. Then the log stays,
 * and the next start replays what it has and no commit has. A shard that does not answer delays
 * this for a short time only (shard_is_silent). NULL is fine. */
int store_close(struct state *p);
/* The same; after a failure `why` (may be NULL) gets a sentence that says which of the two it is,
 * what failed, and why. */
int store_close_told(struct state *p, struct strbuf *why);
/* Frees the store without flushing, as if the process died. For tests. */
void store_abandon(struct state *p);
