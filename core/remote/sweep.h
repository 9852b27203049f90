// SPDX-License-Identifier: Apache-2.0
/*
 * sweep: asks for each ghost whether its shard really has the bytes (CONTRACTS section 2;
 * objects_ask). The verdicts:
 *
 *   count 0                        purged, without asking (release.c deletes its bytes)
 *   the shard has the bytes        kept
 *   the shard cannot be asked      inconclusive: kept, and asked again by the next sweep
 *   the shard denies the bytes, and the ghost is younger than grace_period, or is no ghost any more
 *                                  inconclusive; a ghost that has moved is asked for at its new
 *                                  place at once
 *   the shard denies the bytes, and a recount finds no reference
 *                                  purged: its count, which was too high, is corrected
 *   the shard denies the bytes otherwise
 *                                  kept, and *lost*: an alarm names the paths concerned
 *
 * A sweep works in batches of SWEEP_BATCH ghosts, each as the tables are at that time. Between two
 * batches, and whenever `sweep_rate` demands it, the sweep rests and holds no lock. Denied ghosts
 * wait for one recount at the end, or until there are SWEEP_DENIED of them. Lost ghosts are
 * remembered. They are shown until a sweep finds their bytes, they are healed, or nothing refers to
 * them any more. Each is reported once.
 *
 * If the record of earlier sweeps is damaged, or a table cannot be read, a named error stops
 * sweeping. A damaged record is never read as an empty one.
 *
 * Memory: bounded by the batch and by SWEEP_DENIED, except for the recount (recount.h), which only
 * a denial needs.
 */
#pragma once

#include "job.h"
#include "state.h"
#include "sweep_record.h"

#define SWEEP_BATCH 1024
#define SWEEP_DENIED 65536
#define SWEEP_LINES 10000  /* lines of a list; then the number of omitted lines */
#define SWEEP_LOST_SHOWN 8 /* lost ghosts that the status lists */

/* What an open store keeps of its sweeps is p->sweep, a struct sweep_of_store (remote_impl.h). */

/* Reads what earlier sweeps remembered. Damage there is reported, and no sweep runs then; it is no
 * error of this call. */
int sweep_open(struct state *p); /* -ENOMEM */
/* Called at a clean close: saves how many ghosts were purged since the last sweep. */
void sweep_close(struct state *p);
/* Counts a ghost whose entry was removed for good. It takes no lock, so the caller may hold any. */
void sweep_note_purged(struct state *p);

/* Runs one sweep. `j` may be NULL: then nobody can cancel it, and it ignores sweep_rate. `list`
 * (may be NULL) gets a line for each ghost that is not simply kept. -EBUSY: another sweep runs;
 * -EUCLEAN: a ghost, or the record of sweeps, is damaged; -EROFS; -ECANCELED. After an error *ret
 * has what was done until then. A dry run changes nothing, raises no alarm and remembers nothing.
 * The caller holds no lock. */
int sweep_store(struct state *p, struct job *j, bool dry_run, struct strbuf *list,
                struct ghost_report *ret);
/* sweep_store as a job_fn, with idle I/O priority; the list becomes the lines of the job. It takes
 * over and frees `arg`. NULL: a sweep that nobody asked for. */
struct sweep_asked {
    bool dry_run, list;
};
int sweep_job(struct state *p, struct job *j, void *arg);
/* Begins a sweep as a job if there are ghosts and sweep_interval has passed since the last one
 * began. */
void sweep_if_due(struct state *p);

struct sweep_status {
    bool running;
    uint64_t job; /* the job that runs the sweep; 0: none */
    int damage;   /* -errno of reading the record, so that no sweep runs; 0: the record is sound */
    int64_t ended;
    struct ghost_report now, last, total; /* `now` is of the sweep that runs */
    uint64_t sweeps, purged;              /* `purged`: ever, also without a sweep */
    uint64_t lost; /* lost now; those without a listed id as of the last sweep */
    size_t shown;  /* entries in `some`, the first of the lost */
    struct sweep_lost some[SWEEP_LOST_SHOWN];
};
/* Takes "sweep", and then refs, one after the other. Without memory all but `damage` is zero. */
void sweep_get(struct state *p, struct sweep_status *ret);
uint64_t sweep_lost_count(struct state *p);
/* Is the object remembered as lost, and is it lost still? */
bool sweep_is_lost(struct state *p, uint64_t number);
