// SPDX-License-Identifier: Apache-2.0
/*
 * store_own: decides whether a store or a pool may be opened. That depends on who owns it, and on
 * what its names are (directories and regular files, and nothing else). Private to core/store.
 *
 * The lists of names are `names` in store_dir.c for a store, and `names` of
 * open_directory in store_pool_place.c for a pool. A new file or directory at the top of either is
 * added to its list, and to FORMAT.md (section 1 or 15). If `init` makes it, it is also added to
 * `made` in store_dir.c (what a failed `init` removes again), and a directory of a pool to
 * `directories` in pool_dir.c. Directories are listed because the names in them could be exchanged,
 * and LMDB's files because LMDB opens them by itself. Packs, slots, object files and segments of
 * the log are not listed: they are opened through beneath.h, and their bytes have checksums.
 */
#pragma once

#include "store_dir.h"

/* Checks a directory and names in it. `dirfd` is the directory `path`; `what` is "store" or "pool",
 * for the sentence in `why`; `named` ends with a NULL. Each name must be a directory or a regular
 * file. The directory and each name must belong to the caller (own.h), unless STORE_FOREIGN is in
 * `flags`. A missing name is fine. -EPERM: somebody else owns it or may write it; -EUCLEAN: a name
 * is something else. */
int store_own_check(int dirfd, const char *what, const char *path, const char *const *named,
                    unsigned flags, char why[STORE_WHY]);
/* The same for the names objects/00 … objects/ff. */
int store_own_check_objects(int dirfd, const char *what, const char *path, unsigned flags,
                            char why[STORE_WHY]);
