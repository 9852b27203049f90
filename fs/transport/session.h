// SPDX-License-Identifier: Apache-2.0
/*
 * session: makes libfuse's session of a mount, with the options that every mount has.
 *
 * fs.c makes it with fs_ops. The benchmark's floor (tests/bench/floor.c) makes it with operations
 * of its own and without a store (fs->p is NULL), over the same transport and with the same INIT.
 * Code that runs before an operation and needs the store (translate.h) then does nothing.
 */
#pragma once

#include "mount.h"

/* Makes fs->se from fs->o. The caller destroys it by fuse_session_destroy. 0 or -errno. libfuse
 * prints on stderr which option it refuses. */
int session_new(struct fs *fs, const struct fuse_lowlevel_ops *ops);
/* Mounts it at fs->o->mountpoint, with the attributes that libfuse cannot set. 0, or -errno with a
 * sentence in `why`. */
int session_mount(struct fs *fs, char *why, size_t why_len);
/* Closes the connection, and unmounts fs->o->mountpoint unless users see it elsewhere: then
 * `unmounted` does. */
void session_unmount(struct fs *fs);
