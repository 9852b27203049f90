// SPDX-License-Identifier: Apache-2.0
/*
 * gc_pool: GC cycles of a pool that several stores share (DESIGN 4.8, CONTRACTS section 3), run by
 * one of its nodes. It gives the coordinator (gc.h) these callbacks over the pool's files:
 *
 *     reports   reads the head and the names of every node's newest report. It asks for one node
 *               after the other until there is none. The own report is written for this cycle
 *               (pool_node.h)
 *     list      gives what the pool holds (pool_held.h), which was read once, before the reports
 *     publish   writes the next list of marks if that serial is free. -EEXIST: the cycle of
 *               another node was faster, and this one ends
 *     look      checks that no other node published since, and that no newer report names the
 *               object
 *     remove    notes the object; all noted objects are removed when the cycle is over
 *
 * The pool, and no single coordinator, knows which objects are marked and since when others are
 * unreferenced. The list in force has all of it. A coordinator takes it over when it is not the
 * list that it published last.
 *
 * Why a removal harms no store, however late it comes: pool_index.h has the proof. The proof asks
 * two things of a collector. (1) An acknowledgement counts only for lists up to the one that was in
 * force when the cycle began, and only if the report is of the incarnation that nodes/N names as
 * the running one. A report of another incarnation still keeps what it names, and acknowledges
 * nothing. (2) After all reports are read, that list is still the newest. A publication proves this
 * by its success. The look before the first removal, and before each LOOK_AT_ONCE further ones,
 * asks for it.
 *
 * stale_policy = drop: the next cycle retires a stale node, and does not just leave its report out.
 * The report would still lead other stores to places that may be removed, and the node itself must
 * learn that its bytes may be removed.
 *
 * The lease saves work; two cycles at once are harmless. An error while listing, or while reading
 * the reports the first time, ends a cycle with nothing removed. If a look fails later, or the
 * cycle is cancelled, what was noted before is still removed, since the proof holds for it. Errors
 * are those of gc_cycle; -EBUSY also: another node runs a cycle, or has taken the lease.
 * Threads: any. While a cycle runs no other one begins, and nobody looks at the nodes or retires
 * one (-EBUSY). What begins while another thread does that waits for it. The caller holds no lock.
 */
#pragma once

#include "gc.h"

struct job;
struct state;

#define GC_POOL_WHY 256 /* POOL_NODE_WHY */

/* Runs one cycle of the pool. `j` is the job that shows progress and can cancel it; NULL: none.
 * `grace` in ns replaces the setting; < 0: the setting holds. The caller releases *ret. `why` gets
 * a sentence where an errno would not be enough; else it is "". */
int gc_pool_cycle(struct state *p, struct job *j, bool dry_run, int64_t grace,
                  struct gc_result *ret, char why[GC_POOL_WHY]);
/* Writes indexes for the closed packs of this store that have none, so that cycles of other nodes
 * can collect what is in them. All names of the pool are listed if `all` is set, and by the first
 * call. A later call looks only at packs with higher numbers than those that it saw closed; one
 * that was still open then is left to a call with `all`, or to a cycle of this store. "pool report"
 * is held. */
int gc_pool_index_closed(struct state *p, bool all);
/* Reads the heads of all nodes' reports, so that their ages run on. It waits for no other thread.
 * -EBUSY: a cycle runs, which reads them itself, or another thread looks at the nodes or retires
 * one. */
int gc_pool_observe(struct state *p);

/* Lists the nodes as they are now; while a cycle runs, as that cycle saw them last. The caller
 * frees *ret_v. */
int gc_pool_nodes(struct state *p, struct gc_node_info **ret_v, size_t *ret_count);
/* Declares that a stale node is gone for good: writes its marker, and then indexes its packs, so
 * that they can be collected. What is missed here, because of an error, of *interrupted (may be
 * NULL), or because the store closes, a later cycle indexes; the node is retired all the same.
 * -ENOENT; -EBUSY: the node is not stale, or is this very store, or has reported just now, or a
 * cycle runs; -EINTR; -ESHUTDOWN: the store closes. */
int gc_pool_retire(struct state *p, unsigned node, const _Atomic bool *interrupted);
/* Retires all stale nodes but this one. *ret_retired, also after an error: how many. */
int gc_pool_prune(struct state *p, const _Atomic bool *interrupted, size_t *ret_retired);

/* The i-th last cycle of the pool that ran on this node since the mount; as gc_history_get. */
int gc_pool_history(struct state *p, size_t i, struct gc_record *ret);

/* Sets *ret to the state of the objects with that id in the pool, as of this store's last cycle. If
 * the pool holds the id at several places, it is the state of the place that is needed most. An
 * unknown id has the state GC_NONE. */
void gc_pool_get(struct state *p, const struct id *id, struct gc_object_info *ret);
