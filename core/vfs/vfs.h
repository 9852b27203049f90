// SPDX-License-Identifier: Apache-2.0
/*
 * vfs: a store as a filesystem, in POSIX terms and without FUSE.
 *
 * Every node is named by its nodeid: namespace number (22 bit) ‖ inode number (42 bit). The nodeid
 * is also st_ino. An inode that a merge changed while it was open has another number there
 * (vnodes.h). VFS_ROOT is the directory of namespaces; the names in it are namespaces and
 * symlinks. A call returns -ESTALE for a nodeid whose namespace or inode no longer exists.
 *
 * Calls that return an entry (marked E) count one kernel reference on the entry's namespace. The
 * caller gives the reference back by vfs_forget. A namespace number is reused only when no
 * reference to it is left.
 *
 * The kernel checks permissions (default_permissions). Errors: 0 or -errno as ext4 would
 * give; damage is -EIO and a report. Threads: all calls from any thread.
 *
 * A change waits while too much is in memory, and while the disk or the log is full. Closing or
 * truncating a large file may copy a part of it. Bytes on another shard are read from there. A file
 * that is read by passthrough may have to be verified first, or its passthrough reading may have to
 * end first. In each of these cases a thread that must not wait (nowait.h) gets -EWOULDWAIT, and
 * nothing has been changed. vfs_fallocate makes several changes: such a thread always gets it.
 */
#pragma once

#include "disk.h"
#include "id.h"
#include "vfs_types.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ns;
struct state;

/* An open file; made by vfs_open, vfs_create, vfs_tmpfile or vfs_open_object, freed by
 * vfs_release. */
struct vfs_file;

int vfs_lookup(struct state *p, uint64_t parent, const char *name, struct vfs_attr *ret); /* E */
/* The node that a path leads to. `path`, `ns_len` and `rest` are the parts that command_path gives.
 * A symlink at the end of the path is not followed. The caller forgets *ret_node once. */
int vfs_lookup_path(struct state *p, const char *path, size_t ns_len, const char *rest,
                    uint64_t *ret_node);
/* Look a node up by its number alone, for a file handle that outlived all caches. -ESTALE: the node
 * is gone, or has no name any more. E, except for VFS_ROOT. */
int vfs_lookup_node(struct state *p, uint64_t nodeid, struct vfs_attr *ret);
/* The directory that contains the directory `nodeid`. Errors and references as vfs_lookup_node;
 * -ENOTDIR if `nodeid` is no directory. */
int vfs_lookup_parent(struct state *p, uint64_t nodeid, struct vfs_attr *ret);
void vfs_forget(struct state *p, uint64_t nodeid, uint64_t count);
/* The snapshots of namespaces. A snapshot has a number and nodes as any namespace, and is not in
 * the root; nothing in it can be changed. The number of the namespace `name` in the root. -ENOENT
 * also if nothing is kept of it. */
int vfs_snapshot_owner(struct state *p, const char *name, uint32_t *ret_number);
/* Looks up a snapshot of the namespace with the number `of`, or if the name is a sequence number
 * what is held of it as the base of a branch, which is not listed. -ENOENT; E */
int vfs_lookup_snapshot(struct state *p, uint32_t of, const char *name, struct vfs_attr *ret);
/* The setting ns:NAME.snapdir of a namespace: its snapshots are shown in it, to all who can enter
 * it. So what gives rights is not shown as that in any of them, wherever it is read, and until the
 * store is closed also after the setting was off again: a file has no set-id bits, and no attribute
 * VFS_CAPABILITY. */
bool vfs_snapdir(struct state *p, const struct ns *ns);
int vfs_set_snapdir(struct state *p, struct ns *ns, bool on); /* as ns_setting_set */
bool vfs_has_snapdir(struct state *p, uint32_t number);       /* false also of no namespace */
/* Is the namespace of that number such a snapshot? The caller does not hold "names". */
bool ns_gives_no_rights(struct state *p, uint32_t number);
int vfs_getattr(struct state *p, uint64_t nodeid, struct vfs_attr *ret);
/* `set` is a mask of enum vfs_set: it says which members of `in` are used. *ret gets the
 * attributes after the change. */
int vfs_setattr(struct state *p, uint64_t nodeid, unsigned set, const struct vfs_attr *in,
                struct vfs_attr *ret);

/* Regular files, fifos, sockets, devices, directories, by the type in `mode`. The set-gid bit and
 * the default ACL of the parent are honoured. At the root: S_IFDIR creates a namespace, all else is
 * -EPERM. E */
int vfs_mknod(struct state *p, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
              const struct vfs_cred *cred, struct vfs_attr *ret);
int vfs_symlink(struct state *p, uint64_t parent, const char *name, const char *target,
                const struct vfs_cred *cred, struct vfs_attr *ret); /* E */
/* `buf` has `cap` bytes, at least PATH_MAX, and gets the target with a NUL behind it. -EINVAL: the
 * node is no symlink. */
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
/* Called for each entry. It returns false when it has no room for the entry; the entry then counts
 * as not given. */
typedef bool vfs_dirent_fn(const struct vfs_dirent *d, void *ctx);
/* List the entries behind `cookie` (0: from the start), "." and ".." included. `fn` is called with
 * the namespace's lock held: it must not call back into the vfs. */
int vfs_readdir(struct state *p, uint64_t nodeid, uint64_t cookie, bool plus, vfs_dirent_fn *fn,
                void *ctx);

/* Lists the snapshots of the namespace with the number `of`, or if that is 0 the namespaces in the
 * root that have some. An entry has a nodeid and a type. Its cookie is its number; those behind
 * `after` are listed. `fn` may call back into the vfs. */
int vfs_list_snapshots(struct state *p, uint32_t of, uint32_t after, vfs_dirent_fn *fn, void *ctx);

int vfs_open(struct state *p, uint64_t nodeid, unsigned flags, struct vfs_file **ret_file);
/* Create a regular file and open it; an existing one is opened (without VFS_EXCL). E */
int vfs_create(struct state *p, uint64_t parent, const char *name, uint32_t mode,
               const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
               struct vfs_file **ret_file);
/* Create a regular file without a name in the namespace of directory `parent` and open it; its
 * last close deletes it, unless vfs_link gave it a name before (never with VFS_EXCL). E */
int vfs_tmpfile(struct state *p, uint64_t parent, uint32_t mode, const struct vfs_cred *cred,
                unsigned flags, struct vfs_attr *ret, struct vfs_file **ret_file);
/* Open the sealed object `id` for reading; the file has no inode. -ENOENT: there is no such
 * object. */
int vfs_open_object(struct state *p, const struct id *id, struct vfs_file **ret_file);
/* Would the next read change atime? Then the read must reach the vfs, not be answered from a
 * cache. */
bool vfs_atime_due(const struct vfs_file *f);
/* Returns the number of bytes read; 0 at the end of the file. */
ssize_t vfs_read(struct vfs_file *f, void *buf, size_t len, uint64_t off);
/* As vfs_read, for a caller whose cache does not keep these bytes. */
ssize_t vfs_read_uncached(struct vfs_file *f, void *buf, size_t len, uint64_t off);
ssize_t vfs_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off);
/* Writes through `f` bypass the caller's cache of the file, or some of them may. The caller calls
 * this right after it opened the file; never for an object opened by id. */
void vfs_set_uncached(struct vfs_file *f);
/* vfs_write past the caller's cache, through a file of which vfs_set_uncached was called. If it was
 * not called, this call does so, and takes it that the cache may hold any page of the file. At most
 * 8 MiB are written per call. The caller drops the range from its cache before the call. Another
 * open file may have read the old bytes into the cache again before they changed; this is possible
 * once the file was read while it was open in this way, until all have closed it. Then *ret_stale
 * is a record of the range, else NULL. The caller drops the range from its cache again and then
 * calls vfs_stale_gone, also after the file was released. Until then vfs_write_back leaves the
 * bytes of the range as they are. -ENOMEM */
struct vfs_stale;
ssize_t vfs_write_uncached(struct vfs_file *f, const void *buf, size_t len, uint64_t off,
                           struct vfs_stale **ret_stale);
void vfs_stale_gone(struct vfs_stale *stale);
/* vfs_write of whole pages from the caller's cache, in which a mapping changed some bytes. Returns
 * `len`, or the error of the first part that could not be written: a cache that hears of a short
 * write takes the rest for written, too. */
ssize_t vfs_write_back(struct vfs_file *f, const void *buf, size_t len, uint64_t off);
/* Share [off, off+len) of `in` with `out` at the same offset, without copying bytes. Returns the
 * number of bytes shared. It is less than `len` if the range has very many extents; the next call
 * continues. -EOPNOTSUPP: sharing is not possible, and the caller copies. */
ssize_t vfs_share_range(struct vfs_file *in, uint64_t off_in, struct vfs_file *out,
                        uint64_t off_out, size_t len);
/* fallocate(2): `mode` 0 or FALLOC_FL_KEEP_SIZE (no space is reserved, but -ENOSPC if the disk
 * could not take the bytes), PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE with or without KEEP_SIZE; any
 * other mode is -EOPNOTSUPP. Whole pages of 4 KiB become holes; the rest of the range is written as
 * zeros. -EBADF, -EINVAL, -EFBIG, -EROFS. */
int vfs_fallocate(struct vfs_file *f, int mode, uint64_t off, uint64_t len);
/* lseek(2), SEEK_DATA or SEEK_HOLE: the offset of the next data or hole at or behind `off`. -ENXIO:
 * `off` is not in the file, or no data follows. */
int64_t vfs_seek(struct vfs_file *f, uint64_t off, bool data);
/* Close `f` and free it. The only error is -EWOULDWAIT: then `f` is still open. */
int vfs_release(struct vfs_file *f);

/* Extended attributes. Allowed are names with the prefix user., trusted. or security., and the two
 * names of POSIX ACLs. Any other name is -EOPNOTSUPP, a prefix alone is -EINVAL, a name of more
 * than 255 bytes or of none is -ERANGE. `cap` 0 asks for the length; a `cap` that is too small is
 * -ERANGE. The mount root and the symlinks in it have no extended attributes.
 *
 * user.tally.object (32 hex digits, or "sha256:" and 64 of bytes that were never in the store;
 * -ENODATA for an empty or unsealable file) and user.tally.refs can be read by name. They are never
 * listed, and setting or removing any user.tally.* is -EPERM.
 */
#define VFS_CAPABILITY "security.capability" /* of a file: what who runs it may do */
#define VFS_XATTR_OURS "user.tally."
#define VFS_XATTR_OURS_MAX 71 /* bytes of the longest of their values */
ssize_t vfs_getxattr(struct state *p, uint64_t nodeid, const char *name, void *buf, size_t cap);
/* The names, each with its NUL; those with trusted. only if `trusted`. */
ssize_t vfs_listxattr(struct state *p, uint64_t nodeid, char *buf, size_t cap, bool trusted);
enum vfs_xattr_flags {
    VFS_XATTR_CREATE = 1 << 0,    /* -EEXIST if it is there */
    VFS_XATTR_REPLACE = 1 << 1,   /* -ENODATA if it is not */
    VFS_XATTR_KILL_SGID = 1 << 2, /* setting an access ACL clears the set-gid bit */
};
/* `value` has at most 65,536 bytes (-E2BIG). All names of an inode together have at most as many
 * (-ENOSPC). An ACL must be well-formed (-EINVAL). An access ACL sets the mode, and is stored only
 * if it says more than the mode does. A default ACL needs a directory (-EACCES). Both kinds ignore
 * CREATE and REPLACE. */
int vfs_setxattr(struct state *p, uint64_t nodeid, const char *name, const void *value, size_t len,
                 unsigned flags);
/* -ENODATA: there is no such attribute. Removing an ACL that does not exist succeeds. */
int vfs_removexattr(struct state *p, uint64_t nodeid, const char *name);

/* ---- passthrough reading (passthrough_table.h) ----
 *
 * The kernel can read a file by itself, from the object's file, if the file is one large sealed
 * object and nobody has it open for writing. Such an open is a passthrough open. From then on every
 * other open for reading is one too, until the last of them is released. Until then, and as long as
 * the file is mapped, changing its bytes or its size is -ETXTBSY. That error comes only after a
 * wait of 50 ms, since the kernel reports a close late. Without VFS_MAY_PASSTHROUGH, opening such
 * an inode for reading is -ESTALE: the kernel then asks again, by an open. In a namespace with
 * verify=open all bytes are verified first; -EUCLEAN. A passthrough open moves atime when the file
 * is opened, because the vfs does not see the reads.
 */
bool vfs_is_passthrough(const struct vfs_file *f);
/* The descriptor of the object's file. It is borrowed and valid until the release. Only for a
 * passthrough open. */
int vfs_passthrough_fd(const struct vfs_file *f);
/* Turn `f` into an open that is not passthrough: its reads come to vfs_read. */
void vfs_not_passthrough(struct vfs_file *f);

int vfs_statfs(struct state *p, struct disk_space *ret);
/* The same for who asks at a node: of a namespace with limits only what these leave. */
int vfs_statfs_at(struct state *p, uint64_t nodeid, struct disk_space *ret);
