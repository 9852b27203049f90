// SPDX-License-Identifier: Apache-2.0
/*
 * uncached: writes that bypass the kernel's page cache. A file that was just created or truncated
 * is written so because the daemon asks for it (FOPEN_DIRECT_IO), any other file because the client
 * does (O_DIRECT).
 *
 *     uncached_open                 a file was opened: choose how it is written, and prepare
 *     uncached_write                serve a WRITE for which uncached_is returns true
 *
 * The daemon then does what the kernel does for a write through its cache: it removes the
 * capabilities of the file, and it answers a write that must be durable (RWF_DSYNC) when it is.
 *
 * The kernel drops its pages of the range before it sends the write (since Linux 6.6). Between that
 * and the change another reader may have the kernel read the old bytes again. These pages must be
 * dropped once more before the write is answered. If a client maps such a page and changes other
 * bytes in it, the kernel writes the whole page back, and the bytes that were just written must
 * stay (vfs_write_back).
 *
 * The same holds for direct writes of the client: the kernel drops the range when such a write
 * ends, but not if it was asynchronous (io_submit, io_uring). Nor does the kernel then sync a write
 * that must be durable.
 *
 * How a direct request is recognised: only a direct READ or WRITE names the owner of locks. One
 * that does not fills the cache, or writes the cache back (also a direct write that the kernel
 * could not do directly). The kernel waits for the daemon with these pages locked, so it must not
 * be sent a message about them.
 */
#pragma once

#include "mount.h"

struct handle;

/* Would a file that was just created or truncated, with these flags of open(2), be written past the
 * cache? */
bool uncached_wanted(struct fs *fs, int flags);
/* Chooses how an opened file is written, sets `fi` for its answer, and informs core. `made`: the
 * file was just created or truncated. */
void uncached_open(struct fs *fs, struct handle *h, struct fuse_file_info *fi, bool made);
/* Does this READ or WRITE bypass the cache? */
bool uncached_is(const struct handle *h, const struct fuse_file_info *fi);
/* Does the write and answers it. If the answer must wait, another thread sends it. */
void uncached_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                    const struct fuse_file_info *fi);
