// SPDX-License-Identifier: Apache-2.0
/*
 * session: libfuse's session of a mount, with the options that every one has.
 *
 * fs.c makes it with fs_ops. The benchmark's floor (tests/bench/floor.c) makes it with operations
 * of its own and no store (fs->p NULL), over the same transport and with the same INIT: what asks
 * the store before an operation (translate.h) then asks nothing.
 */
#pragma once

#include "mount.h"

/* With fs->o, to fs->se; the caller's, for fuse_session_destroy. 0 or -errno; what libfuse does not
 * like of the options it says on stderr. */
int session_new(struct fs *fs, const struct fuse_lowlevel_ops *ops);
/* Mount it at fs->o->mountpoint, with the attributes that libfuse cannot say. 0, or -errno with a
 * sentence in `why`. */
int session_mount(struct fs *fs, char *why, size_t why_len);
