// SPDX-License-Identifier: Apache-2.0
/* gc_store: GC cycles of an open store (gc_store.c). */
#pragma once

#include "gc.h"
#include "job.h"
#include "state.h"

/* Reads what earlier cycles remembered. Damage there is reported, and no cycle runs then; it is no
 * error of this call. Without it: -ENOMEM. */
int gc_store_open(struct state *p);
/* Runs one cycle. In a pool it is one for the store's own leaks, and then one for the pool. `j` may
 * be NULL. `grace` in ns replaces the setting; < 0: the setting holds. The caller releases *ret. In
 * a pool it has the sums of both cycles, with the number, the nodes and the eligible objects of the
 * pool's cycle, unless that one failed before it began. -EUCLEAN: what earlier cycles remembered is
 * damaged, or a table of the store is; -EBUSY: another cycle runs; -EROFS; -ECANCELED. The lines of
 * the job list what a dry run would collect. The caller holds no lock. */
int gc_store_run(struct state *p, struct job *j, bool dry_run, int64_t grace,
                 struct gc_result *ret);
/* Lists the nodes. This store's own is among them, also before the first cycle. The caller frees
 * *ret_v. */
int gc_store_nodes(struct state *p, struct gc_node_info **ret_v, size_t *ret_count);
/* As gc_pool_retire and gc_pool_prune. A store that is alone is never stale (-EBUSY), and there is
 * no other node (-ENOENT). */
int gc_store_retire(struct state *p, uint64_t node, const _Atomic bool *interrupted);
int gc_store_prune(struct state *p, const _Atomic bool *interrupted, size_t *ret_retired);
/* Sets *ret to what is known of an object that the table of objects does not have: it was left
 * behind in files of its id, or, in a pool, see gc_pool_get. An unknown id has the state
 * GC_NONE. */
void gc_store_get(struct state *p, const struct id *id, struct gc_object_info *ret);
/* The i-th last cycle of the store alone, as gc_history_get. */
int gc_store_history(struct state *p, size_t i, struct gc_record *ret);

struct gc_store_stats {
    uint64_t cycles;              /* cycles of the store alone, with those before the start */
    uint64_t leaks, leaked_bytes; /* after the last cycle, or as a dry run found them */
    uint64_t collected;           /* removed by all cycles since the start */
    uint64_t shards_unreachable;  /* shards that the last cycle could not search */
    uint64_t foreign;             /* names on shards that do not belong to the store */
};
/* Takes the lock "gc". Threads: any. The numbers may be of different moments. */
void gc_store_get_stats(struct state *p, struct gc_store_stats *ret);
/* -errno: no cycle runs, because what earlier cycles remembered cannot be read; 0: it can. Takes no
 * lock. Threads: any. */
int gc_store_damage(struct state *p);
