// SPDX-License-Identifier: Apache-2.0
/*
 * restore: what a rebuild does about rows that are gone (lost.h). The bytes of such a number are
 * searched for (check_adopt.c), and a new entry says where they are. If none are found the entry is
 * NEW with a count: reading it is an error, the files that use it are reported, and in all else it
 * is an object like any other.
 *
 * The count of such an entry is too high by RESTORE_BIAS, because references that were added or
 * dropped since the snapshot are unknown. The next recount finds these entries in `fresh` and
 * corrects them. Errors: 0 or -errno. Takes the freeze lock: the caller holds no lock.
 */
#pragma once

#include "kv.h"
#include "lost.h"
#include "map64.h"

struct state;

/* Give the numbers in `lost` (number -> references, as of a snapshot) an entry. Each number that
 * got one is added to *fresh. *ret_found: the number of objects whose bytes were found. The search
 * can take hours: the caller has no snapshot open. */
int restore_lost(struct state *p, const struct map64 *lost, struct map64 *fresh,
                 uint64_t *ret_found);
/* Report an alarm, with the files that use it, for each number in `lost` whose bytes are still
 * missing. */
int restore_tell(struct state *p, const struct map64 *lost);

/* Restore and correct rows of the index, of ghosts, of pins and of packs. `lower`: damage hides
 * nothing, so counts that are too high may be lowered. *changed rises by the number of changes. */
int restore_rows(struct state *p, struct kv_snap *snap, bool lower, uint64_t *changed);
