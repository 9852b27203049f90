// SPDX-License-Identifier: Apache-2.0
/* vfs_dir: entries of directories (vfs_name.c), for the calls of a filesystem and for repair. The
 * caller of each function holds the namespace's lock, or is the only user of the store. Errors: 0
 * or -errno. */
#pragma once

#include "names.h"
#include "state.h"

/* Add `entries` (may be negative) to the directory's number of entries and `subdirs` to its link
 * count, set mtime and ctime, and store the inode. */
int dir_touch(struct state *p, struct tree *t, uint64_t ino, struct inode *dir, int entries,
              int subdirs);
/* Put an entry that leads from `name` to inode `ino` at key `k`, which dirent_find gave. It
 * replaces an entry with the same key. Of `mode` only the file type is stored. */
int dirent_put(struct state *p, struct tree *t, struct key k, uint64_t ino, uint32_t mode,
               const char *name);
/* Find the entry of that name in directory `dir`. Errors and *ret_key as name_find (names.h);
 * *ret_type is a DT_ value. */
int dirent_find(struct state *p, const struct tree *t, uint64_t dir, const char *name,
                struct key *ret_key, uint64_t *ret_ino, unsigned *ret_type);
