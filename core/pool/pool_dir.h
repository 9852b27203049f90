// SPDX-License-Identifier: Apache-2.0
/*
 * pool_dir: the directory of a pool (FORMAT.md, "Pool") and its nodes: who there is, and the head
 * of each one's newest report. Lists of marks: pool_marks.h; who runs cycles: pool_lease.h;
 * reports: pool_report.h; what there is of objects: pool_held.h. All work on the pool's own disk,
 * not on the store's routed one.
 *
 *     pool_dir_create(disk, &new_identity, why)      once
 *     pool_dir_identity(disk, &identity, why)        at each open: is it the pool that we know?
 *     pool_dir_join(disk, &who, why)                 once a store: gives it its number
 *     pool_node_read, compare tokens, pool_node_write, pool_node_tidy       at each open
 *
 * Nodes are numbered 1, 2, 3 ... without gaps, for ever, and are found by asking for the next one
 * until there is none, for no listing is trusted to be complete.
 *
 * Whatever replaces a file is written under a name of its own (nodes/N/tmp.*), synced, renamed or
 * linked into place, and the directory synced: a reader sees the old or the new one, whole, and so
 * does everybody after a loss of power. What is called "put" is linked: -EEXIST somebody was first.
 *
 * Errors: 0 or -errno. -EUCLEAN damaged, or what cannot be; -EPROTO written by a newer version.
 * Nothing was changed then, unless it is a failed sync: then either state may be found. `why`,
 * where there is one, gets a sentence without the pool's path in it ("its file tally-pool is
 * damaged"). Threads: any.
 */
#pragma once

#include "disk.h"
#include "pool_format.h"

#define POOL_WHY 256

/* ---- the pool ---- */

#define POOL_IDENTITY_FILE "tally-pool"

/* A new id and a new secret, at random. */
int pool_identity_make(struct pool_identity *ret);
/* Make an empty directory a pool: its directories first, durably, then the identity, durably. Half
 * a pool that was left by an interrupted one is taken over. -EEXIST it is one already (somebody
 * else's may have become one just now), -ENOTEMPTY it has other things in it. */
int pool_dir_create(struct disk *disk, const struct pool_identity *identity, char why[POOL_WHY]);
/* -ENOENT it is no pool: an empty mount point, say. Only reads. */
int pool_dir_identity(struct disk *disk, struct pool_identity *ret, char why[POOL_WHY]);

/* ---- nodes ---- */

/* Take the first number that is free: who->node is set, the rest is the caller's and stands in
 * nodes/N/node, durably, with all numbers below it, when this returns 0. -ENOSPC none is free. A
 * cut in between may leave a node that nobody is: it never reports, and can be retired. */
int pool_dir_join(struct disk *disk, struct pool_who *who, char why[POOL_WHY]);
/* How many numbers were ever given out, retired nodes among them. -EUCLEAN one is missing although
 * higher ones are there. */
int pool_dir_nodes(struct disk *disk, unsigned *ret_count);
/* -ENOENT there is none. */
int pool_node_read(struct disk *disk, unsigned node, struct pool_who *ret);
/* What pool_node_read says is durable from now on: whoever wrote it may have died before it was. */
int pool_node_settle(struct disk *disk, unsigned node);
/* who->node begins its incarnation who->life: durable when this returns 0. */
int pool_node_write(struct disk *disk, const struct pool_who *who);
/* 1, 0 or -errno. */
int pool_node_is_retired(struct disk *disk, unsigned node);
/* It is gone for good: the marker, durably, and only then its head, its report's records and its
 * slots go. Done again it finishes what was interrupted. Index its packs (pool_held.h) only after:
 * a node that does not know yet reports no more once the marker is there, so an index made after it
 * has every record that a report of it, however late it is seen, can name. */
int pool_node_retire(struct disk *disk, unsigned node);
/* Remove what an incarnation before left half written in nodes/N. Call at open, when no other
 * thread works for this node yet. */
int pool_node_tidy(struct disk *disk, unsigned node);
/* -ENOENT it has not reported yet (or is retired). */
int pool_head_read(struct disk *disk, unsigned node, struct pool_head *ret);
/* "nodes/<4 hex>" and, unless it is "", "/" and that name. */
void pool_node_path(unsigned node, const char *name, char out[DISK_NAME_MAX + 1]);
