// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild: corrects the stored counts of a store in use by a recount (recount.h), and restores lost
 * rows (restore.h). Errors: 0 or -errno. Threads: any; the caller holds no lock.
 */
#pragma once

#include <stdint.h>

struct job;
struct state;

/* Correct the counts of a store in use by a recount (CONTRACTS section 1, `rebuild`). The recount
 * is of the last commit and is compared with the counts of that commit. The differences are added
 * to the live counts, so changes since the commit stay counted. Surplus references go through the
 * drop queue; pages that nothing names are freed. Rows of the index, of ghosts and of packs are
 * restored and corrected, and so is the usage of namespaces (usage_settle.h).
 *
 * *ret_changed: counts corrected, rows restored and pages freed. An object number without an entry
 * gets one: with its bytes if they are found (restore.h), else without bytes, which is reported
 * with the files that use it. In the second case the call returns -EUCLEAN, and lowers no count of
 * an object that such a number may have been an alias of. If damage hides a part of the trees,
 * counts are only raised, and -EUCLEAN is returned at the end.
 *
 * One caller recounts at a time: a rebuild, or the part of a sweep, of a GC cycle or of a scrub.
 * With a job `j` the call waits for the other, until `j` is to end (job_pause); with NULL it is
 * -EBUSY.
 *
 * -ECANCELED: the job was cancelled. What was changed before that stays, and entries that were put
 * back may have a count that is too high (restore.h), which a later rebuild corrects. -EROFS. `j`
 * may be NULL. Takes the freeze lock (write) for short times: the caller holds no lock. */
int rebuild_store(struct state *p, struct job *j, uint64_t *ret_changed);
/* As rebuild_store, as a part of the job `j`, whose progress stays its own. Never waits for another
 * that recounts: -EBUSY. */
int rebuild_part(struct state *p, struct job *j, uint64_t *ret_changed);
/* Correct only the usage of namespaces from versions that did not count it (usage_settle.h). Does
 * nothing while a rebuild runs, since that does it, too. */
int rebuild_first_usage(struct state *p, struct job *j);
