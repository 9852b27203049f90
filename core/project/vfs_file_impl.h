// SPDX-License-Identifier: Apache-2.0
/* vfs_file_impl: what reading and writing of open files share. */
#pragma once

#include "vfs_impl.h"

/* Bytes of a file; needs v->io (either side). Short only at its end. */
ssize_t file_read(struct project *p, struct vnode *v, void *buf, size_t len, uint64_t off);
/* The extent of a grain (its offset in the file). -ENOENT: the base shows through. */
int extent_load(const struct tree *t, uint64_t ino, uint64_t grain, struct extent *ret);
/* Delete all extent items of an inode. */
int extents_drop(struct tree *t, uint64_t ino);
/* Copy the extent items of one inode to another, which has none: their objects get one reference
 * more. All or none. */
int extents_copy(const struct tree *from, uint64_t ino, struct tree *to, uint64_t new_ino);
/* A file mostly changed, or in too many pieces, becomes one content again (DESIGN 4.5). On close;
 * a failure leaves it as it is. */
void file_consolidate(struct project *p, struct vnode *v);
