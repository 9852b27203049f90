// SPDX-License-Identifier: Apache-2.0
/*
 * sweep: anti-entropy: each ghost's shard is asked whether it really has the bytes (CONTRACTS
 * section 2; objects_ask). Verdicts:
 *
 *   count 0                        purged, without asking (release.c does it; a sweep only makes it do)
 *   the shard has it               kept
 *   it cannot be asked             inconclusive: kept, asked again by the next
 *   it says no, and the ghost is younger than grace_period, or its place has changed meanwhile
 *                                  inconclusive, or asked again at the new place
 *   it says no, and a recount finds nobody who refers to it
 *                                  purged
 *   it says no otherwise           kept, and *lost*: an alarm with the paths concerned
 *
 * In batches of SWEEP_BATCH ghosts (struct ghosts), each as the tables are then; between two, and
 * whenever `sweep_rate` says so, it rests, holding nothing. Idle I/O priority. What was lost is
 * remembered, and shown until a sweep finds it again, it is healed, or nobody refers to it any more.
 *
 * A damaged record of earlier sweeps, or a table that cannot be read, is a named error and stops
 * sweeping; it is never taken for an empty one.
 */
#pragma once

#include "ghosts.h"
#include "project_impl.h"

#define SWEEP_BATCH 1024

/* In p->sweep (project_impl.h): struct sweep_of_store, with what sweep_record.h persists: totals, the
 * last report, the time of the last sweep, ids that are lost. */
int sweep_open(struct project *p);
void sweep_release(struct project *p);
/* One sweep; `j` may be NULL. `list` gets a line for each ghost that is not simply kept. -EBUSY another
 * one runs; -ECANCELED; -EUCLEAN. Holding nothing. */
int project_sweep(struct project *p, struct job *j, bool dry_run, struct strbuf *list,
                  struct ghost_report *ret);
/* Begin one as a job if sweep_interval has passed since the last began and there are ghosts. */
void sweep_if_due(struct project *p);
