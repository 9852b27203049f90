// SPDX-License-Identifier: Apache-2.0
/*
 * restore: what a rebuild does about rows that are gone (lost.h): the bytes of such numbers are
 * found again (check_adopt.c), and an entry says where they are. Where none are found the entry is
 * NEW with a count: reading it is an error, its files are named, and all else goes on as with any
 * object.
 *
 * Such entries have a count that is too high by RESTORE_BIAS, for nobody counted what was changed
 * since the snapshot; the next recount knows which they are (`fresh`), and puts it right. Errors: 0
 * or -errno. Takes the freeze lock: call without locks.
 */
#pragma once

#include "kv.h"
#include "lost.h"
#include "map64.h"

struct state;

/* `lost`: number -> references, as of `snap`. Numbers that got an entry join *fresh; *ret_found: of
 * how many the bytes were found. */
int restore_lost(struct state *p, struct kv_snap *snap, const struct map64 *lost,
                 struct map64 *fresh, uint64_t *ret_found);
/* Alarms that name the files of those that are still lost. */
int restore_tell(struct state *p, const struct map64 *lost);

/* Rows of the index, of ghosts and of packs that are gone or wrong. `lower`: nothing is hidden, so
 * that counts that are too high may be lowered. *changed grows. */
int restore_rows(struct state *p, struct kv_snap *snap, bool lower, uint64_t *changed);
