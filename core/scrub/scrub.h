// SPDX-License-Identifier: Apache-2.0
/*
 * scrub: everything that the last commit names is read again and verified: the pages of the trees,
 * then the bytes of every object, by its checksums and its id, and of every slot that has sums; at
 * last what the other tables say (scrub_values.h), and whether rows are gone or counts are wrong
 * (lost.h).
 *
 * One job at a time, with idle priority, at most `scrub_rate` a second. What it stands on is free
 * at every moment: keys are taken from snapshots that last for SCRUB_KEYS of them, an object that
 * is being read is held, so that it is not deleted meanwhile, and nothing else waits.
 *
 *   damage    is an alarm with the object's id and place; then the paths of those who use it are
 *             (damage.h), once a minute or when there are many; of a table's entry its key is. What
 *             does not verify is looked up once more first: it may have been moved or deleted.
 *   ghosts    are read where they are. Those whose shard cannot be asked are counted, and are no
 *             damage; what a shard that can be asked does not have, is.
 *   stopping  how far it is is remembered, but for damage whose paths are not told yet: that is
 *             found again. A scrub that was cancelled goes on when the next one is asked for; one
 *             that a restart interrupted goes on by itself.
 *
 * Nothing is mended here: readers of damaged bytes get an error as before, and bytes that are
 * written again heal an object (objects.h).
 */
#pragma once

#include "scrub_record.h"
#include "state.h"

#define SCRUB_KEYS 256
#define SCRUB_LINES (64 * 1024) /* bytes of what is kept of the words about damage */

/* What is remembered is read; one that was interrupted goes on. If that cannot be, it is reported,
 * and the next scrub begins anew. */
void scrub_open(struct state *p);
/* Start a job, or let it go on where the last one stopped. -EBUSY: *ret_job runs one. While the
 * queue of jobs is full it waits: -EINTR once `interrupted` (may be NULL) is set. -ESHUTDOWN, -ENOMEM. */
int scrub_start(struct state *p, const _Atomic bool *interrupted, uint64_t *ret_job);
/* Has the last whole one found damage, or the one that is under way? */
bool scrub_found_damage(struct state *p);
/* How it stands, and what was said of damage, a line each; `lines` may be NULL. */
void scrub_get(struct state *p, struct scrub_record *ret, bool *ret_running, struct strbuf *lines);
