// SPDX-License-Identifier: Apache-2.0
/*
 * store_pool: a store's way into its pool, and who may go it. Private to store.c.
 *
 * STORE/pool (pool_home) says which node of which pool the store is. A copy of a store, or one that
 * was restored from a backup, says so too, and must not act as the node: it would name places again
 * that were given away, and report that nothing needs what the other one has. So each opening is a
 * life of its own, with a random token:
 *
 *     1  nodes/N/lock is locked           one process at a time, where the pool's disk can say so
 *     2  nodes/N/node has our token,      else -ESTALE, and nothing is changed
 *        or the one before it,
 *        and is durable                   else a loss of power could bring back one that 3 forgets
 *     3  STORE/pool: the next incarnation, a new token, before it that of 2
 *     4  nodes/N/life.<5 hex> is put      -EEXIST somebody else began this incarnation: -ESTALE
 *     5  nodes/N/node is still as in 2    else -ESTALE; the old claims of 4 may be gone already
 *     6  nodes/N/node: that incarnation and token
 *     7  STORE/pool: the same without the token of 2: this incarnation is entered
 *
 * Cut anywhere, the next opening goes on with one more incarnation. Of two that are the same store
 * one gets through, and from then on only that one. A pool that was restored from a backup has a
 * token of an incarnation before, and is refused, too: it lacks what the store needs. The life
 * tells which of the two it is, for that in nodes/N/node never falls. Only of an opening that was
 * cut before 7 is it not told: the pool as it was before that opening is taken for the right one.
 */
#pragma once

#include "pool_format.h"
#include "store_dir.h"

#define STORE_POOL_FILE "pool"

/* `url`, "dir:PATH": make that pool, or join it, as a new node, and write STORE/pool. *ret_disk is
 * its disk, the caller's; *ret_key that of its ids. `flags`: of store_init; -EPERM. */
int store_pool_join(int dirfd, const char *url, const char *label, unsigned flags,
                    char why[STORE_WHY], struct disk **ret_disk, struct pool_home *ret_home,
                    struct id_key *ret_key);
/* The store was not made after all: its number is nobody's for ever. Best effort. */
void store_pool_leave(struct disk *disk, const struct pool_home *home);

/* s->own is open; flags as of store_dir_open. s->pool and s->disk are set; what is open when it
 * fails store_pool_close closes. */
int store_pool_open(struct store_dir *s, const char *path, unsigned flags, char why[STORE_WHY]);
void store_pool_close(struct store_dir *s);

/* ---- store.c ---- */

unsigned store_disk_flags(unsigned flags); /* those of enum disk_flags */
