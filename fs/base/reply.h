// SPDX-License-Identifier: Apache-2.0
/*
 * reply: how answers and errors of core look to the kernel, and who asks.
 *
 * No lock of any kind is held across fuse_reply_*: the reply may be the last use of what it names.
 */
#pragma once

#include "mount.h"
#include "vfs.h"

#include <sys/stat.h>

#define FS_FOREVER 1e9     /* seconds; the kernel may keep what only we can change */
#define FS_ROOT_NAMES 1.0  /* seconds; names at the root: notify.h */

/* Who asks, to own what is made. */
static inline struct vfs_cred fs_cred(fuse_req_t req)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    return (struct vfs_cred){.uid = c->uid, .gid = c->gid, .umask = c->umask};
}

/* The errno a client sees, positive, for a -errno of core. */
int fs_errno(int64_t r);
/* r: 0 or -errno; -EWOULDWAIT gives the request to a thread that may wait (serve.h). */
void fs_reply_err(fuse_req_t req, int64_t r);
/* Times before 1970 round down, so that tv_nsec is never negative. */
struct timespec fs_time(int64_t time_ns);
void fs_stat(const struct vfs_attr *a, struct stat *ret);
/* Seconds the kernel may keep the attributes of such a file. Set-id bits give rights: it asks for
 * the mode before each use. */
double fs_attr_timeout(const struct fs *fs, uint32_t mode);
/* The mode that the answer to a change shows, one that leaves it as it is. The kernel drops what an
 * answer to a question says of an inode that has changed since; the answer to a change it takes as
 * it comes, and however late the client gets to it: one who let that wait, and had set-id bits go
 * meanwhile, would have them back. So only root is shown them; that they are not kept (above) has
 * the kernel ask for them where they count. */
uint32_t fs_mode_unchanged(fuse_req_t req, uint32_t mode);
/* An entry of a namespace as the kernel gets it; st_nlink is POSIX (see fs_add_refs). No calls of
 * core: may be used under its locks. */
void fs_entry(const struct fs *fs, const struct vfs_attr *a, struct fuse_entry_param *ret);
/* Answer with an entry that core counted (E in vfs.h); gives it back if nobody took the answer. */
void fs_reply_entry(fuse_req_t req, const struct vfs_attr *a);
/* The same of one that was there before, after a change that leaves its mode alone. */
void fs_reply_linked(fuse_req_t req, const struct vfs_attr *a);
void fs_reply_attr(fuse_req_t req, const struct vfs_attr *a);
void fs_reply_set(fuse_req_t req, const struct vfs_attr *a); /* likewise */
/* With nlink_refs: add the object's other references to st_nlink, for a user who may know of
 * them. */
void fs_add_refs(struct fs *fs, uint32_t uid, uint64_t nodeid, struct stat *st);
/* The same: asked before the request begins, the answer to which adds them. What was written last
 * has to be sealed first, which waits. True: the request is with another thread. */
bool fs_must_seal(fuse_req_t req);
/* May that user know who else has the bytes of a file? Its id and its count tell whether there are
 * files with certain bytes, also where nobody else may look: so that is the mount's owner and root,
 * as for `.tally`. */
bool fs_may_know(const struct fs *fs, uint32_t uid);
/* The end of a listing that the kernel must not keep, into `buf`: see ops_dir.c. Its length. */
size_t fs_end_uncached(char *buf, size_t room);
/* This thread's buffer of at least `len` bytes, valid until its next call; NULL: no memory. */
void *fs_buffer(size_t len);
