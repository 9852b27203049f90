// SPDX-License-Identifier: Apache-2.0
/* shard_dir_impl: what the parts of the driver "dir:" share. Private to core/shard. */
#pragma once

#include "lock.h"
#include "map64.h"
#include "shard_impl.h"
#include <sys/stat.h>

#define SHARD_DIR_OPEN 256 /* files kept open for reading, at most */

/* ---- shard_dir_url.c ---- */

int shard_dir_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY]);

/* ---- shard_dir_open.c: files that are kept open, because a range is read of them again soon ---- */

struct shard_dir_file {
    char name[DISK_NAME_MAX + 1]; /* "": free */
    int fd;
    unsigned users;
    uint64_t used; /* when last, counted in uses */
    bool gone;     /* closed by the last user */
};

struct shard_dir_files {
    struct mutex lock; /* "shard files": a leaf */
    uint64_t uses;
    uint64_t changes; /* names that were replaced or deleted */
    uint64_t hash[SHARD_DIR_OPEN]; /* of the names, to be looked through fast; 0: free, or gone */
    struct shard_dir_file file[SHARD_DIR_OPEN];
};

void shard_dir_files_init(struct shard_dir_files *f);
void shard_dir_files_release(struct shard_dir_files *f);
/* The open file of that name, to be given back; NULL: there is none, and *ret_changes is for
 * shard_dir_files_add. */
struct shard_dir_file *shard_dir_files_get(struct shard_dir_files *f, const char *name,
                                           uint64_t *ret_changes);
void shard_dir_files_put_back(struct shard_dir_files *f, struct shard_dir_file *file);
/* Keep `fd`, opened after `changes` were told, unless a name was changed since, or all are in use:
 * false, and it is still yours. */
bool shard_dir_files_add(struct shard_dir_files *f, const char *name, int fd, uint64_t changes);
/* That name is now another file's, or nobody's. */
void shard_dir_files_forget(struct shard_dir_files *f, const char *name);
