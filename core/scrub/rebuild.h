// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild: mends the stored counts of a store in use with a recount (recount.h), and puts back rows
 * that are lost (restore.h).
 */
#pragma once

#include <stdint.h>

struct job;
struct state;

/* Make the counts of a store in use what a recount gives (CONTRACTS section 1, `rebuild`): a
 * recount of the last commit, compared with the counts of that commit; the differences are added to
 * the live counts, so what changed since stays right. Surplus references go through the drop queue,
 * pages nobody names are freed. Rows of the index, of ghosts and of packs are put back and put
 * right, too, and what the inodes of namespaces take (usage_settle.h). *ret_changed: counts mended,
 * rows put back and pages freed. Object numbers that have no entry get one: where their bytes are
 * found (restore.h), and else one without bytes, which is told with the files that it has; then
 * -EUCLEAN, and no count of an object is lowered that such a number may have been an alias of. If
 * damage hides a part of the trees, counts are only raised, never lowered, and -EUCLEAN returned
 * (late, never early). -ECANCELED the job was cancelled: nothing was changed. -EROFS. `j` may be
 * NULL. Takes the freeze lock (write) in short turns: call without locks. */
int rebuild_store(struct state *p, struct job *j, uint64_t *ret_changed);
/* The same as a part of what `j` does, whose progress is its own. */
int rebuild_part(struct state *p, struct job *j, uint64_t *ret_changed);
/* Only what the inodes of namespaces take that no version has counted yet (usage_settle.h). */
int rebuild_first_usage(struct state *p, struct job *j);
