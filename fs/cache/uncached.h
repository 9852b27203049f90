// SPDX-License-Identifier: Apache-2.0
/*
 * uncached: writes past the kernel's page cache: to files that were just made or cut, because we
 * ask for it (FOPEN_DIRECT_IO), and to others because the client does (O_DIRECT).
 *
 *     uncached_open                 a file was opened: choose, and be prepared
 *     uncached_write                a WRITE that is uncached_is
 *
 * What the kernel does for a write through its cache is then ours: capabilities of the file go, and
 * a write that is to be durable (RWF_DSYNC) is answered when it is. The kernel forgets what it has
 * of the range before it sends the write (since Linux 6.6); what another reader had it read between
 * that and our change it has to forget again before the write is answered. If somebody maps such a
 * page and changes other bytes of it, the kernel writes all of it back, and what we have just
 * written must stay (vfs_write_back).
 *
 * That holds for the client's direct writes as well: the kernel forgets the range when one ends,
 * but not when it was asynchronous (io_submit, io_uring); nor does it then sync what is to be
 * durable.
 *
 * Only a direct read or write names the owner of locks, so that is how it is told from one that
 * fills the cache, or leaves it (a direct write that the kernel could not make so): of such a one's
 * pages the kernel must not be told anything while it waits for us with these pages locked.
 */
#pragma once

#include "mount.h"

struct handle;

/* Would a file that was just made or cut, with these flags of open(2), be written so? */
bool uncached_wanted(struct fs *fs, int flags);
/* `made`: it was just made or cut. */
void uncached_open(struct fs *fs, struct handle *h, struct fuse_file_info *fi, bool made);
/* Of a READ or WRITE. */
bool uncached_is(const struct handle *h, const struct fuse_file_info *fi);
/* Answers; from another thread where that must wait. */
void uncached_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                    const struct fuse_file_info *fi);
