// SPDX-License-Identifier: Apache-2.0
/*
 * kv_files: LMDB's directory and its two files, looked at before LMDB opens them. Private to
 * core/kv.
 *
 *     kv_files_open(&f, dirfd, "kv", flags)      all is what it should be, and made if it is to be
 *     mdb_env_open(env, f.path, ...)
 *     kv_files_close(&f)                         LMDB has its own descriptors by now
 *
 * LMDB follows whatever symlink it finds, makes the lock file as long as it wants it and writes
 * there. So it is given a path that leads to what was looked at: the directory's descriptor, where
 * nobody but the caller can put anything; and with KV_FOREIGN a directory made for that, with two
 * links to the descriptors of the files themselves, since then others may change names between the
 * look and the opening.
 *
 * The descriptors are for paths only (O_PATH): closing an ordinary one would take away the locks
 * that LMDB has on the same file. Threads: none of its own.
 */
#pragma once

#include <sys/stat.h>

struct kv_files {
    int dir, data, lock; /* O_PATH; lock is -1 with KV_READONLY, which uses none */
    struct stat data_stat;
    struct stat dir_stat;
    char path[64]; /* for mdb_env_open */
    char made[64]; /* the directory that was made, or "" */
};

/* -ENOENT there is none and no KV_CREATE; -EUCLEAN the file is empty, or something is no regular
 * file. On failure nothing is left open. */
int kv_files_open(struct kv_files *f, int dirfd, const char *dir, unsigned flags);
void kv_files_close(struct kv_files *f);
