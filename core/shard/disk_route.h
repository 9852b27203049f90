// SPDX-License-Identifier: Apache-2.0
/*
 * disk_route: the disk of a store that keeps its sealed bytes in a pool: two disks that look like
 * one.
 *
 *     objects/…  packs/…   of the pool, under the same names
 *     slots/…              of the pool: nodes/<4 hex>/slots/…, so that a slot can be linked to the
 *                          name of an object
 *     all else             the store's own
 *
 * Bytes in a pool may be what another store needs, and only a cycle of the pool knows: of what is
 * in objects/ and packs/ nothing is deleted, punched or changed here. To unlink such a name
 * succeeds, and lets go of it: it is still there. A file of theirs that is there already cannot be
 * opened for writing (-EROFS), and to punch one that was made here does nothing. Their directories
 * list nothing: what others put there is none of a store's leaks.
 *
 * disk_space says of the two what the fuller one does; disk_incarnation changes with either;
 * disk_sync_dir of the root syncs both, and the directory of the node.
 */
#pragma once

#include "disk.h"

/* Both are borrowed; `node` from 1. Read-only where one of them is. */
int disk_route_open(struct disk *own, struct disk *pool, uint32_t node, struct disk **ret_disk);
