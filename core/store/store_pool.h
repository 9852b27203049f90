// SPDX-License-Identifier: Apache-2.0
/*
 * store_pool: connects a store with its pool, and decides whether it may be a node there. Private
 * to store_dir.c.
 *
 * STORE/pool (pool_home) says which node of which pool the store is. A copy of a store, or one that
 * was restored from a backup, has the same file and must not act as the node. It would give away
 * places that are given away already, and report that nothing needs what the other one has. So each
 * opening for writing is an incarnation of its own, with a random token:
 *
 *     1  lock nodes/N/lock                one process at a time; not of a pool on a shard, which
 *                                         knows no locks: there the other steps alone decide
 *     2  nodes/N/node has our token, or   else -ESTALE, and nothing is changed
 *        the one before it,
 *        and sync it                      else a loss of power could bring back a token that
 *                                         step 3 forgets
 *     3  write STORE/pool: the next incarnation, a new token, and the token of step 2 before it
 *     4  put nodes/N/life.<5 hex>         -EEXIST: somebody else began this incarnation: -ESTALE
 *     5  nodes/N/node is as in step 2     else -ESTALE: the claims of step 4 may be removed already
 *     6  write nodes/N/node: that incarnation and token
 *     7  write STORE/pool: the same without the token of step 2: this incarnation is entered
 *
 * Interrupted anywhere, the next opening goes on with one more incarnation. Of two copies of one
 * store one gets through, and from then on only that one. A pool that was restored from a backup
 * has the token of an earlier incarnation. It is refused, too, since it lacks what the store needs.
 * The incarnation tells the two cases apart, because that in nodes/N/node never falls. One case is
 * not detected: after an opening that was interrupted before step 7, the pool as it was before that
 * opening is taken for the right one.
 */
#pragma once

#include "pool_format.h"
#include "store_dir.h"

#define STORE_POOL_FILE "pool"

#define STORE_POOL_DIRECTORY "dir:"
/* Does that URL name a shard, and no directory? Then the store and its pool have the feature that
 * store_pool_features adds. */
bool store_pool_is_shard(const char *url);
void store_pool_features(struct features *f);

/* Joins the pool `url`, "dir:PATH" or the URL of a shard, as a new node, and writes STORE/pool. It
 * makes the pool if there is nothing yet. `own` is the store's own disk. *ret_disk is the disk of
 * the pool, which the caller closes; *ret_key is the pool's key of ids. `flags` as for store_init.
 * -EINVAL: a bad URL, or one inside of the other; -EPERM, -EUCLEAN as for store_own_check;
 * -EHOSTUNREACH: the shard cannot be asked now; -EPROTO: a newer version made the pool, or it is of
 * the other kind. */
int store_pool_join(int dirfd, struct disk *own, const char *url, const char *label, unsigned flags,
                    char why[STORE_WHY], struct disk **ret_disk, struct pool_home *ret_home,
                    struct id_key *ret_key);
/* Retires the node, after the store was not made after all. Its number is never given again. Errors
 * are ignored. */
void store_pool_leave(struct disk *disk, const struct pool_home *home);

/* Opens the pool of a store, whose s->own is open. Sets s->pool and s->disk. `flags` as for
 * store_dir_open. After an error store_pool_close closes what is open. */
int store_pool_open(struct store_dir *s, const char *path, unsigned flags, char why[STORE_WHY]);
void store_pool_close(struct store_dir *s);

/* ---- store_dir.c ---- */

/* the flags of enum disk_flags for those of enum store_flags */
unsigned store_disk_flags(unsigned flags);
