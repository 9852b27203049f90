// SPDX-License-Identifier: Apache-2.0
/*
 * vfs: a project as a filesystem, in POSIX terms and without FUSE.
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
 */
#pragma once

#include "id.h"
#include "project.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VFS_NAME_MAX 255
#define VFS_INO_BITS 42
#define VFS_NS_MAX 0x3ffff0u /* namespace numbers are 1 … this; above: the mount's own nodes */
#define VFS_ROOT UINT64_C(1)
#define VFS_TOP_INO 1 /* inode number of what stands at the root: a directory or a symlink */

static inline uint64_t vfs_node(uint32_t ns, uint64_t ino)
{
    return (uint64_t)ns << VFS_INO_BITS | ino;
}
static inline uint32_t vfs_node_ns(uint64_t node)
{
    return (uint32_t)(node >> VFS_INO_BITS);
}
static inline uint64_t vfs_node_ino(uint64_t node)
{
    return node & ((UINT64_C(1) << VFS_INO_BITS) - 1);
}

struct vfs_attr {
    uint64_t nodeid;
    uint32_t generation;
    uint32_t mode, nlink, uid, gid, rdev;
    uint64_t size;                      /* bytes */
    uint64_t blocks;                    /* of 512 bytes */
    int64_t atime, mtime, ctime, btime; /* ns since the epoch */
};

struct vfs_cred {
    uint32_t uid, gid;
    uint32_t umask; /* taken off the mode of what is made, unless a default ACL says what it gets */
};

struct vfs_file; /* an open file */

enum vfs_open_flags {
    VFS_WRITE = 1 << 0, /* may write; else only read */
    VFS_TRUNC = 1 << 1,
    VFS_EXCL = 1 << 2, /* vfs_create: -EEXIST if the name is there */
    /* With VFS_TRUNC: who opens may not keep set-id bits. The kernel leaves that to us here alone:
     * the truncation is part of the open. */
    VFS_OPEN_KILL_SUID = 1 << 3,
    VFS_NOATIME = 1 << 4, /* reading through it leaves atime alone */
    VFS_MAY_NATIVE = 1 << 5, /* the kernel can read it by itself (see "native reading" below) */
    VFS_NATIVE_ALL = 1 << 6, /* also what may be written */
    VFS_MAY_WAIT = 1 << 7,   /* this thread may wait a little */
};

enum vfs_set {
    VFS_SET_MODE = 1 << 0,
    VFS_SET_UID = 1 << 1,
    VFS_SET_GID = 1 << 2,
    VFS_SET_SIZE = 1 << 3,
    VFS_SET_ATIME = 1 << 4, /* attr.atime; */
    VFS_SET_MTIME = 1 << 5,
    VFS_SET_ATIME_NOW = 1 << 6,
    VFS_SET_MTIME_NOW = 1 << 7,
    VFS_SET_CTIME = 1 << 8,
    VFS_KILL_SUID = 1 << 9, /* drop set-uid, and set-gid where group-executable */
    VFS_SET_MAY_WAIT = 1 << 10, /* changes nothing: as VFS_MAY_WAIT */
};

int vfs_lookup(struct project *p, uint64_t parent, const char *name, struct vfs_attr *ret); /* E */
/* By number alone, as a handle has it that outlived all caches. -ESTALE: it is gone, or has no name
 * any more. E, but for VFS_ROOT. */
int vfs_lookup_node(struct project *p, uint64_t nodeid, struct vfs_attr *ret);
/* The directory that directory `nodeid` is in. Likewise. */
int vfs_lookup_parent(struct project *p, uint64_t nodeid, struct vfs_attr *ret);
void vfs_forget(struct project *p, uint64_t nodeid, uint64_t count);
int vfs_getattr(struct project *p, uint64_t nodeid, struct vfs_attr *ret);
/* `set`: which of enum vfs_set; values from `in`. */
int vfs_setattr(struct project *p, uint64_t nodeid, unsigned set, const struct vfs_attr *in,
                struct vfs_attr *ret);

/* Regular files, fifos, sockets, devices, directories, by the type in `mode`. The set-gid bit and
 * the default ACL of the parent are honoured. At the root: S_IFDIR creates a namespace, all else is
 * -EPERM. E */
int vfs_mknod(struct project *p, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
              const struct vfs_cred *cred, struct vfs_attr *ret);
int vfs_symlink(struct project *p, uint64_t parent, const char *name, const char *target,
                const struct vfs_cred *cred, struct vfs_attr *ret); /* E */
/* `buf` of PATH_MAX bytes gets a NUL-terminated target. */
int vfs_readlink(struct project *p, uint64_t nodeid, char *buf, size_t cap);
int vfs_unlink(struct project *p, uint64_t parent, const char *name);
/* At the root: -ENOTEMPTY unless the namespace is empty; -EBUSY while files are open in it. */
int vfs_rmdir(struct project *p, uint64_t parent, const char *name);
/* `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT (linux/fs.h values) or 0. -EXDEV
 * between namespaces. A whiteout is a character device 0:0 of mode 0, owned by `cred` (NULL where
 * none is asked for). At the root: namespaces and symlinks by name; replaces only an empty
 * namespace. */
int vfs_rename(struct project *p, uint64_t parent, const char *name, uint64_t newparent,
               const char *newname, unsigned flags, const struct vfs_cred *cred);
/* Same namespace: a hard link (the same nodeid comes back). Other namespace: a new inode that
 * references the same object, with the attributes and extended attributes of the first; regular
 * files only (-EXDEV otherwise). E */
int vfs_link(struct project *p, uint64_t nodeid, uint64_t newparent, const char *newname,
             struct vfs_attr *ret);
/* A new file, mode 0644, owned by `cred`, that references the sealed object `id`. -ENOENT. E */
int vfs_link_object(struct project *p, const struct id *id, uint64_t newparent, const char *newname,
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
int vfs_readdir(struct project *p, uint64_t nodeid, uint64_t cookie, bool plus, vfs_dirent_fn *fn,
                void *ctx);

int vfs_open(struct project *p, uint64_t nodeid, unsigned flags, struct vfs_file **ret_file);
/* Create a regular file and open it; an existing one is opened (without VFS_EXCL). E */
int vfs_create(struct project *p, uint64_t parent, const char *name, uint32_t mode,
               const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
               struct vfs_file **ret_file);
/* Create a regular file without a name in the namespace of directory `parent` and open it; its
 * last close deletes it, unless vfs_link gave it a name before (never with VFS_EXCL). E */
int vfs_tmpfile(struct project *p, uint64_t parent, uint32_t mode, const struct vfs_cred *cred,
                unsigned flags, struct vfs_attr *ret, struct vfs_file **ret_file);
/* Read the sealed object `id`; no inode. -ENOENT. */
int vfs_open_object(struct project *p, const struct id *id, struct vfs_file **ret_file);
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
 * then says vfs_stale_gone; until then vfs_write_back changes nothing of it. -ENOMEM */
struct vfs_stale;
ssize_t vfs_write_uncached(struct vfs_file *f, const void *buf, size_t len, uint64_t off,
                           struct vfs_stale **ret_stale);
void vfs_stale_gone(struct vfs_file *f, struct vfs_stale *stale);
/* vfs_write of whole pages that the cache has, of which some bytes were changed in a mapping. */
ssize_t vfs_write_back(struct vfs_file *f, const void *buf, size_t len, uint64_t off);
/* Share [off, off+len) of `in` with `out` at the same offset, without copying bytes. Returns how
 * many bytes were shared: with very many extents fewer than asked for, and the next call goes on;
 * -EOPNOTSUPP where sharing is not possible (the caller copies). */
ssize_t vfs_share_range(struct vfs_file *in, uint64_t off_in, struct vfs_file *out,
                        uint64_t off_out, size_t len);
/* fallocate(2): `mode` 0 or FALLOC_FL_KEEP_SIZE (nothing is reserved, but -ENOSPC where the disk
 * would not take it), PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE with or without KEEP_SIZE; any other is
 * -EOPNOTSUPP. Whole grains of 128 KiB become holes, less is written as zeros. -EBADF, -EINVAL,
 * -EFBIG, -EROFS. */
int vfs_fallocate(struct vfs_file *f, int mode, uint64_t off, uint64_t len);
/* lseek(2), SEEK_DATA or SEEK_HOLE: the offset of the next data or hole at or behind `off`. -ENXIO:
 * `off` is not in the file, or no data follows. */
int64_t vfs_seek(struct vfs_file *f, uint64_t off, bool data);
/* Was the file written through this handle? (so that close may seal soon) */
void vfs_release(struct vfs_file *f);

/* Extended attributes. Names with the prefix user., trusted. or security., and the two of POSIX
 * ACLs; others are -EOPNOTSUPP, a prefix alone is -EINVAL, more than 255 bytes or none are -ERANGE.
 * `cap` 0 asks for the length; too small a one is -ERANGE. The mount root and symlinks in it have
 * none.
 *
 * user.tally.object (32 hex digits; -ENODATA for an empty or unsealable file) and user.tally.refs
 * are answers to who asks by name: never listed, and -EPERM to set or remove like all user.tally.*.
 */
#define VFS_XATTR_OURS "user.tally."
ssize_t vfs_getxattr(struct project *p, uint64_t nodeid, const char *name, void *buf, size_t cap);
/* The names, each with its NUL; those with trusted. only if `trusted`. */
ssize_t vfs_listxattr(struct project *p, uint64_t nodeid, char *buf, size_t cap, bool trusted);
enum vfs_xattr_flags {
    VFS_XATTR_CREATE = 1 << 0,    /* -EEXIST if it is there */
    VFS_XATTR_REPLACE = 1 << 1,   /* -ENODATA if it is not */
    VFS_XATTR_KILL_SGID = 1 << 2, /* with an access ACL the set-gid bit goes */
};
/* At most 65,536 bytes (-E2BIG) and as many bytes of names (-ENOSPC). An ACL must be sound
 * (-EINVAL); the access ACL sets the mode and stays only if it says more, a default one needs a
 * directory
 * (-EACCES); both ignore CREATE and REPLACE. */
int vfs_setxattr(struct project *p, uint64_t nodeid, const char *name, const void *value,
                 size_t len, unsigned flags);
/* -ENODATA; an ACL that is not there is fine. */
int vfs_removexattr(struct project *p, uint64_t nodeid, const char *name);

/* ---- native reading (native.h) ----
 *
 * A file that nobody may write, and that is one large sealed object, the kernel can read by itself
 * from the object's file. Such an open is native: so are then all others to read it until the last
 * is released, and until nobody maps it any more it is -ETXTBSY to change its bytes or size. With
 * VFS_MAY_WAIT that is said only after waiting for 50 ms: a close is told of later. Without
 * VFS_MAY_NATIVE an inode that is open natively is -ESTALE to readers: the kernel then asks again,
 * by an open. In a namespace with verify=open all bytes are verified first, if this thread may wait
 * (else the open is not native); -EUCLEAN.
 * Reading moves atime when the file is opened: what is read we do not see.
 */
bool vfs_is_native(const struct vfs_file *f);
/* The object's file; borrowed, good until the release. Only of a native one. */
int vfs_native_fd(const struct vfs_file *f);
/* It is read through us after all, as an open that is not native. */
void vfs_not_native(struct vfs_file *f);
/* Might opening it with these flags, or changing its size, wait or read much? */
bool vfs_open_is_work(struct project *p, uint64_t nodeid, unsigned flags);
/* Can what a native reading leaves behind be seen at all, on the disk of `fd`, a file that nobody
 * else has open? -errno of fcntl(2), F_SETLEASE. SIGIO must be ignored. */
int vfs_native_probe(int fd);
struct vfs_natives {
    size_t open;           /* inodes that are open natively, */
    size_t sealed_by_disk; /* of these with fs-verity; */
    size_t closed;         /* and those that were, and may still be mapped */
};
void vfs_get_natives(struct project *p, struct vfs_natives *ret);

int vfs_statfs(struct project *p, struct disk_space *ret);

/* ---- threads that must not wait (vfs_ahead.c) ----
 *
 * Changes wait where too much is in memory, and where disk or log are full; closing or cutting a
 * large file may copy some of it. A thread that others rely on asks before it begins; for an answer
 * of no, another thread makes the change. Between vfs_ahead and vfs_ahead_end the calls of this
 * thread wait for no flush, and one change, with at most `bytes` of data, has its room in the log;
 * with a second one it may wait. What a limit is exceeded by so is one request of each such thread.
 */
bool vfs_ahead(struct project *p, size_t bytes);
void vfs_ahead_end(void);
/* Would reading there, or writing there, read from another shard? */
bool vfs_read_is_work(const struct vfs_file *f, uint64_t off, size_t len);
bool vfs_write_is_work(const struct vfs_file *f, uint64_t off, size_t len);
/* May anything at all be on another shard? */
bool vfs_has_ghosts(struct project *p);
/* Might closing this file, or cutting that one, move many bytes? */
bool vfs_release_is_work(const struct vfs_file *f);
bool vfs_cut_is_work(struct project *p, uint64_t nodeid);

