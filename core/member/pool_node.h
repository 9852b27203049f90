// SPDX-License-Identifier: Apache-2.0
/*
 * pool_node: a store as one node of the pool that it shares with others (DESIGN 4.8). It reports
 * what it needs, learns what is marked, and looks for bytes where other nodes report to have them.
 * A store that is alone has no node (p->node is NULL), and every call here does nothing then.
 *
 * The steps of a report. Each makes sure of what the next one needs:
 *
 *   1. read nodes/N: this opening of the store is still the node, and the node is not retired
 *   2. read the newest list of marks, s, and after it the reports of others
 *   3. install both as the view, with the freeze lock held for writing. So no seal is half done
 *      with an older view, and from now on no seal takes a place that s has marked
 *   4. flush, so that what was taken before is committed
 *   5. read all that the committed tables name (pool_names.h)
 *   6. if s marks something: check that all that the trees name has an entry in these tables
 *      (lost.h)
 *   7. write that as the report, with s as its acknowledgement
 *
 * So a report that acknowledges s and does not name K says that this store does not name K, and
 * cannot come to name it while a list with K in it is in force.
 *
 * A report is written every `report_interval`, within POOL_MARKS_WATCH of a newer list of marks,
 * before a GC cycle, and on command. It is also written at the end of a drain that committed
 * something new or finds a newer list of marks. Where a report takes long and drains follow each
 * other closely, the thread writes that one soon after. If neither a commit nor a newer list of
 * marks has come since the last report, only its head is written anew. A report with something new
 * also indexes the packs that are closed. So cycles of others can collect what a store has put that
 * never runs a cycle itself.
 *
 * If an entry is lost, the report would leave out a place that is needed. So where step 6 finds a
 * lost entry, or cannot decide, there is no new report. The last one stays, with the list that it
 * acknowledged, so that nothing is removed for a newer one. If this incarnation has reported
 * already, it goes on to write the head of that report, so that the store is not taken for stale. A
 * rebuild ends that state; otherwise the check is repeated after POOL_DOUBT_REST.
 *
 * When the pool cannot be read or written the store goes on. It serves what it has cached, and new
 * data waits in the flush. The status says since when, and every report tries again. When step 1
 * finds that another opening is the node, or that the node was retired, the store turns read-only,
 * with an alarm.
 *
 * Threads: any; one report at a time ("pool report", see the lock table), and one cycle.
 */
#pragma once

#include "gc.h"
#include "pool_index.h"
#include "pool_lease.h"

struct state;

#define POOL_NODE_WHY 256
/* After a look at the heads of others, none begins for so many times its duration. */
#define POOL_LOOK_REST 10
/* ns between two looks for a newer list of marks. So a store that has nothing to report delays
 * marks by this at most, or by `report_interval` if that is less. */
#define POOL_MARKS_WATCH (3 * NSEC_PER_SEC)
/* ns until lost entries are looked for again after some were found */
#define POOL_DOUBT_REST (3600 * NSEC_PER_SEC)

struct pool_node_status {
    uint64_t reports, failed; /* reports that were written in this incarnation, and that failed */
    uint64_t serial, ack;     /* of the last report; 0: none yet */
    uint64_t named;           /* keys in that report */
    int64_t reported;         /* realtime ns; 0: none yet */
    int64_t age;              /* ns since that report */
    int error;                /* -errno of the last attempt to report, or 0 */
    int64_t failing; /* ns since the first of the failures in a row; 0: the last attempt was good */
    struct pool_index_stats index;
    /* Cycles of the pool that this store ran in this incarnation: totals. `kept` and `unindexed`
     * are those of the last one. */
    uint64_t cycles, collected, collected_bytes;
    uint64_t kept[GC_KEEP_REASONS], unindexed;
    int cycle_error;         /* -errno of the last attempt at a cycle, or 0 */
    char why[POOL_NODE_WHY]; /* a sentence about it; "": there is none */
};

/* Makes p->node if p->shared is set, and reads nothing of the pool yet. After an error the caller
 * still calls pool_node_close. */
int pool_node_open(struct state *p);
/* Stops the thread, and frees p->node. */
void pool_node_close(struct state *p);
/* Starts the thread that reports, and that watches the other nodes. */
int pool_node_start(struct state *p);
void pool_node_stop(struct state *p);

/* Called at the end of a clean close. It closes the open pack for good, and indexes it. Errors are
 * ignored: the next incarnation does what is missing. */
void pool_node_leave(struct state *p);

/* Writes a report now, on the calling thread, which holds no lock. -ESTALE: the node is not this
 * store's any more, and the store is read-only from now on; -EROFS: the store is read-only already;
 * -EUCLEAN: its tables are damaged, or lack entries. After any error the old report stands. */
int pool_node_report(struct state *p);
/* Called after a rebuild: the next report looks for lost entries again. */
void pool_node_mended(struct state *p);
/* A sentence that says that this store does not report because its own tables may lack something;
 * NULL: it reports. Static text. */
const char *pool_node_doubt(struct state *p);
/* Reports at the end of a drain, if there is something new. Errors appear in the status alone. */
void pool_node_drained(struct state *p);
/* Called before a flush seals: looks for newer reports of others, and updates the view. It takes at
 * most one part in POOL_LOOK_REST of the time, so a view may be older than the newest reports. */
void pool_node_refresh(struct state *p);
/* Do the reports of other nodes name the bytes of this entry, too? False for a store alone. */
bool pool_node_is_shared(struct state *p, const struct entry *e);
/* Counts the other nodes whose reports name it, and lists the first `max` of them. 0 for a store
 * alone. */
size_t pool_node_who(struct state *p, const struct entry *e, unsigned *nodes, size_t max);
/* pause takes "pool report" and resume releases it, on the same thread. Meanwhile no report begins,
 * so none acknowledges a list of marks for names that were read before. */
void pool_node_pause(struct state *p);
void pool_node_resume(struct state *p);
/* May the pool remove the place of this entry? True: the store's last report, which may be one of
 * an earlier incarnation, acknowledges the list that marked the place, and does not name it. True
 * also when that report cannot be read. A place that only a later list marked is not given up.
 * Called between pause and resume. */
bool pool_node_gave_up(struct state *p, const struct entry *e);
/* objects_pool.find: the nth place where the pool has those bytes; `ctx` is the state. -ENOENT:
 * there is none. */
int pool_node_find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret);

void pool_node_get_status(struct state *p, struct pool_node_status *ret);
/* A text that says why this read-only store is not the pool's node any more ("it was retired");
 * NULL: it still is. Static text. */
const char *pool_node_lost(struct state *p);
