// SPDX-License-Identifier: Apache-2.0
/*
 * reply: turns answers and errors of core into answers to the kernel, and reads who sent a request.
 *
 * No lock is held across fuse_reply_*: once the kernel has the answer it may send the last forget
 * or release of what the answer names, and another thread serves that. A request is gone after its
 * reply.
 */
#pragma once

#include "mount.h"
#include "vfs.h"

#include <sys/stat.h>

#define FS_FOREVER 1e9    /* seconds; for what changes only by requests of this kernel */
#define FS_ROOT_NAMES 1.0 /* seconds; for names in the mount root (notify.h says why) */

/* The user, group and umask of the client, for files that the request makes. */
static inline struct vfs_cred fs_cred(fuse_req_t req)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    return (struct vfs_cred){.uid = c->uid, .gid = c->gid, .umask = c->umask};
}

/* What this thread does from here on is asked for by the client of the request, whose user and
 * process the history names (history_by.h). The request is valid. */
void fs_asked_by(fuse_req_t req);
/* The errno that the client gets, positive, for a -errno of core; 0 if `r` is no error. Errors of
 * core that mean damage or a shard that cannot be reached become EIO; -EPROTO, for bytes that a
 * newer version has written, becomes EOPNOTSUPP. */
int fs_errno(int64_t r);
/* Answers with `r`, 0 or -errno. -EWOULDWAIT sends no answer: the request begins anew in a thread
 * that may wait (serve.h). */
void fs_reply_err(fuse_req_t req, int64_t r);
/* `time_ns`: nanoseconds since the epoch. Times before 1970 round down, so that tv_nsec is never
 * negative. */
struct timespec fs_time(int64_t time_ns);
/* The attributes as struct stat; st_nlink is the POSIX link count (see fs_add_refs). */
void fs_stat(const struct vfs_attr *a, struct stat *ret);
/* For how many seconds the kernel may keep the attributes `a`. 0 for a regular file with
 * nlink_refs, since the count of references changes without a request; with set-id bits, since
 * these give rights: the kernel then asks for the mode before each use; and without a name, since
 * it goes with its last open file without a request that answers with attributes. */
double fs_attr_timeout(const struct fs *fs, const struct vfs_attr *a);
/* An entry of a namespace as the kernel gets it; st_nlink is the POSIX link count (see
 * fs_add_refs). It calls nothing of core, so it may be used under locks of core. */
void fs_entry(const struct fs *fs, const struct vfs_attr *a, struct fuse_entry_param *ret);
/* Answers with an entry that core has counted (E in vfs.h). The count is given back if the kernel
 * did not take the answer. */
void fs_reply_entry(fuse_req_t req, const struct vfs_attr *a);
/* The same for an inode that existed before, after a change that leaves its mode as it is (see
 * fs_reply_set). */
void fs_reply_linked(fuse_req_t req, const struct vfs_attr *a);
/* Answers with attributes. */
void fs_reply_attr(fuse_req_t req, const struct vfs_attr *a);
/* The same after a change that leaves the mode as it is. Others than root are shown no set-id bits
 * (mode_unchanged in reply.c says why). */
void fs_reply_set(fuse_req_t req, const struct vfs_attr *a);
/* With nlink_refs: adds the object's other references to st_nlink, if the user `uid` may know of
 * them. */
void fs_add_refs(struct fs *fs, uint32_t uid, uint64_t nodeid, struct stat *st);
/* Called at the beginning of an operation that may wait. True: this thread must not wait, and
 * another thread has the request now; the caller returns at once. */
bool fs_must_wait(fuse_req_t req);
/* The same for a request whose answer will call fs_add_refs. With nlink_refs that seals what was
 * written last, which waits. */
bool fs_must_seal(fuse_req_t req);
/* May that user know which other files have the bytes of a file? The id and the count of an object
 * reveal whether a file with certain bytes exists anywhere in the store, even in directories that
 * the user cannot enter. So only root and the mount's owner may know, as for `.tally`. */
bool fs_may_know(const struct fs *fs, uint32_t uid);
/* Writes into `buf` the end of a listing that the kernel must not keep (ops_dir.c says how).
 * Returns its length; 0 if `room` is too small. */
size_t fs_end_uncached(char *buf, size_t room);
/* The buffer of the calling thread, of at least `len` bytes. It is valid until the thread calls
 * this again. NULL: no memory. */
void *fs_buffer(size_t len);
