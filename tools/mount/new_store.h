// SPDX-License-Identifier: Apache-2.0
/*
 * new_store: a store that is made of what an archive has is made beside its place, and gets its
 * name when it is whole.
 *
 *     new_store_place(store, made, why)       only an empty directory may be in the place
 *     ... the store is made at `made` ...
 *     new_store_done(store, made, why)
 *
 * Errors: 0 or -errno, with a sentence in `why`.
 */
#pragma once

#include "archive_text.h"
#include "store_dir.h"
#include <limits.h>
#include <stdint.h>

int new_store_place(const char *store, char made[PATH_MAX], char why[STORE_WHY]);
int new_store_done(const char *store, const char *made, char why[STORE_WHY]);
/* Makes an empty store at `made` with the key of the lineage, and with its label. */
int new_store_make(const char *store, const char *made, const struct archive_lineage *lineage,
                   char why[STORE_WHY]);
/* All of it for a store that follows an archive (core/follow): it has what the archive has by now.
 * `lineage` 0: the only one. */
int new_store_follow(const char *url, uint32_t lineage, const char *store, char why[STORE_WHY]);
