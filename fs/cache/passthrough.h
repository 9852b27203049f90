// SPDX-License-Identifier: Apache-2.0
/*
 * passthrough: the kernel itself reads a file that core opened by passthrough (vfs.h), from the
 * file of its object, and sends no READ. While an inode is open the kernel keeps one backing file
 * for it. The daemon names it by a backing id, which the kernel gives for a descriptor.
 *
 *     passthrough_prepare                 before the mount serves requests
 *     passthrough_wanted                  for the answer to INIT
 *     passthrough_begin                   INIT is answered: tries whether it works
 *     passthrough_reply_open ... passthrough_close
 *
 * If the option, the kernel, the rights of the process or the store's disk do not allow
 * passthrough, all files are read through the daemon, and passthrough_state says why.
 */
#pragma once

#include "mount.h"

struct handle;
struct passthrough;

/* Makes fs->passthrough. -ENOMEM. If passthrough is not possible that is no error. */
int passthrough_prepare(struct fs *fs);
void passthrough_free(struct passthrough *pt); /* NULL is fine */
/* For the answer to INIT: how many filesystems may be stacked (max_stack_depth). 0: no
 * passthrough. */
uint32_t passthrough_wanted(struct fs *fs);
/* Called when INIT is answered: tries it with a file of the store, and reports why it does not
 * work. */
void passthrough_begin(struct fs *fs);
/* Bits of enum vfs_open_flags, to be added for vfs_open. */
unsigned passthrough_flags(const struct fs *fs);
/* Answers an OPEN with `h`; `fi` has the flags for an open without passthrough. If the kernel did
 * not take the answer, `h` is released. */
void passthrough_reply_open(fuse_req_t req, uint64_t nodeid, struct handle *h,
                            const struct fuse_file_info *fi);
/* Called before the file of the handle is released: gives the backing id back. */
void passthrough_close(struct fs *fs, struct handle *h);
/* "yes", or "no: " and the reason. Any thread; the text stays valid as long as the mount. */
const char *passthrough_state(const struct fs *fs);
