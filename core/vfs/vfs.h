// SPDX-License-Identifier: Apache-2.0
/*
 * vfs: a store as a filesystem, in POSIX terms and without FUSE.
 *
 * Everything is named by nodeid: namespace number (22 bit) ‖ inode number (42 bit), which is also
 * st_ino. VFS_ROOT is the directory of namespaces; names below it are namespaces and symlinks.
 * A nodeid whose namespace is gone, or whose inode is, answers -ESTALE.
 *
 * Calls that return an entry (marked E) count one kernel reference on its namespace, to be given
 * back by vfs_forget; a namespace number is used again only when none is left.
 *
 * Permissions are the kernel's business (default_permissions). Errors: 0 or -errno as ext4 would
 * give; damage is -EIO and a report. Threads: all calls from any thread.
 *
 * Changes wait where too much is in memory, and where disk or log are full; closing or cutting a
 * large file may copy some of it; what is on another shard is read from there; what is read by
 * passthrough may have to be verified first, or let go. A thread that must not wait (nowait.h)
 * hears -EWOULDWAIT instead, and nothing was changed. vfs_fallocate is several changes: it is for
 * others.
 */
#pragma once

#include "disk.h"
#include "id.h"
#include "vfs_types.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct state;

struct vfs_file; /* an open file */

int vfs_lookup(struct state *p, uint64_t parent, const char *name, struct vfs_attr *ret); /* E */
/* Where a path leads, as command_path cut it; the last symlink is not followed. *ret_node is to be
 * forgotten once. */
int vfs_lookup_path(struct state *p, const char *path, size_t ns_len, const char *rest,
                    uint64_t *ret_node);
/* By number alone, as a handle has it that outlived all caches. -ESTALE: it is gone, or has no name
 * any more. E, but for VFS_ROOT. */
int vfs_lookup_node(struct state *p, uint64_t nodeid, struct vfs_attr *ret);
/* The directory that directory `nodeid` is in. Likewise. */
int vfs_lookup_parent(struct state *p, uint64_t nodeid, struct vfs_attr *ret);
void vfs_forget(struct state *p, uint64_t nodeid, uint64_t count);
int vfs_getattr(struct state *p, uint64_t nodeid, struct vfs_attr *ret);
/* `set`: which of enum vfs_set; values from `in`. */
int vfs_setattr(struct state *p, uint64_t nodeid, unsigned set, const struct vfs_attr *in,
                struct vfs_attr *ret);

/* Regular files, fifos, sockets, devices, directories, by the type in `mode`. The set-gid bit and
 * the default ACL of the parent are honoured. At the root: S_IFDIR creates a namespace, all else is
 * -EPERM. E */
int vfs_mknod(struct state *p, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
              const struct vfs_cred *cred, struct vfs_attr *ret);
int vfs_symlink(struct state *p, uint64_t parent, const char *name, const char *target,
                const struct vfs_cred *cred, struct vfs_attr *ret); /* E */
/* `buf` of PATH_MAX bytes gets a NUL-terminated target. */
int vfs_readlink(struct state *p, uint64_t nodeid, char *buf, size_t cap);
int vfs_unlink(struct state *p, uint64_t parent, const char *name);
/* At the root: -ENOTEMPTY unless the namespace is empty; -EBUSY while files are open in it. */
int vfs_rmdir(struct state *p, uint64_t parent, const char *name);
/* `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT (linux/fs.h values) or 0. -EXDEV
 * between namespaces. A whiteout is a character device 0:0 of mode 0, owned by `cred` (NULL where
 * none is asked for). At the root: namespaces and symlinks by name; replaces only an empty
 * namespace. */
int vfs_rename(struct state *p, uint64_t parent, const char *name, uint64_t newparent,
               const char *newname, unsigned flags, const struct vfs_cred *cred);
/* Same namespace: a hard link (the same nodeid comes back). Other namespace: a new inode that
 * references the same object, with the attributes and extended attributes of the first; regular
 * files only (-EXDEV otherwise). E */
int vfs_link(struct state *p, uint64_t nodeid, uint64_t newparent, const char *newname,
             struct vfs_attr *ret);
/* A new file, mode 0644, owned by `cred`, that references the sealed object `id`. -ENOENT. E */
int vfs_link_object(struct state *p, const struct id *id, uint64_t newparent, const char *newname,
                    const struct vfs_cred *cred, struct vfs_attr *ret);

struct vfs_dirent {
    const char *name;     /* NUL-terminated; valid during the call */
    uint64_t cookie;      /* pass to vfs_readdir to go on behind this entry; 1 … 2^63-1 */
    struct vfs_attr attr; /* with `plus`: all of it (E); without: nodeid and type in mode */
};
/* Return false when there is no more room: this entry was not taken. */
typedef bool vfs_dirent_fn(const struct vfs_dirent *d, void *ctx);
/* Entries behind `cookie` (0: from the start), "." and ".." included. Called under the namespace's
 * lock: do not call back into vfs. */
int vfs_readdir(struct state *p, uint64_t nodeid, uint64_t cookie, bool plus, vfs_dirent_fn *fn,
                void *ctx);

int vfs_open(struct state *p, uint64_t nodeid, unsigned flags, struct vfs_file **ret_file);
/* Create a regular file and open it; an existing one is opened (without VFS_EXCL). E */
int vfs_create(struct state *p, uint64_t parent, const char *name, uint32_t mode,
               const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
               struct vfs_file **ret_file);
/* Create a regular file without a name in the namespace of directory `parent` and open it; its
 * last close deletes it, unless vfs_link gave it a name before (never with VFS_EXCL). E */
int vfs_tmpfile(struct state *p, uint64_t parent, uint32_t mode, const struct vfs_cred *cred,
                unsigned flags, struct vfs_attr *ret, struct vfs_file **ret_file);
/* Read the sealed object `id`; no inode. -ENOENT. */
int vfs_open_object(struct state *p, const struct id *id, struct vfs_file **ret_file);
/* Is the next read to move atime? Then it must reach us, not a cache. */
bool vfs_atime_due(const struct vfs_file *f);
/* Bytes read; 0 at the end. */
ssize_t vfs_read(struct vfs_file *f, void *buf, size_t len, uint64_t off);
/* The same past the caller's cache, which keeps nothing of it. */
ssize_t vfs_read_uncached(struct vfs_file *f, void *buf, size_t len, uint64_t off);
ssize_t vfs_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off);
/* What is written through `f` goes past the caller's cache of the file, or some of it may. Said
 * right after opening it; never of an object. */
void vfs_set_uncached(struct vfs_file *f);
/* vfs_write through such a file; or through one of which that was not said, and then the cache may
 * have anything. *ret_stale, if it is not NULL: a cache may have what was there
 * before. The caller forgets what it has of a range before it writes to it; but others may have
 * read it, through another open file, before the bytes were changed: so it is once anybody has read
 * the file while it was open so, until all have closed it. The caller forgets the range again, and
 * then says vfs_stale_gone, which may be after the file was released; until then vfs_write_back
 * changes nothing of it. -ENOMEM */
struct vfs_stale;
ssize_t vfs_write_uncached(struct vfs_file *f, const void *buf, size_t len, uint64_t off,
                           struct vfs_stale **ret_stale);
void vfs_stale_gone(struct vfs_stale *stale);
/* vfs_write of whole pages that the cache has, of which some bytes were changed in a mapping. */
ssize_t vfs_write_back(struct vfs_file *f, const void *buf, size_t len, uint64_t off);
/* Share [off, off+len) of `in` with `out` at the same offset, without copying bytes. Returns how
 * many bytes were shared: with very many extents fewer than asked for, and the next call goes on;
 * -EOPNOTSUPP where sharing is not possible (the caller copies). */
ssize_t vfs_share_range(struct vfs_file *in, uint64_t off_in, struct vfs_file *out,
                        uint64_t off_out, size_t len);
/* fallocate(2): `mode` 0 or FALLOC_FL_KEEP_SIZE (nothing is reserved, but -ENOSPC where the disk
 * would not take it), PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE with or without KEEP_SIZE; any other is
 * -EOPNOTSUPP. Whole pages of 4 KiB become holes, less is written as zeros. -EBADF, -EINVAL,
 * -EFBIG, -EROFS. */
int vfs_fallocate(struct vfs_file *f, int mode, uint64_t off, uint64_t len);
/* lseek(2), SEEK_DATA or SEEK_HOLE: the offset of the next data or hole at or behind `off`. -ENXIO:
 * `off` is not in the file, or no data follows. */
int64_t vfs_seek(struct vfs_file *f, uint64_t off, bool data);
/* Only -EWOULDWAIT is an error: then it is open still. */
int vfs_release(struct vfs_file *f);

/* Extended attributes. Names with the prefix user., trusted. or security., and the two of POSIX
 * ACLs; others are -EOPNOTSUPP, a prefix alone is -EINVAL, more than 255 bytes or none are -ERANGE.
 * `cap` 0 asks for the length; too small a one is -ERANGE. The mount root and symlinks in it have
 * none.
 *
 * user.tally.object (32 hex digits; -ENODATA for an empty or unsealable file) and user.tally.refs
 * are answers to who asks by name: never listed, and -EPERM to set or remove like all user.tally.*.
 */
#define VFS_XATTR_OURS "user.tally."
ssize_t vfs_getxattr(struct state *p, uint64_t nodeid, const char *name, void *buf, size_t cap);
/* The names, each with its NUL; those with trusted. only if `trusted`. */
ssize_t vfs_listxattr(struct state *p, uint64_t nodeid, char *buf, size_t cap, bool trusted);
enum vfs_xattr_flags {
    VFS_XATTR_CREATE = 1 << 0,    /* -EEXIST if it is there */
    VFS_XATTR_REPLACE = 1 << 1,   /* -ENODATA if it is not */
    VFS_XATTR_KILL_SGID = 1 << 2, /* with an access ACL the set-gid bit goes */
};
/* At most 65,536 bytes (-E2BIG) and as many bytes of names (-ENOSPC). An ACL must be sound
 * (-EINVAL); the access ACL sets the mode and stays only if it says more, a default one needs a
 * directory
 * (-EACCES); both ignore CREATE and REPLACE. */
int vfs_setxattr(struct state *p, uint64_t nodeid, const char *name, const void *value, size_t len,
                 unsigned flags);
/* -ENODATA; an ACL that is not there is fine. */
int vfs_removexattr(struct state *p, uint64_t nodeid, const char *name);

/* ---- passthrough reading (passthrough_table.h) ----
 *
 * A file that nobody may write, and that is one large sealed object, the kernel can read by itself
 * from the object's file. Such an open is passthrough: so are then all others to read it until the
 * last is released, and until nobody maps it any more it is -ETXTBSY to change its bytes or size.
 * That is said only after waiting for 50 ms: a close is told of later. Without VFS_MAY_PASSTHROUGH
 * an inode that is open by passthrough is -ESTALE to readers: the kernel then asks again, by an
 * open. In a namespace with verify=open all bytes are verified first; -EUCLEAN. Reading moves atime
 * when the file is opened: what is read we do not see.
 */
bool vfs_is_passthrough(const struct vfs_file *f);
/* The object's file; borrowed, good until the release. Only of a passthrough one. */
int vfs_passthrough_fd(const struct vfs_file *f);
/* It is read through us after all, as an open that is not passthrough. */
void vfs_not_passthrough(struct vfs_file *f);

int vfs_statfs(struct state *p, struct disk_space *ret);
