// SPDX-License-Identifier: Apache-2.0
/*
 * beneath: names in a directory that somebody else may have filled.
 *
 * A store, a pool or a shard may have been made, or changed, by who means ill. Whatever stands
 * under a name there, opening it leads nowhere else and never waits: every part of a name is
 * resolved below the descriptor `dirfd` and through no symlink, what is opened as a file is a
 * regular one, and a FIFO in its place is told, not waited for.
 *
 * Names are relative, parts are divided by '/', and ".." is none. The kernel resolves them at once
 * (openat2, since Linux 5.6); where it cannot, or may not, each part is opened by itself.
 *
 * Errors: -errno as of the call of that name. -EUCLEAN: what is there is no such thing as asked
 * for: a symlink on the way or at the end, a FIFO, a device, a directory for a file. -EBUSY: others
 * keep moving it about, or have a lease on it. Threads: any.
 */
#pragma once

#include <sys/types.h>

/* A regular file. `flags` as of open(2), O_CREAT among them; `mode` for that. The descriptor, close
 * on exec; with O_PATH it is the file's all the same. */
int beneath_open(int dirfd, const char *name, int flags, mode_t mode);
/* A directory, to be listed or synced; "" and "." are `dirfd` itself, opened anew. */
int beneath_open_dir(int dirfd, const char *name);

/* Of the last part only, in the directory that the rest leads to. A symlink is not followed there:
 * it is what is removed, renamed or linked. */
int beneath_mkdir(int dirfd, const char *name, mode_t mode);
int beneath_unlink(int dirfd, const char *name);
int beneath_link(int dirfd, const char *from, const char *to);
int beneath_rename(int dirfd, const char *from, const char *to);

/* Tests: as if the kernel had no openat2. One thread. */
void beneath_go_slowly(int yes);
