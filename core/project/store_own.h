// SPDX-License-Identifier: Apache-2.0
/*
 * store_own: whether a store or a pool may be opened, going by whose it is and by what stands under
 * the names that it is made of. Private to core/project.
 */
#pragma once

#include "store.h"

/* `dirfd` is the directory `path` of a store or a pool, as `what` says in a sentence; `named` are
 * names in it, a NULL at the end: each is to be a directory or a regular file, and as much the
 * caller's own as the directory (own.h) unless STORE_FOREIGN is in `flags`. What is not there is
 * fine. 0; -EPERM it is somebody else's, or others may write it; -EUCLEAN there is something else
 * under a name. */
int store_own_check(int dirfd, const char *what, const char *path, const char *const *named,
                    unsigned flags, char why[STORE_WHY]);
/* The same of objects/00 … objects/ff. */
int store_own_check_objects(int dirfd, const char *what, const char *path, unsigned flags,
                            char why[STORE_WHY]);
