// SPDX-License-Identifier: Apache-2.0
/*
 * pool_names: every place in a pool that the committed tables of a store name, as records of a
 * report, in the order of their keys.
 *
 * It is no single moment: a read transaction that lasted as long as a walk over millions of entries
 * would keep LMDB from using its free pages again. The walk goes on by key in one short transaction
 * after the other, first over all objects, then over all that are dying. That errs towards keeping,
 * and never leaves out a place that may not be left out:
 *
 *  - a place that is named before the walk and after it stands at one number all the while, or is
 *    moved by a commit from an object to the dying (its number lost its entry, or another place took
 *    it over: then under a new number). Nothing moves the other way: what has lost its entry cannot
 *    be revived; and numbers only grow, so what moves on is met later.
 *  - a place that comes to be named meanwhile may be left out. It is not in a list of marks that
 *    this report acknowledges: no seal has taken one of those since before the walk (pool_index.h).
 *  - a place that is no longer named at the end, but was when it was met, stays one report longer.
 *
 * So the caller installs its view, flushes, and then walks (pool_node.h).
 *
 * Errors: 0 or -errno; -EUCLEAN a table is damaged: then there is no report, and so no removal of
 * what this node could name. Memory: 48 bytes for each place. Threads: any.
 */
#pragma once

#include "kv.h"
#include "pool_format.h"

struct pool_names {
    struct pool_record *v; /* ascending; no two of one place */
    size_t count, room;
};

/* Entries looked at, and time spent, in one transaction at most. */
#define POOL_NAMES_STEP 16384
#define POOL_NAMES_NS (100 * NSEC_PER_MSEC)

/* *ret is the caller's to release, also after an error. */
int pool_names_read(struct kv *kv, struct pool_names *ret);
void pool_names_release(struct pool_names *n);
