// SPDX-License-Identifier: Apache-2.0
/*
 * gc_pool: GC cycles of a pool that several stores share (DESIGN 4.8, CONTRACTS section 3), as one
 * of its nodes runs them: the coordinator (gc.h) over the pool's files.
 *
 *     reports   the head and the names of every node's newest report, found by asking for the next
 *               node until there is none; our own is written for this cycle (pool_node.h)
 *     list      what the pool holds (pool_held.h), read once, before the reports
 *     publish   the next list of marks, put if absent: -EEXIST somebody else's cycle was faster, and
 *               this one ends
 *     look      are we still alone, and has a newer report come that names it?
 *     remove    put aside; all at once when the cycle is over
 *
 * What is unreferenced since when, and what is marked, is the pool's, not one coordinator's: the
 * list in force has all of it, and is taken over when it is not the one we published last.
 *
 * Why a removal meets nobody, however late it comes: pool_index.h has the proof. What it asks of a
 * collector is done here: (1) an acknowledgement counts only for lists up to the one that was in
 * force when the cycle began, and only if the report is of the incarnation that nodes/N says is
 * running: another one's names keep, but it vouches for nothing; (2) after all reports are read
 * that list is still the newest, which a publication proves by its success, and the look before the
 * first removal (and before each LOOK_AT_ONCE) asks for.
 *
 * stale_policy = drop: here a stale node is retired by the next cycle. Its report would still lead
 * others to places of which nobody may know any more whether they stay; and itself it must learn
 * that its bytes may go.
 *
 * The lease saves work; two cycles at once are harmless. Any error while listing or reading ends a
 * cycle with nothing removed. Errors are those of gc_cycle; -EBUSY also: another node runs them.
 * Threads: any, one at a time (-EBUSY). Holding nothing.
 */
#pragma once

#include "gc.h"

struct job;
struct state;

#define GC_POOL_WHY 256 /* POOL_NODE_WHY */

/* One cycle of the pool. `j` may be NULL; `grace` < 0: as the setting says. *ret is the caller's to
 * release. `why` gets a sentence where an errno would not do; else it is "". */
int gc_pool_cycle(struct state *p, struct job *j, bool dry_run, int64_t grace,
                  struct gc_result *ret, char why[GC_POOL_WHY]);
/* Index the packs of this store that are closed and have no index, so that cycles of others can
 * collect what is in them. */
int gc_pool_index_closed(struct state *p);
/* Look at the heads of all nodes. */
int gc_pool_observe(struct state *p);

/* The nodes, as they are now; free *ret_v. */
int gc_pool_nodes(struct state *p, struct gc_node_info **ret_v, size_t *ret_count);
/* That stale node is gone for good: the marker is written, and then its packs are indexed, so that
 * they can be collected (what is missed then, a later cycle does). -ENOENT; -EBUSY it is not stale,
 * is this very store, or a cycle runs. */
int gc_pool_retire(struct state *p, unsigned node);
int gc_pool_prune(struct state *p, size_t *ret_retired);

/* The i-th last cycle of the pool that ran here since the mount, as gc_history_get. */
int gc_pool_history(struct state *p, size_t i, struct gc_record *ret);

/* The state of the objects with that id that the pool holds, as of this store's last cycle: of the
 * place that is needed most, and by how many nodes. Never -ENOENT: then it is GC_NONE. */
void gc_pool_get(struct state *p, const struct id *id, struct gc_object_info *ret);
