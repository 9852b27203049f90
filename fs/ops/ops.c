// SPDX-License-Identifier: Apache-2.0
/*
 * ops: the operations on names and attributes, and the table of all operations.
 *
 * Three operations are left out of the table on purpose. flush: the kernel sends no more of them
 * after the first ENOSYS, and a file is sealed after its release anyway. access: the kernel checks
 * permissions (default_permissions). Locks: the kernel keeps them.
 */
#include "ops.h"

#include "clock.h"
#include "init.h"
#include "listed.h"
#include "notify.h"
#include "reply.h"
#include "tal_ops.h"
#include "taldir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

/* Does the name lead to a directory of ours in the top directory of a namespace, if the namespace
 * has no file of that name? */
static bool leads_to_ours(struct fs *fs, uint64_t parent, const char *name)
{
    return (fs_is_door(parent, name) && !fs->o->nocontrol) ||
           (fs_is_snapdir(parent, name) && vfs_has_snapdir(fs->p, vfs_node_ns(parent)));
}

/* Is it such a name, and not a file? A file of that name that the namespace has, from before or by
 * a mount with nocontrol, is in its place. */
static bool is_ours(struct fs *fs, uint64_t parent, const char *name)
{
    struct vfs_attr a;
    if (!leads_to_ours(fs, parent, name))
        return false;
    int err = vfs_lookup(fs->p, parent, name, &a);
    if (err == 0)
        vfs_forget(fs->p, a.nodeid, 1);
    return err == -ENOENT;
}

/* May that name be changed? 0, -EPERM for a name below `.tally`, or `taken` for the name `.tally`
 * itself. */
static int check_change(struct fs *fs, uint64_t parent, const char *name, int taken)
{
    if (taldir_owns(parent))
        return -EPERM;
    return fs_is_tally(parent, name) || is_ours(fs, parent, name) ? taken : 0;
}

/* Answers a LOOKUP of "." or "..", which the kernel sends for a file handle (open_by_handle_at(2))
 * whose inode, or whose parent's, it has forgotten. Nodes of `.tally` are not found in this way,
 * since the rights to enter it are checked along the path. */
static void lookup_dots(fuse_req_t req, uint64_t node, bool parent)
{
    struct fs *fs = fs_of(req);
    struct vfs_attr a;
    int err = taldir_owns(node) ? -ESTALE
              : parent          ? vfs_lookup_parent(fs->p, node, &a)
                                : vfs_lookup_node(fs->p, node, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fs_reply_entry(req, &a);
}

/* The kernel keeps a name that does not exist for ever, except in the root, where names change
 * without a request of its own, and but for the one that a setting brings. */
static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct vfs_attr a;
    if (fs_must_seal(req))
        return;
    if (name[0] == '.' && (name[1] == '\0' || strcmp(name, "..") == 0)) {
        lookup_dots(req, parent, name[1] != '\0');
        return;
    }
    if (taldir_owns(parent) || fs_is_tally(parent, name)) {
        tal_op_lookup(req, parent, name);
        return;
    }
    int err = vfs_lookup(fs_of(req)->p, parent, name, &a);
    if (err == 0) {
        fs_reply_entry(req, &a);
    } else if (err == -ENOENT && leads_to_ours(fs_of(req), parent, name)) {
        tal_op_lookup(req, parent, name);
    } else if (err == -ENOENT && parent != VFS_ROOT && !fs_is_snapdir(parent, name)) {
        struct fuse_entry_param none = {.entry_timeout = FS_FOREVER};
        fuse_reply_entry(req, &none);
    } else {
        fs_reply_err(req, err);
    }
}

static void forget(struct fs *fs, uint64_t ino, uint64_t count)
{
    if (!taldir_owns(ino) && ino != VFS_ROOT)
        vfs_forget(fs->p, ino, count);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    forget(fs_of(req), ino, count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* Answers without the references of the object, for which a file might have to be sealed. */
static void reply_plain(fuse_req_t req, const struct vfs_attr *a)
{
    struct stat st;
    fs_stat(a, &st);
    fuse_reply_attr(req, &st, fs_attr_timeout(fs_of(req), a));
}

/* A GETATTR of a thread of our own (apart.h) is answered without work: a worker may wait for it, so
 * it must not wait for anything. */
static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct vfs_attr a;
    (void)fi;
    if (taldir_owns(ino)) {
        tal_op_getattr(req, ino);
        return;
    }
    const bool own = notify_is_own(fs_of(req), (uint32_t)fuse_req_ctx(req)->pid);
    if (!own && fs_must_seal(req)) /* a worker may wait for a request of our own */
        return;
    int err = vfs_getattr(fs_of(req)->p, ino, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else if (own)
        reply_plain(req, &a);
    else
        fs_reply_attr(req, &a);
}

/* The bits of enum vfs_set for those of libfuse. */
static unsigned set_of(int to_set)
{
    static const struct {
        int fuse;
        unsigned vfs;
    } map[] = {
        {FUSE_SET_ATTR_MODE, VFS_SET_MODE},   {FUSE_SET_ATTR_UID, VFS_SET_UID},
        {FUSE_SET_ATTR_GID, VFS_SET_GID},     {FUSE_SET_ATTR_SIZE, VFS_SET_SIZE},
        {FUSE_SET_ATTR_CTIME, VFS_SET_CTIME}, {FUSE_SET_ATTR_KILL_SUID, VFS_KILL_SUID},
    };
    unsigned set = 0;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if ((to_set & map[i].fuse) != 0)
            set |= map[i].vfs;
    /* With "now" the plain bit is set, too, but the time in the request is not meant. */
    if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0)
        set |= VFS_SET_ATIME_NOW;
    else if ((to_set & FUSE_SET_ATTR_ATIME) != 0)
        set |= VFS_SET_ATIME;
    if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0)
        set |= VFS_SET_MTIME_NOW;
    else if ((to_set & FUSE_SET_ATTR_MTIME) != 0)
        set |= VFS_SET_MTIME;
    return set;
}

/* As nanoseconds since the epoch. A time outside the years 1677 … 2262 becomes the nearest that 64
 * bits can hold. */
static int64_t ns_of(const struct timespec *t)
{
    return clock_join(t->tv_sec, t->tv_nsec);
}

/* Answers a SETATTR that sets nothing: the kernel sends it before a write, so that set-id bits are
 * cleared. It does so for every user, and also for a chown that changes nothing, without a check of
 * who the user is. So only the owner and root are obeyed. The answer shows other users a file
 * without the bits, too; their write itself then says that the bits must go (ops_file.c). */
static void drop_set_ids(fuse_req_t req, fuse_ino_t ino)
{
    struct fs *fs = fs_of(req);
    const uint32_t uid = fuse_req_ctx(req)->uid;
    struct vfs_attr a;
    int err = vfs_getattr(fs->p, ino, &a);
    if (err == 0 && (uid == 0 || uid == a.uid))
        err = vfs_setattr(fs->p, ino, VFS_KILL_SUID, &a, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fs_reply_set(req, &a);
}

/* Answers a SETATTR. The next listing of a directory must reach the daemon, since its access time
 * may be due to move again. If the mode was not set, the answer shows the mode as fs_reply_set
 * says. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    struct vfs_attr a;
    (void)fi;
    if (taldir_owns(ino)) {
        tal_op_setattr(req, ino, to_set);
        return;
    }
    if (fs_must_seal(req))
        return;
    if (to_set == 0) {
        drop_set_ids(req, ino);
        return;
    }
    const struct vfs_attr in = {
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .size = (uint64_t)st->st_size,
        .atime = ns_of(&st->st_atim),
        .mtime = ns_of(&st->st_mtim),
        .ctime = ns_of(&st->st_ctim),
    };
    int err = vfs_setattr(fs_of(req)->p, ino, set_of(to_set), &in, &a);
    if (err == 0 && S_ISDIR(a.mode))
        listed_again(fs_of(req), ino);
    if (err < 0)
        fs_reply_err(req, err);
    else if ((to_set & FUSE_SET_ATTR_MODE) != 0)
        fs_reply_attr(req, &a);
    else
        fs_reply_set(req, &a);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char target[PATH_MAX];
    int err = taldir_owns(ino) ? -EINVAL : vfs_readlink(fs_of(req)->p, ino, target, sizeof(target));
    if (err < 0)
        fs_reply_err(req, err);
    else
        fuse_reply_readlink(req, target);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct vfs_attr a;
    const struct vfs_cred cred = fs_cred(req);
    int err = check_change(fs_of(req), parent, name, -EEXIST);
    if (parent == VFS_ROOT)
        fs_asked_by(req);
    if (err == 0)
        err = vfs_mknod(fs_of(req)->p, parent, name, mode, (uint32_t)rdev, &cred, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fs_reply_entry(req, &a);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    op_mknod(req, parent, name, (mode & ~(mode_t)S_IFMT) | S_IFDIR, 0);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct vfs_attr a;
    const struct vfs_cred cred = fs_cred(req);
    int err = check_change(fs_of(req), parent, name, -EEXIST);
    if (err == 0)
        err = vfs_symlink(fs_of(req)->p, parent, name, target, &cred, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fs_reply_entry(req, &a);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    int err = check_change(fs_of(req), parent, name, -EPERM);
    fs_reply_err(req, err < 0 ? err : vfs_unlink(fs_of(req)->p, parent, name));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    int err = check_change(fs_of(req), parent, name, -EPERM);
    if (parent == VFS_ROOT)
        fs_asked_by(req);
    fs_reply_err(req, err < 0 ? err : vfs_rmdir(fs_of(req)->p, parent, name));
}

/* Called after a rename to another parent: if it was a directory, the kernel must drop its listing,
 * which has the old "..". */
static void forget_dots(struct fs *fs, uint64_t parent, const char *name)
{
    struct vfs_attr a;
    if (vfs_lookup(fs->p, parent, name, &a) < 0)
        return;
    if (S_ISDIR(a.mode))
        listed_again(fs, a.nodeid);
    vfs_forget(fs->p, a.nodeid, 1);
}

/* After a rename to another parent the kernel drops the listings of directories whose ".." has
 * changed: of both with RENAME_EXCHANGE. */
static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                      const char *newname, unsigned flags)
{
    const struct vfs_cred cred = fs_cred(req);
    int err = check_change(fs_of(req), parent, name, -EPERM);
    if (err == 0)
        err = check_change(fs_of(req), newparent, newname, -EPERM);
    if (parent == VFS_ROOT)
        fs_asked_by(req);
    if (err == 0)
        err = vfs_rename(fs_of(req)->p, parent, name, newparent, newname, flags, &cred);
    if (err == 0 && parent != newparent) {
        forget_dots(fs_of(req), newparent, newname);
        if ((flags & RENAME_EXCHANGE) != 0)
            forget_dots(fs_of(req), parent, name);
    }
    fs_reply_err(req, err);
}

/* Links a file of a namespace, or an object of `.tally` as a new file. */
static int link_node(struct fs *fs, uint64_t ino, uint64_t newparent, const char *newname,
                     const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct id id;
    int err = check_change(fs, newparent, newname, -EEXIST);
    if (err < 0)
        return err;
    if (!taldir_owns(ino))
        return vfs_link(fs->p, ino, newparent, newname, ret);
    err = taldir_object(fs->tal, ino, &id);
    return err < 0 ? err : vfs_link_object(fs->p, &id, newparent, newname, cred, ret);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
    struct vfs_attr a;
    const struct vfs_cred cred = fs_cred(req);
    if (fs_must_seal(req))
        return;
    int err = link_node(fs_of(req), ino, newparent, newname, &cred, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fs_reply_linked(req, &a);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct disk_space d;
    int err = vfs_statfs_at(fs_of(req)->p, ino, &d);
    if (err < 0) {
        fs_reply_err(req, err);
        return;
    }
    const struct statvfs st = {
        .f_bsize = d.block_size,
        .f_frsize = d.block_size,
        .f_blocks = d.blocks,
        .f_bfree = d.blocks_free,
        .f_bavail = d.blocks_avail,
        .f_files = d.files,
        .f_ffree = d.files_free,
        .f_favail = d.files_free,
        .f_namemax = VFS_NAME_MAX,
    };
    fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = init_op,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .symlink = op_symlink,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .link = op_link,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .release = op_release,
    .fsync = op_fsync,
    .fsyncdir = op_fsync,
    .copy_file_range = op_copy_file_range,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
};
