// SPDX-License-Identifier: Apache-2.0
/*
 * tal_ops: the operations on nodes of `.tally`. Each answers its request, before it returns or
 * later in a thread of defer.h.
 */
#pragma once

#include "mount.h"

#include <sys/types.h>

void tal_op_lookup(fuse_req_t req, uint64_t parent, const char *name);
void tal_op_getattr(fuse_req_t req, uint64_t ino);
void tal_op_setattr(fuse_req_t req, uint64_t ino, int to_set);
void tal_op_open(fuse_req_t req, uint64_t ino, const struct fuse_file_info *fi);
void tal_op_read(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *fi);
void tal_op_write(fuse_req_t req, const char *buf, size_t size, off_t off,
                  const struct fuse_file_info *fi);
void tal_op_readdir(fuse_req_t req, uint64_t ino, size_t size, off_t off, bool plus);
