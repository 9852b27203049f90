// SPDX-License-Identifier: Apache-2.0
/* shard_dir_impl: what the files of the driver "dir:" share. Private to core/shard. */
#pragma once

#include "lock.h"
#include "map64.h"
#include "shard_impl.h"
#include <sys/stat.h>

#define SHARD_DIR_OPEN 256 /* the most files that are kept open for reading */

/* ---- shard_dir_url.c ---- */

int shard_dir_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY]);

/* ---- shard_dir_open.c: files that stay open, since another range of them is read soon ---- */

struct shard_dir_file {
    char name[DISK_NAME_MAX + 1]; /* "": this place is free */
    int fd;
    unsigned users; /* threads that read it now */
    uint64_t used;  /* value of `uses` at its last use */
    bool gone;      /* its name was forgotten; the last user closes it */
};

struct shard_dir_files {
    struct mutex lock; /* "shard files": a leaf; guards all fields below */
    uint64_t uses;
    uint64_t changes; /* how many names were replaced or deleted */
    uint64_t hash[SHARD_DIR_OPEN]; /* of the names, for a fast search; 0: free, or gone */
    struct shard_dir_file file[SHARD_DIR_OPEN];
};

void shard_dir_files_init(struct shard_dir_files *f);
void shard_dir_files_release(struct shard_dir_files *f);
/* The open file of that name, which the caller gives back by shard_dir_files_put_back. NULL: there
 * is none, and *ret_changes is for shard_dir_files_add. */
struct shard_dir_file *shard_dir_files_get(struct shard_dir_files *f, const char *name,
                                           uint64_t *ret_changes);
void shard_dir_files_put_back(struct shard_dir_files *f, struct shard_dir_file *file);
/* Keeps `fd`, which the caller opened after it got `changes`. False: it is not kept and stays the
 * caller's, because a name was changed since then, or the name is there already, or all places are
 * in use. */
bool shard_dir_files_add(struct shard_dir_files *f, const char *name, int fd, uint64_t changes);
/* Called when that name was replaced or deleted: no later reader gets the old file. */
void shard_dir_files_forget(struct shard_dir_files *f, const char *name);
