// SPDX-License-Identifier: Apache-2.0
/*
 * store_own: may a store or a pool be opened? That depends on who owns it, and on what is there
 * under the names that it consists of. Private to core/store.
 *
 * The lists of names: `names` in store.c for a store, and for a pool those in store_pool.c. A new
 * file or directory at the top of either goes into its list, and into FORMAT.md (section 1 or 15).
 * If `init` makes it, it also goes into `made` in store.c (what a failed `init` removes again), and
 * a directory of a pool into `directories` in pool_dir.c. Directories are listed because names in
 * them could be exchanged, and LMDB's files because LMDB opens them by itself. Packs, slots, object
 * files and segments of the log are not listed: they are opened through beneath.h, and their bytes
 * have checksums.
 */
#pragma once

#include "store_dir.h"

/* `dirfd` is the directory `path`; `what` is "store" or "pool", for the sentence in `why`. `named`
 * are names in it, with a NULL at the end. Each must be a directory or a regular file; the
 * directory and each name must be the caller's own (own.h), unless STORE_FOREIGN is in `flags`. A
 * name that is not there is fine. 0; -EPERM somebody else owns it or may write it; -EUCLEAN
 * something else is under a name. */
int store_own_check(int dirfd, const char *what, const char *path, const char *const *named,
                    unsigned flags, char why[STORE_WHY]);
/* The same of objects/00 … objects/ff. */
int store_own_check_objects(int dirfd, const char *what, const char *path, unsigned flags,
                            char why[STORE_WHY]);
