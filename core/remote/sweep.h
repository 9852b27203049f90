// SPDX-License-Identifier: Apache-2.0
/*
 * sweep: anti-entropy: each ghost's shard is asked whether it really has the bytes (CONTRACTS
 * section 2; objects_ask). Verdicts:
 *
 *   count 0                        purged, without asking (release.c does it; a sweep only wakes it)
 *   the shard has it               kept
 *   it cannot be asked             inconclusive: kept, asked again by the next
 *   it says no, and the ghost is younger than grace_period, or it is none any more
 *                                  inconclusive; where it has moved to is asked at once
 *   it says no, and a recount finds nobody who refers to it
 *                                  purged: its count, which was too high, is put right
 *   it says no otherwise           kept, and *lost*: an alarm with the paths concerned
 *
 * In batches of SWEEP_BATCH ghosts, each as the tables are then; between two, and
 * whenever `sweep_rate` says so, it rests, holding nothing. What was denied waits for the one
 * recount at the end (or until there is SWEEP_DENIED of it). What was lost is remembered, and shown
 * until a sweep finds it again, it is healed, or nobody refers to it any more; it is told once.
 *
 * A damaged record of earlier sweeps, or a table that cannot be read, is a named error and stops
 * sweeping; it is never taken for an empty one.
 *
 * Memory: bounded by the batch and by SWEEP_DENIED, but for the recount (recount.h), which only a
 * denial brings about.
 */
#pragma once

#include "job.h"
#include "state.h"
#include "sweep_record.h"

#define SWEEP_BATCH 1024
#define SWEEP_DENIED 65536
#define SWEEP_LINES 10000 /* of a list; how many more there are is said */
#define SWEEP_LOST_SHOWN 8 /* in status */

/* In p->sweep (state.h): struct sweep_of_store, with what sweep_record.h persists: totals,
 * the last report, the time of the last sweep, ids that are lost. */

/* What is remembered is read. Damage there is reported, and only keeps sweeps from running. */
int sweep_open(struct state *p); /* -ENOMEM */
/* At a clean end: how many ghosts went since the last sweep. */
void sweep_close(struct state *p);
/* A ghost's entry is gone for good; any lock may be held. */
void sweep_note_purged(struct state *p);

/* One sweep; `j` may be NULL: then nobody can cancel it, and it does not keep to sweep_rate. `list`
 * (may be NULL) gets a line for each ghost that is not simply kept. -EBUSY another one runs;
 * -EUCLEAN; -EROFS; -ECANCELED: *ret is what was done. A dry run changes nothing, raises no alarm
 * and remembers nothing. Holding nothing. */
int sweep_store(struct state *p, struct job *j, bool dry_run, struct strbuf *list,
                struct ghost_report *ret);
/* The same as a job_fn, with idle I/O priority; the lines of the job are the list. Takes over
 * `arg`; NULL: one that nobody asked for. */
struct sweep_asked {
    bool dry_run, list;
};
int sweep_job(struct state *p, struct job *j, void *arg);
/* Begin one as a job if sweep_interval has passed since the last began and there are ghosts. */
void sweep_if_due(struct state *p);

struct sweep_status {
    bool running;
    uint64_t job; /* that runs it, if one does */
    int damage;   /* of what is remembered: no sweep runs */
    int64_t ended;
    struct ghost_report now, last, total; /* now: of the one that runs */
    uint64_t sweeps, purged;              /* purged: ever, also without a sweep */
    uint64_t lost;                        /* that still are; without an id: as of the last */
    size_t shown;                         /* the first of them */
    struct sweep_lost some[SWEEP_LOST_SHOWN];
};
void sweep_get(struct state *p, struct sweep_status *ret);
uint64_t sweep_lost_count(struct state *p);
/* Is it among those that are remembered, and does it still hold? */
bool sweep_is_lost(struct state *p, uint64_t number);
