// SPDX-License-Identifier: Apache-2.0
/*
 * passthrough: files that core calls passthrough (vfs.h) are read by the kernel itself, from the
 * file of their object; no READ comes. The kernel keeps one backing file for an inode while it is
 * open, by an id that it gives for a descriptor.
 *
 *     passthrough_prepare                 before the mount answers
 *     passthrough_wanted                  into the reply to INIT
 *     passthrough_begin                   INIT is answered: does it work?
 *     passthrough_reply_open ... passthrough_close
 *
 * Where it does not work, by the option, the kernel, the right to do it or the store's disk, all
 * files are read through us, and the state says why.
 */
#pragma once

#include "mount.h"

struct handle;
struct passthrough;

int passthrough_prepare(struct fs *fs); /* -ENOMEM */
void passthrough_free(struct passthrough *pt); /* NULL is fine */
/* For INIT: how deep filesystems may lie on one another; 0: not wanted. */
uint32_t passthrough_wanted(struct fs *fs);
void passthrough_begin(struct fs *fs);
/* Of enum vfs_open_flags, for opening a file to read it. */
unsigned passthrough_flags(const struct fs *fs);
/* Answer an OPEN; `fi` is filled. If nobody takes the answer all of it is given back. */
void passthrough_reply_open(fuse_req_t req, uint64_t nodeid, struct handle *h,
                            const struct fuse_file_info *fi);
/* Before the handle's file is released. */
void passthrough_close(struct fs *fs, struct handle *h);
/* "yes", or "no: " and why. */
const char *passthrough_state(const struct fs *fs);
