// SPDX-License-Identifier: Apache-2.0
/*
 * pool_node: a store's part in the pool it shares with others (DESIGN 4.8): it reports what it
 * needs, learns what is marked, and looks for bytes where others say to have them. A store alone
 * has none (p->node is NULL), and every call here is nothing to it.
 *
 * A report, in this order; each step is what makes the next one true:
 *
 *   1. nodes/N says that this opening of the store is the node still, and it is not retired
 *   2. the newest list of marks s is read, and reports of others after it
 *   3. with the freeze lock held for writing that becomes the view: no seal is half done on an
 *      older one, and from now on none takes a place that s has marked
 *   4. a flush: what was taken before is committed
 *   5. all that the committed tables name is read (pool_names.h)
 *   6. if s marks something: all that the trees name has an entry in these tables (lost.h)
 *   7. that is written as the report, with s as its acknowledgement
 *
 * So a report that acknowledges s and does not name K says that this store does not name K, and
 * cannot come to while a list with K in it is in force. It comes every `report_interval`, within
 * POOL_MARKS_WATCH of a newer list of marks, at the end of a drain that brought something new or
 * finds a newer list (or soon after, where a report takes long and drains follow each other
 * closely), before a GC cycle, and on command. Where no commit has come since the last one, and no
 * newer list, only its head is written anew. With one that says something new, packs that are
 * closed get their indexes, so that what a store put that never runs a cycle itself can be
 * collected, too.
 *
 * An entry that is lost would be a place that the report leaves out, and somebody needs. So where 6
 * finds that one is, or cannot tell, there is no new report: the last one stays, with the list that
 * it acknowledged, so that nothing is removed for a newer one. In an incarnation that has reported
 * its head alone goes on, lest the store be taken for stale. That ends with a rebuild, or is looked
 * at again after POOL_DOUBT_REST.
 *
 * When the pool cannot be read or written the store goes on: what it has cached it serves, what is
 * new waits in the flush; status says since when, and it is tried again. When step 1 fails somebody
 * else is the node, or it is nobody's any more: the store turns read-only, with an alarm.
 *
 * Threads: any; one report at a time ("pool report", see the lock table), and one cycle.
 */
#pragma once

#include "gc.h"
#include "pool_index.h"
#include "pool_lease.h"

struct state;

#define POOL_NODE_WHY 256
/* After a look at others' heads none is begun for so many times its duration. */
#define POOL_LOOK_REST 10
/* So long, or `report_interval` if that is less, marks wait for the acknowledgement of a store that
 * has nothing to say. */
#define POOL_MARKS_WATCH (3 * NSEC_PER_SEC)
#define POOL_DOUBT_REST (3600 * NSEC_PER_SEC)

struct pool_node_status {
    uint64_t reports, failed; /* written in this incarnation, and not */
    uint64_t serial, ack;     /* of the last one; 0: none yet */
    uint64_t named;           /* keys in it */
    int64_t reported;         /* realtime ns; 0: none yet */
    int64_t age;              /* ns since then */
    int error;                /* of the last attempt */
    int64_t failing;          /* ns since the first of the failures in a row; 0 */
    struct pool_index_stats index;
    /* Pool cycles of this store, in this incarnation; counts of the last one. */
    uint64_t cycles, collected, collected_bytes;
    uint64_t kept[GC_KEEP_REASONS], unindexed;
    int cycle_error;         /* of the last attempt */
    char why[POOL_NODE_WHY]; /* a sentence about it; "" where there is none */
};

/* p->shared is set: makes p->node. Reads nothing of the pool yet. */
int pool_node_open(struct state *p);
/* Ends the thread and frees all of it. */
void pool_node_close(struct state *p);
/* Reports by itself from now on, and watches the others'. */
int pool_node_start(struct state *p);
void pool_node_stop(struct state *p);

/* At the end of a clean close: the pack that was open is closed for ever, and gets its index.
 * Errors leave that to the next incarnation. */
void pool_node_leave(struct state *p);

/* One report, now. Holding nothing. -ESTALE it is not this store's place any more: read-only from
 * now on; -EROFS likewise before; -EUCLEAN its tables are damaged, or lack entries; any other
 * error: nothing was said, the old report stands. */
int pool_node_report(struct state *p);
/* A rebuild has put back what it could: the next report asks again whether entries are lost. */
void pool_node_mended(struct state *p);
/* A sentence: it does not report since its own tables may lack something; or NULL. */
const char *pool_node_doubt(struct state *p);
/* The same at the end of a drain, if there is something to say. Errors are for status alone. */
void pool_node_drained(struct state *p);
/* Before a flush seals: are there newer reports of others? For at most a POOL_LOOK_REST-th of the
 * time: what they had said before the last look is always known. */
void pool_node_refresh(struct state *p);
/* Do others, by their reports, need the bytes of this entry as well? False of a store alone. */
bool pool_node_is_shared(struct state *p, const struct entry *e);
/* How many other nodes say that they need it as well, and the first `max` of them. 0 of a store
 * alone. */
size_t pool_node_who(struct state *p, const struct entry *e, unsigned *nodes, size_t max);
/* Between the two no report begins, so none acknowledges a list for names that were read before.
 * "pool report" is held meanwhile. */
void pool_node_pause(struct state *p);
void pool_node_resume(struct state *p);
/* Paused. Is it about to go: does a list that this store acknowledged mark it, and its last report
 * not name it? */
bool pool_node_gave_up(struct state *p, const struct entry *e);
/* objects_pool.find; `ctx` is the state. */
int pool_node_find(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret);

void pool_node_get_status(struct state *p, struct pool_node_status *ret);
/* Why this store, read-only by now, is not the pool's node any more ("it was retired"); or NULL. */
const char *pool_node_lost(struct state *p);
