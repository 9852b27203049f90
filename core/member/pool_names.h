// SPDX-License-Identifier: Apache-2.0
/*
 * pool_names: every place in a pool that the committed tables of a store name. The places are
 * records of a report, in the order of their keys.
 *
 * They do not stand for one moment: a read transaction that lasted as long as a walk over millions
 * of entries would keep LMDB from reusing its free pages. The walk goes on by key, in one short
 * transaction after the other, first over all objects, then over all that are dying. That errs
 * towards keeping, and never leaves out a place that must be in the report:
 *
 * - A place that is named before the walk and after it stands at one number all the while, or a
 *    commit moves it from an object to the dying. (Its number lost its entry; or another place took
 *    over the number, and then the old place is dying under a new number.) Nothing moves the other
 *    way: what has lost its entry cannot be revived. Numbers only grow, so a place that moves on is
 *    met later.
 * - A place that comes to be named meanwhile may be left out. It is not in a list of marks that
 *    this report acknowledges: no seal has taken a place of those since before the walk
 *    (pool_index.h).
 * - A place that is no longer named at the end, but was when it was met, stays one report longer.
 *
 * So the caller installs its view, flushes, and then walks (pool_node.h).
 *
 * Errors: 0 or -errno; -EUCLEAN: a table is damaged. Then no report is written, so nothing that
 * this node could name is removed. Memory: 48 bytes for each place. Threads: any.
 */
#pragma once

#include "kv.h"
#include "pool_format.h"

struct pool_names {
    struct pool_record *v; /* ascending by key; each place once */
    size_t count, room;
};

/* The limits of one transaction: entries, and ns. Whichever comes first ends it. */
#define POOL_NAMES_STEP 16384
#define POOL_NAMES_NS (100 * NSEC_PER_MSEC)

/* Reads all places. The caller releases *ret, also after an error. */
int pool_names_read(struct kv *kv, struct pool_names *ret);
void pool_names_release(struct pool_names *n);
