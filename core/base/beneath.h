// SPDX-License-Identifier: Apache-2.0
/*
 * beneath: opens and changes names in a directory that an attacker may have filled.
 *
 * A store, a pool or a shard may have been made or changed by an attacker. Opening a name there
 * cannot lead out of the directory and never blocks: every part of the name is resolved below the
 * descriptor `dirfd`, and through no symlink. What is opened as a file is a regular file. A FIFO in
 * its place is an error at once.
 *
 * Names are relative, and their parts are separated by '/'. A name with ".." is refused. The kernel
 * resolves a name in one call (openat2, since Linux 5.6). If it cannot, or a filter of system calls
 * forbids it, each part is opened by itself.
 *
 * What root makes in a directory of another user is given to the owner and the group of that
 * directory, so that this user can go on with it; a file system that cannot do that leaves it to
 * root. Root's own directories, and those of every other effective user, are not affected.
 *
 * Errors: -errno of the system call. -EUCLEAN: something of the wrong kind has that name: a symlink
 * on the way or at the end, a FIFO, a device, a directory instead of a file. -EBUSY: other
 * processes keep moving it, or hold a lease on it. Threads: any.
 */
#pragma once

#include <sys/types.h>

/* Opens a regular file. `flags` are those of open(2), O_CREAT among them; `mode` is for that.
 * Returns a descriptor (close on exec) that the caller closes. With O_PATH it is checked in the
 * same way. */
int beneath_open(int dirfd, const char *name, int flags, mode_t mode);
/* Opens a directory, to list or sync it. "" and "." open `dirfd` itself anew. */
int beneath_open_dir(int dirfd, const char *name);

/* Calls `fn` for each name in a directory, in no order, without "." and "..". It stops at a result
 * other than 0, and returns that. */
typedef int beneath_list_fn(const char *name, void *ctx);
int beneath_list(int dirfd, const char *name, beneath_list_fn *fn, void *ctx);

/* These change the last part of a name, in the directory that the rest leads to. A symlink there is
 * not followed: it is itself removed, renamed or linked. */
int beneath_mkdir(int dirfd, const char *name, mode_t mode);
int beneath_unlink(int dirfd, const char *name);
int beneath_link(int dirfd, const char *from, const char *to);
int beneath_rename(int dirfd, const char *from, const char *to);

/* For tests: opens names as if the kernel had no openat2. Not while another thread uses this
 * module. */
void beneath_go_slowly(int yes);
