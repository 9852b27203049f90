// SPDX-License-Identifier: Apache-2.0
/*
 * pool_dir: the directory of a pool (FORMAT.md, "Pool"), its nodes, and the head of each node's
 * newest report. Lists of marks are in pool_marks.h, the lease in pool_lease.h, reports in
 * pool_report.h, and what the pool holds in pool_held.h. All of these work on the pool's own disk,
 * not on the routed disk of a store.
 *
 *     pool_dir_create(disk, &new_identity, why)      once
 *     pool_dir_identity(disk, &identity, why)        at each open: is it the pool that we know?
 *     pool_dir_join(disk, &who, why)                 once a store: gives it its number
 *     pool_node_read, compare tokens, pool_node_write, pool_node_tidy       at each open
 *
 * Nodes are numbered 1, 2, 3 ... without gaps, and a number is never given again. Nodes are found
 * by asking for the next one until there is none, because no listing is trusted to be complete.
 *
 * A file that replaces another one is written under a name of its own (nodes/N/tmp.*), synced, and
 * renamed or linked into place; then the directory is synced. So a reader sees the old file or the
 * new one, whole, also after a loss of power. To "put" a file means to link it: -EEXIST: somebody
 * else was first.
 *
 * Errors: 0 or -errno. -EUCLEAN: something is damaged, or cannot be so; -EPROTO: a newer version
 * wrote it. After an error nothing was changed, unless a sync failed: then either state may be
 * found. `why`, where there is one, gets a sentence without the pool's path ("its file tally-pool
 * is damaged"). Threads: any.
 */
#pragma once

#include "disk.h"
#include "pool_format.h"

#define POOL_WHY 256

/* ---- the pool ---- */

#define POOL_IDENTITY_FILE "tally-pool"

/* Makes a new id and a new secret, at random. -EIO: there are no random bytes. */
int pool_identity_make(struct pool_identity *ret);
/* Makes an empty directory a pool: first its directories, and when they are durable the identity.
 * Half a pool that an interrupted call left is completed. -EEXIST: it is a pool already (another
 * process may just have made it); -ENOTEMPTY: it has other things in it. */
int pool_dir_create(struct disk *disk, const struct pool_identity *identity, char why[POOL_WHY]);
/* Reads the identity. -ENOENT: it is no pool, but for example an empty mount point. */
int pool_dir_identity(struct disk *disk, struct pool_identity *ret, char why[POOL_WHY]);

/* ---- nodes ---- */

/* Takes the first free number for a node and writes nodes/N/node. The caller has set all of *who
 * but `node`, which is set here. When it returns 0 the file is durable, and so are all lower
 * numbers. -ENOSPC: no number is free. An interrupted call may leave a number without an owner;
 * such a node never reports, and can be retired. */
int pool_dir_join(struct disk *disk, struct pool_who *who, char why[POOL_WHY]);
/* Counts the numbers that were ever given, with those of retired nodes. -EUCLEAN: one is missing
 * although a higher one exists. */
int pool_dir_nodes(struct disk *disk, unsigned *ret_count);
/* Reads nodes/N/node. -ENOENT: there is no such node, or it has no such file any more. */
int pool_node_read(struct disk *disk, unsigned node, struct pool_who *ret);
/* Makes what pool_node_read has read durable: its writer may have died before it did so. */
int pool_node_settle(struct disk *disk, unsigned node);
/* Writes that who->node begins its incarnation who->incarnation. It is durable when this returns
 * 0. */
int pool_node_write(struct disk *disk, const struct pool_who *who);
/* Is the node retired? 1, 0 or -errno. */
int pool_node_is_retired(struct disk *disk, unsigned node);
/* Retires a node for good: makes the marker durable. The caller indexes the packs of the node
 * (pool_held.h) only after this. A node that does not know yet that it is retired cannot report any
 * more once the marker exists. So an index that is made after the marker has every record that any
 * report of the node can name, however late that report is seen. */
int pool_node_retire(struct disk *disk, unsigned node);
/* Removes the head of a retired node, the parts of its report, and its slots, as far as they are
 * there. */
int pool_node_clear(struct disk *disk, unsigned node);
/* Removes what an earlier incarnation left half written in nodes/N. Called at open, before other
 * threads work for this node. */
int pool_node_tidy(struct disk *disk, unsigned node);
/* Reads the head of the node's report. -ENOENT: it has not reported yet, or is retired. */
int pool_head_read(struct disk *disk, unsigned node, struct pool_head *ret);
/* Makes the path "nodes/<4 hex>", followed by "/" and `name` unless that is "". */
void pool_node_path(unsigned node, const char *name, char out[DISK_NAME_MAX + 1]);
