// SPDX-License-Identifier: Apache-2.0
/*
 * disk_route: the disk of a store that keeps its sealed bytes in a pool: two disks that look like
 * one.
 *
 *     objects/…  packs/…   of the pool, under the same names
 *     slots/…              of the pool: nodes/<4 hex>/slots/…, so that a slot can be linked to the
 *                          name of an object
 *     everything else      of the store itself
 *
 * If the pool's disk keeps whole files alone (disk_put.h), slots, whose bytes change, are of the
 * store itself. To link a slot to the name of an object is then to put its bytes there, which takes
 * as long as its bytes take, and the slot keeps its own.
 *
 * Another store may need bytes that are in the pool; only a cycle of the pool knows. So nothing in
 * objects/ and packs/ is deleted, punched or changed through this disk. Unlinking such a name
 * succeeds, but leaves the file there. A file of these directories that exists already cannot be
 * opened for writing (-EROFS). A file that was not put yet into a pool of whole files is given up
 * by an unlink. Punching a file that was made here does nothing. Listing these directories gives no
 * names, so that files of other stores are not taken for leaks of this one.
 *
 * disk_space returns the space of the fuller disk, or of the store's own where no limit of the pool
 * is known. disk_incarnation changes when that of either
 * disk changes. disk_sync_dir of the root syncs both roots and the directory of the node.
 */
#pragma once

#include "disk.h"

/* Makes the disk of node `node` (from 1). Both disks are borrowed. It is read-only if one of them
 * is. */
int disk_route_open(struct disk *own, struct disk *pool, uint32_t node, struct disk **ret_disk);
