// SPDX-License-Identifier: Apache-2.0
/* gc_store: GC cycles of an open store (gc_store.c). */
#pragma once

#include "gc.h"
#include "job.h"
#include "state.h"

/* What earlier cycles knew is read. Damage there is reported, and only keeps cycles from
 * running. */
int gc_store_open(struct state *p);
/* One cycle, in a pool one of the store's own leaks and then one of the pool's; `j` may be NULL.
 * `grace` < 0: as the setting says. *ret is the caller's to release: in a pool the sums of both,
 * with the number, the nodes and the eligible ones of the pool's, unless that failed before it
 * began. Holding nothing. -EUCLEAN what earlier ones knew is damaged, or a table of the store is;
 * -EBUSY another one runs; -EROFS; -ECANCELED. The lines of the job say what a dry run would
 * collect. */
int gc_store_run(struct state *p, struct job *j, bool dry_run, int64_t grace,
                 struct gc_result *ret);
/* The nodes, this store's own among them, also before the first cycle; free *ret_v. */
int gc_store_nodes(struct state *p, struct gc_node_info **ret_v, size_t *ret_count);
/* As gc_node_retire and gc_node_prune; in a pool of its nodes (gc_pool.h). */
int gc_store_retire(struct state *p, uint64_t node);
int gc_store_prune(struct state *p, size_t *ret_retired);
/* What is known of an object that the table of objects does not have: left behind in files of its
 * id, or, in a pool, what gc_pool_get says. Never -ENOENT: then it is GC_NONE. */
void gc_store_get(struct state *p, const struct id *id, struct gc_object_info *ret);
/* The i-th last cycle of the store alone, as gc_history_get. */
int gc_store_history(struct state *p, size_t i, struct gc_record *ret);

struct gc_store_stats {
    uint64_t cycles;              /* of the store alone, those before the start among them */
    uint64_t leaks, leaked_bytes; /* as the last cycle left them, or a dry run saw them */
    uint64_t collected;           /* by all cycles since the start */
    uint64_t shards_unreachable;  /* the last cycle: shards that it could not look through, */
    uint64_t foreign;             /* and names there that are not the store's */
};
/* Takes the lock "gc". Any thread; the numbers may be of different moments. */
void gc_store_get_stats(struct state *p, struct gc_store_stats *ret);
/* Why no cycle runs: what earlier ones found cannot be read. 0: all is well. No locks, any thread.
 * */
int gc_store_damage(struct state *p);
