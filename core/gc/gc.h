// SPDX-License-Identifier: Apache-2.0
/*
 * gc: the coordinator of GC cycles (CONTRACTS section 3, DESIGN 4.8): which objects that a shard
 * holds does no node need any more, and when may their bytes go. Logic alone: it reads no disk and
 * starts no thread; listings, reports and deletions are callbacks, time is the injected clock.
 *
 *     gc_create(clock, last_serial, &gc)
 *     gc_cycle(gc, &config, &sources, &options, &result)     again and again, one at a time
 *
 * The life of an object, as cycles see it:
 *
 *     NONE ──held, named──> ACTIVE / PINNED <──────────── named again ────────────┐
 *       │                       │ not named                                       │
 *       └──held, not named──> UNREFERENCED since T ──T + grace_period──> MARKED ──┤
 *                                   ^                                       │     │
 *                                   └────── a stale node's report names it ─┘     v
 *                                       MARKED by an earlier cycle, acknowledged by every
 *                                       known node, a last look finds it unreferenced: deleted
 *
 * Rules of safety, each with a test and a mutant that breaks it:
 *  - an error while listing or reading reports, a listing out of order, a report that is damaged or
 *    there twice end the cycle with nothing changed; what is not held any more is only forgotten
 *    after a listing that came to its end;
 *  - bytes go only for what an earlier cycle marked, whose mark every known node acknowledged in a
 *    report that this coordinator saw arrive and that does not name the object, and which a last
 *    look finds unreferenced;
 *  - nothing is judged of what is held where nobody can be asked: it is neither marked nor deleted,
 *    nor does it count as not held any more;
 *  - a node that is stale, silent or behind has acknowledged nothing: until it reports again, or is
 *    gone, what it could own stays;
 *  - clocks of others are not looked at: a report's age runs from when its serial was seen to
 *    advance, on the monotonic clock. A serial first seen proves nothing: its node keeps what it
 *    names, but does not count as reporting, and its acknowledgement does not count;
 *  - serials of marks are never used twice, not even that of a publication that failed.
 *
 * Bounded: 32 bytes an object that is held; during a cycle 4 more, 32 more for each that is new, 16
 * more for each that is eligible, 32 for each in the list while that is published; GC_NODES_MAX
 * nodes; GC_HISTORY_MAX cycles of up to GC_HISTORY_IDS keys, and as many whole ids.
 *
 * Errors: 0 or -errno; -ENOMEM and all others leave everything as it was, unless said otherwise.
 * Threads: any; one mutex inside ("gc"), which is not held while a callback runs. A
 * cycle runs in the caller's thread; everything else goes on meanwhile.
 */
#pragma once

#include "clock.h"
#include "id.h"

struct gc;

/* ---- settings ---- */

struct gc_config {
    int64_t grace_period;           /* ns */
    int64_t stale_report_threshold; /* ns; a report of this age is stale */
    unsigned min_nodes_reporting;   /* 0 means 1 */
};
#define GC_CONFIG_INIT                                                                             \
    {                                                                                              \
        .grace_period = 300 * NSEC_PER_SEC, .stale_report_threshold = 600 * NSEC_PER_SEC,          \
        .min_nodes_reporting = 1                                                                   \
    }

/* ---- objects ---- */

/* An unreferenced or marked object as it is saved beyond a cycle, and perhaps beyond the
 * process. */
struct gc_saved {
    struct id id;
    int64_t since; /* ns since the epoch */
    uint32_t mark; /* serial of the list of marks it first was in; 0: not marked */
};

enum gc_state { GC_NONE, GC_ACTIVE, GC_PINNED, GC_UNREFERENCED, GC_MARKED };

struct gc_object_info {
    enum gc_state state;
    int64_t
        since; /* UNREFERENCED, MARKED: ns since the epoch when a cycle first missed it; else 0 */
    unsigned nodes; /* known nodes whose report named it in the last cycle; stops at 65535 */
};

/* `serial` is that of the last list of marks ever published here, by any coordinator; 0: none. */
int gc_create(const struct clock *clock, uint64_t serial, struct gc **ret_gc);
void gc_destroy(struct gc *gc); /* NULL is fine; no call may be running */

/* The state of an object; GC_NONE for an unknown id. */
void gc_get(struct gc *gc, const struct id *id, struct gc_object_info *ret);
/* The first id that is not below `from` and that a cycle has left in the table; -ENOENT: none. */
int gc_next(struct gc *gc, const struct id *from, struct id *ret_id, struct gc_object_info *ret);

/* ---- what a cycle reads ---- */

/* The head of a node's newest report. */
struct gc_report {
    uint64_t node;
    uint64_t serial;   /* rises with each report; 0: registered, nothing reported yet */
    uint64_t ack;      /* serial of the last list of marks that the node has read before it wrote */
    int64_t timestamp; /* ns since the epoch by the node's own clock: shown, never trusted */
    bool own;          /* made for this cycle by this process: fresh without proof */
    bool gone;         /* retired for good, whoever did it: nothing waits for it, it is forgotten */
    /* How many objects the node names as active, and as pinned, that `list` leaves out, since they
     * are needed for certain. They are only counted. */
    uint64_t active, pinned;
};
enum gc_named {
    GC_NAMED_NOT,
    /* The answer is not known now, since the place where the object is held cannot be asked. An
     * object in the table keeps its state: it is neither marked nor deleted, and its grace period
     * goes on. */
    GC_NAMED_UNKNOWN,
    GC_NAMED_ACTIVE,
    GC_NAMED_PINNED
};

struct gc_sources {
    /* All reports there are, of all nodes registered, in any order; valid until the cycle ends. */
    int (*reports)(void *ctx, const struct gc_report **ret_v, size_t *ret_count);
    /* Sets ret[i], an enum gc_named, to what the report says of each of `count` ids (ascending,
     * also from call to call of one cycle). An answer may err towards keeping, so a filter will
     * do. */
    int (*names)(void *ctx, const struct gc_report *r, const struct id *ids, size_t count,
                 uint8_t *ret);
    /* Lists up to `max` ids that are held, in order, beginning after `after` (NULL: with the
     * first). Only a count of 0 says that there are no more. */
    int (*list)(void *ctx, const struct id *after, struct id *out, size_t max, size_t *ret_count);
    /* Counts the objects that reports name and that were not listed, because they are where no
     * cycle looks. Each counts once. Only the reports with counts[i] are asked. May be NULL: there
     * are none. */
    int (*beyond)(void *ctx, const bool *counts, uint64_t *ret_active, uint64_t *ret_pinned);
    /* Makes the whole list of marks known to all nodes under this serial, durably. The list has all
     * marked objects, ascending, each with the serial of the list it first was in. After -EEXIST,
     * or any other error, the cycle ends and nothing was removed. */
    int (*publish)(void *ctx, uint64_t serial, const struct gc_saved *v, size_t count);
    /* The published list also has the unreferenced objects (with mark 0), and is published whenever
     * they changed. Then a successor needs nothing else (gc_take_over). */
    bool with_since;
    /* The last look before a removal. 0: still unreferenced; -EBUSY: somebody needs the object; any
     * other error: it cannot be decided. */
    int (*look)(void *ctx, const struct id *id);
    /* Deletes the bytes of an object, and excludes any thread that would revive it meanwhile.
     * -EBUSY: it was revived; -ENOENT: the bytes are gone already. */
    int (*remove)(void *ctx, const struct id *id);
    /* The whole object id that a key stands for, for people to read. All zeros: the key stands for
     * none, or it is not known. May be NULL: keys are ids. */
    void (*whole)(void *ctx, const struct id *key, struct id *ret);
    /* Called with the number of ids listed so far, from time to time. True ends the cycle with
     * -ECANCELED. May be NULL. */
    bool (*step)(void *ctx, uint64_t listed);
    void *ctx;
};

/* ---- cycles ---- */

struct gc_options {
    bool dry_run; /* the result says what would happen; nothing is changed, published or removed */
};

/* The reason why an object that no report names was not collected in this cycle. */
enum gc_keep {
    GC_KEEP_GRACE,          /* unreferenced, but not for long enough */
    GC_KEEP_STALE,          /* the report of a stale node names it */
    GC_KEEP_NEW_MARK,       /* marked in this very cycle */
    GC_KEEP_UNACKNOWLEDGED, /* some known node has not acknowledged its mark */
    GC_KEEP_IN_USE,         /* the last look found it in use, or pinned meanwhile */
    GC_KEEP_FAILED,         /* the last look or the removal failed: tried again */
    GC_KEEP_UNASKED,        /* where it is held cannot be asked now; marked ones, too */
    GC_KEEP_REASONS
};
extern const char *const gc_keep_names[GC_KEEP_REASONS];

struct gc_result {
    uint64_t cycle;  /* its number, from 1; dry runs have that of the next */
    uint64_t serial; /* of the list of marks that is in force now */
    bool below_minimum;
    uint64_t reporting;            /* nodes with a report that is neither stale nor unproven */
    /* Objects: held = active + pinned + collected + all of kept. */
    uint64_t held, active, pinned;
    uint64_t marked;               /* in this cycle */
    uint64_t collected;            /* after a dry run: how many would be */
    uint64_t kept[GC_KEEP_REASONS];
    struct id *eligible; /* all that are marked now, collected ones included; ascending */
    size_t eligible_count;
    struct id *whole; /* the first GC_HISTORY_IDS of them, by gc_sources.whole; NULL without that */
    uint64_t *stale; /* node ids, ascending */
    size_t stale_count;
};

/* Runs one cycle. With fewer than min_nodes_reporting nodes reporting nothing is judged: it returns
 * 0, and all counts are 0. -EBUSY: another cycle is running. -EUCLEAN: a listing or a report is not
 * in order. -ECANCELED: gc_sources.step ended it. Other errors are those of a source. The caller
 * releases *ret, also after a failure, where it is empty. One exception: a cycle that is cancelled
 * during the removals returns -ECANCELED and has a full *ret, since all before was done. */
int gc_cycle(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources,
             const struct gc_options *options, struct gc_result *ret);
void gc_result_release(struct gc_result *r);
/* Only reads the reports (it calls no source but `reports`). So the ages of reports run on, and the
 * advance of serials is seen, between cycles, too. Errors as for gc_cycle. */
int gc_observe(struct gc *gc, const struct gc_config *config, const struct gc_sources *sources);

/* ---- history: cycles with something eligible ---- */

#define GC_HISTORY_MAX 64
#define GC_HISTORY_IDS 1024

struct gc_record {
    uint64_t cycle;
    int64_t time;       /* ns since the epoch */
    uint64_t eligible;  /* ids */
    uint64_t collected; /* of these, and of earlier ones */
    uint64_t preserved; /* active and pinned */
    uint64_t nodes;     /* reporting */
    size_t id_count;    /* of `ids`: the first of the eligible */
    struct id *ids;
    struct id *whole; /* behind `ids`, of each of them as gc_sources.whole says; NULL: unknown */
};
/* The i-th last, from 0, copied: free ret->ids. -ENOENT, -ENOMEM. */
int gc_history_get(struct gc *gc, size_t i, struct gc_record *ret);

/* ---- what outlives the process ---- */

/* What is unreferenced or marked, ascending: *ret_v is the caller's to free. -EBUSY a cycle runs.
 */
int gc_save(struct gc *gc, struct gc_saved **ret_v, size_t *ret_count);
uint64_t gc_serial(struct gc *gc);
uint64_t gc_cycles(struct gc *gc);
/* Called before anything else: the coordinator is as it was after `cycles` cycles. A time in the
 * future is taken for now. -EUCLEAN: `v` is not ascending, or has a mark above the serial. */
int gc_restore(struct gc *gc, uint64_t cycles, const struct gc_saved *v, size_t count);
/* Call it when the list of marks in force is that of another coordinator, or was read again after a
 * publication whose outcome is unknown. From now on `serial` and the objects of that list count, as
 * after gc_restore. What is known of the nodes, the history and the number of cycles stay. So a
 * coordinator that did not run for a while goes on where the last one stopped. -EBUSY: a cycle is
 * running; -EUCLEAN as for gc_restore. */
int gc_take_over(struct gc *gc, uint64_t serial, const struct gc_saved *v, size_t count);
/* Adds one record to the history; the caller begins with the oldest. The record is copied. */
int gc_restore_record(struct gc *gc, const struct gc_record *r);

/* ---- nodes ---- */

#define GC_NODES_MAX 1024 /* known ones; more: cycles end with -E2BIG */

struct gc_node_info {
    uint64_t node, serial, ack;
    int64_t timestamp; /* by its own clock */
    int64_t age;       /* ns since its serial was seen to advance, or seen at all */
    bool stale;
    bool proven; /* its serial was seen to advance */
    bool own;
};
/* Known nodes, ascending: *ret_v is the caller's to free. As of the last cycle. */
int gc_node_list(struct gc *gc, const struct gc_config *config, struct gc_node_info **ret_v,
                 size_t *ret_count);
