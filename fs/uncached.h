// SPDX-License-Identifier: Apache-2.0
/*
 * uncached: files that are written past the kernel's page cache (FOPEN_DIRECT_IO).
 *
 *     uncached_open                 the file was just made or cut to nothing: choose
 *     uncached_write                a WRITE to it
 *
 * What the kernel does for a write through its cache is then ours: capabilities of the file go, and a
 * write that is to be durable (RWF_DSYNC) is answered when it is. The kernel forgets what it has of
 * the range before it sends the write (since Linux 6.6); what another reader had it read between
 * that and our change it has to forget again before the write is answered. If somebody maps such a
 * page and changes other bytes of it, the kernel writes all of it back, and what we have just written
 * must stay (vfs_write_back).
 */
#pragma once

#include "fs_impl.h"

/* Would a file that was just made or cut, with these flags of open(2), be written so? */
bool uncached_wanted(struct fs *fs, int flags);
void uncached_open(struct fs *fs, struct handle *h, struct fuse_file_info *fi);
/* Answers; from another thread where that must wait. */
void uncached_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                    const struct fuse_file_info *fi);
