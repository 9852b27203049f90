// SPDX-License-Identifier: Apache-2.0
/* vfs_impl: what the vfs_*.c files share. */
#pragma once

#include "names.h"
#include "state.h"
#include "vfs_dir.h"
#include <errno.h>
#include <sys/stat.h>

struct vfs_file {
    struct state *p;
    struct vnode *v;       /* referenced and open; NULL for an object */
    struct passthrough_file *passthrough; /* NULL: read through us */
    bool write, noatime;
    _Atomic bool uncached;
    uint64_t object; /* held; of an object opened by id */
};

/* An inode, also one that is an orphan or a symlink at the root, and what stat says of it. */
int inode_get(struct state *p, uint64_t nodeid, struct inode *ret, struct vfs_attr *attr);
/* The entry of the one object that a whole file is, sealed; -ENODATA otherwise. */
int sealed_object(struct state *p, uint64_t nodeid, struct entry *ret);
/* Fill the attributes of inode `ino` in `ns`. */
void attr_fill(const struct ns *ns, uint64_t ino, const struct inode *in, struct vfs_attr *ret);
/* Of a symlink at the root. */
void attr_fill_link(const struct ns *ns, struct vfs_attr *ret);
void attr_fill_root(struct state *p, struct vfs_attr *ret);
/* The kernel knows one nodeid of `ns` more. */
static inline void vfs_remember(struct ns *ns)
{
    atomic_fetch_add(&ns->nlookup, 1);
}

/* Begin a change in the namespace of `nodeid`: throttle, room in the log, freeze_lock (read),
 * namespace found; its lock is the caller's business. */
int change_begin(struct state *p, uint64_t nodeid, struct txn *ret);
/* The same for what gives space back: it goes on where a full disk lets nothing be flushed. */
int change_begin_removal(struct state *p, uint64_t nodeid, struct txn *ret);

/* May the inode be changed, as far as its namespace goes? What is unlinked belongs to none. Asked
 * with the freeze lock held the answer stays true until it is let go. */
static inline int vnode_changeable(const struct vnode *v)
{
    return v->ns->frozen && !v->orphan ? -EROFS : 0;
}

static inline bool node_is_root(uint64_t nodeid)
{
    return nodeid == VFS_ROOT;
}

/* ---- access times (vfs_atime.c) ---- */

/* The inode was read. Where nothing may be changed just now, nothing is. Holding nothing. */
void atime_touch(struct state *p, struct vnode *v);
void atime_touch_node(struct state *p, uint64_t nodeid);

/* ---- directories (vfs_name.c); all need the namespace's lock ---- */

int name_check(const char *name); /* -ENAMETOOLONG */
/* A directory's inode; -ENOTDIR, -ENOENT it was removed, -ESTALE. */
int dir_load(const struct tree *t, uint64_t ino, struct inode *ret);
/* Owner, group and times of something made in `dir`: set-gid directories hand their group on. */
void inode_inherit(struct state *p, const struct inode *dir, const struct vfs_cred *cred,
                   struct inode *in);
/* A regular file without a name, an orphan from the start; *ret_v is referenced and open. */
int make_nameless(struct state *p, uint64_t parent, uint32_t mode, const struct vfs_cred *cred,
                  unsigned flags, struct vfs_attr *ret, struct vnode **ret_v);
/* ---- extended attributes (vfs_xattr.c, vfs_acl.c); all need the lock of the tree ---- */

/* What is made in a directory of `ns` has what its default ACL hands on, or a mode less the umask:
 * items of `to`, which has no attributes, and mode and flags of `in`, which the caller stores. What
 * is there after a failure is deleted with the inode's items. */
int acl_make(struct state *p, struct ns *ns, uint64_t dir_ino, const struct inode *dir,
             uint32_t umask, struct items *to, struct inode *in);
/* After chmod: the access ACL of an inode that may have one says `mode`, too. */
int acl_follow_mode(struct state *p, struct items *it, uint32_t mode);

/* ---- changing what a file's inode names (vfs_write.c); v->io (write) and the freeze lock held
 * ---- */
int file_truncate(struct txn *t, struct vnode *v, uint64_t size);
/* Drop set-uid, and set-gid where group-executable. */
bool inode_kill_suid(struct inode *in);
