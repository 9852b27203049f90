// SPDX-License-Identifier: Apache-2.0
/*
 * ops_xattr: extended attributes, ACLs among them. Nodes of `.tally` have none and take none.
 *
 * The kernel asks for security.capability at every write(2), and for the ACLs of files that other
 * users than the owner look at. If an inode has no attributes, core knows that from the inode
 * alone. With the mount option noxattr each of the four operations is answered with ENOSYS, after
 * which the kernel sends it no more.
 */
#include "ops.h"

#include "reply.h"
#include "tally_node.h"
#include "translate.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

/* Answers with `n`, which core has returned for `cap` bytes of room at `buf`. With `cap` 0 the
 * client has asked for the length only. */
static void reply(fuse_req_t req, ssize_t n, const char *buf, size_t cap)
{
    if (n < 0)
        fs_reply_err(req, n);
    else if (cap == 0)
        fuse_reply_xattr(req, (size_t)n);
    else
        fuse_reply_buf(req, buf, (size_t)n);
}

/* Answers with ENOSYS if the mount has the option noxattr. True: it has. */
static bool refused(fuse_req_t req)
{
    const bool r = fs_of(req)->o->noxattr;
    if (r)
        fuse_reply_err(req, ENOSYS);
    return r;
}

/* The attributes user.tally.* describe the sealed file, which may have to be sealed first. To users
 * who may not know of other references they do not exist. */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (refused(req))
        return;
    const bool sealed = strncmp(name, VFS_XATTR_OURS, strlen(VFS_XATTR_OURS)) == 0;
    if (taldir_owns(ino) || (sealed && !fs_may_know(fs_of(req), fuse_req_ctx(req)->uid))) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    if (sealed && fs_must_wait(req))
        return;
    char *buf = fs_buffer(size > 0 ? size : 1);
    ssize_t n = !buf ? -ENOMEM : vfs_getxattr(fs_of(req)->p, ino, name, buf, size);
    reply(req, n, buf, size);
}

/* Attributes with the prefix trusted. are listed only for clients with CAP_SYS_ADMIN. The kernel
 * does not tell a daemon the capabilities of a client, so root stands for them here. The kernel
 * itself decides who may get or set them. */
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    if (refused(req))
        return;
    const bool trusted = fuse_req_ctx(req)->uid == 0;
    char *buf = fs_buffer(size > 0 ? size : 1);
    ssize_t n = 0;
    if (!buf)
        n = -ENOMEM;
    else if (!taldir_owns(ino))
        n = vfs_listxattr(fs_of(req)->p, ino, buf, size, trusted);
    reply(req, n, buf, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags)
{
    if (refused(req))
        return;
    unsigned vflags = 0;
    if ((flags & XATTR_CREATE) != 0)
        vflags |= VFS_XATTR_CREATE;
    if ((flags & XATTR_REPLACE) != 0)
        vflags |= VFS_XATTR_REPLACE;
    if ((flags & FS_XATTR_KILL_SGID) != 0)
        vflags |= VFS_XATTR_KILL_SGID;
    int err =
        taldir_owns(ino) ? -EPERM : vfs_setxattr(fs_of(req)->p, ino, name, value, size, vflags);
    fs_reply_err(req, err);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    if (refused(req))
        return;
    fs_reply_err(req, taldir_owns(ino) ? -EPERM : vfs_removexattr(fs_of(req)->p, ino, name));
}
