// SPDX-License-Identifier: Apache-2.0
/*
 * scrub: reads and verifies again everything that the last commit names: the pages of the trees;
 * then the bytes of every object, by its checksums and its id, and of every slot that has sums; at
 * last the values of the other tables (scrub_values.h), and whether rows are missing or counts are
 * wrong (lost.h).
 *
 * One job at a time, with idle priority unless somebody waits for it, at most `scrub_rate` bytes a
 * second. It blocks nobody: keys are taken from snapshots that last for SCRUB_KEYS of them; an
 * object that is being read is held, so that it is not deleted meanwhile.
 *
 *   damage    An alarm has the object's id and place. The paths that use the object are reported
 *             later (damage_live.h): once a minute, or when many are waiting. For the entry of a
 *             table the alarm has its key. An object that does not verify is looked up once more
 *             first, since it may have been moved or deleted.
 *   ghosts    are verified by their shards themselves where these can (shard_verify), and else are
 *             read there. If a shard cannot be asked its ghosts are counted, and are
 *             no damage. If a shard answers that it does not have a ghost, that is damage.
 *   stopping  The position is saved up to the first damage whose paths are not reported yet: that
 *             damage is found again. A scrub that was cancelled continues when the next one is
 *             started; one that a restart interrupted continues by itself.
 *
 * A scrub repairs no damage: a reader of damaged bytes gets an error as before, and writing the
 * same bytes again heals an object (objects.h). At the end it sets the usage of namespaces that no
 * version has counted yet (rebuild_first_usage).
 */
#pragma once

#include "scrub_record.h"
#include "state.h"

#define SCRUB_KEYS 256          /* rows of a table that are read from one snapshot */
#define SCRUB_LINES (64 * 1024) /* bytes of the text about damage that are kept */

/* Load the saved record, and continue a scrub that a restart interrupted. A failure is reported; if
 * the record cannot be read the next scrub begins anew. */
void scrub_open(struct state *p);
/* Start a job that scrubs, from where the last one stopped. -EBUSY: the job *ret_job is scrubbing
 * already. While the queue of jobs is full the call waits: -EINTR once `interrupted` (may be NULL)
 * is set. -ESHUTDOWN, -ENOMEM. */
int scrub_start(struct state *p, const _Atomic bool *interrupted, uint64_t *ret_job);
/* Did the last complete scrub find damage, or the one that is under way? */
bool scrub_found_damage(struct state *p);
/* Copy the state of the scrub. `ret_running` may be NULL. What a scrub reports of damage are the
 * lines of its job (job_get_lines). */
void scrub_get(struct state *p, struct scrub_record *ret, bool *ret_running);
