// SPDX-License-Identifier: Apache-2.0
/* vfs_impl: what the vfs_*.c files share. */
#pragma once

#include "vfs_ahead.h"
#include "names.h"
#include "state.h"
#include "vfs_dir.h"
#include <errno.h>
#include <sys/stat.h>

/* An open file. Its members do not change while it is open, but for `uncached`, and `passthrough`,
 * which vfs_not_passthrough clears. */
struct vfs_file {
    struct state *p;
    struct vnode *v; /* referenced and open; NULL: an object that was opened by its id */
    struct passthrough_file *passthrough; /* NULL: the daemon serves the reads */
    bool write, noatime;                  /* writing is allowed; reading does not move atime */
    _Atomic bool uncached;                /* counted in v->uncached (vfs_set_uncached) */
    uint64_t object;    /* without `v`: the object's number, held until the release */
    struct ahead ahead; /* what is read ahead of its readers */
};

/* Load an inode, and fill the attributes that stat returns. The inode may be an orphan, or a
 * symlink at the root. */
int inode_get(struct state *p, uint64_t nodeid, struct inode *ret, struct vfs_attr *attr);
/* The refcount table's entry of a file that is one object as a whole, sealed or ABSENT. -ENODATA:
 * the file is not. */
int sealed_object(struct state *p, uint64_t nodeid, struct entry *ret);
/* Fill the attributes of a node, and of inode `ino` in `ns`; both need ns->lock. */
void attr_fill_node(const struct ns *ns, uint64_t nodeid, const struct inode *in,
                    struct vfs_attr *ret);
void attr_fill(const struct ns *ns, uint64_t ino, const struct inode *in, struct vfs_attr *ret);
/* Fill the attributes of a symlink at the root. */
void attr_fill_link(const struct ns *ns, struct vfs_attr *ret);
/* Takes the set-id bits of a file away where ns_gives_no_rights. The caller does not hold
 * "names". */
void attr_mask(struct state *p, struct vfs_attr *a);
void attr_fill_root(struct state *p, struct vfs_attr *ret);
/* Count one kernel reference on `ns`. vfs_forget gives it back. */
static inline void vfs_remember(struct ns *ns)
{
    atomic_fetch_add(&ns->nlookup, 1);
}

/* ---- how a change begins (vfs_change.c) ---- */

/* Begin a change in the namespace of `nodeid`: wait for memory, reserve room in the log, take the
 * freeze lock (read), find the namespace. The caller takes the namespace's lock. */
int change_begin(struct state *p, uint64_t nodeid, struct txn *ret);
/* As change_begin, for a change that frees space: it proceeds although a full disk prevents a
 * flush. */
int change_begin_removal(struct state *p, uint64_t nodeid, struct txn *ret);

/* Does the inode's namespace allow a change? An unlinked inode belongs to no namespace, so it may
 * always be changed. If the caller holds the freeze lock the answer stays true until it releases
 * the lock. */
static inline int vnode_changeable(const struct vnode *v)
{
    return ns_is_fixed(v->ns) && !v->orphan ? -EROFS : 0;
}
/* The same for a change that may have come by a name. -ESTALE: a merge left the inode to its
 * readers (inode_renew), so by now the name leads to another node; the kernel then looks the name
 * up again. The caller holds no lock of the namespace. */
static inline int vnode_changeable_by_name(struct state *p, const struct vnode *v)
{
    if (!v->orphan)
        return vnode_changeable(v);
    READ_GUARD(&v->ns->lock);
    return vnode_is_left(v) && !vnode_is_open(p, v->nodeid, true) ? -ESTALE : 0;
}

static inline bool node_is_root(uint64_t nodeid)
{
    return nodeid == VFS_ROOT;
}

/* ---- access times (vfs_atime.c) ---- */

/* Move the inode's atime, because it was read. Does nothing while changes are not possible. The
 * caller holds no lock. */
void atime_touch(struct state *p, struct vnode *v);
void atime_touch_node(struct state *p, uint64_t nodeid);

/* ---- directories (vfs_name.c); all need the namespace's lock ---- */

int name_check(const char *name); /* -ENAMETOOLONG */
/* Load the inode of a directory. -ENOTDIR, -ESTALE; -ENOENT: the directory was removed, and is
 * only open still. */
int dir_load(const struct tree *t, uint64_t ino, struct inode *ret);
/* ---- the items of one kind of an inode (vfs_each.c), in the order of their keys ----
 *
 *     struct each e = EACH(tree, key, there);   from `key` on; !there: none is looked for
 *     while (each_next(&e))                     e.key, e.val, e.len; an error is in e.err
 *     err = each_end(&e);                       0 also if there are no more
 *
 * The tree must not change until each_end. */
struct each {
    const struct tree *tree;
    struct key key; /* of the item; before the first one, where the search begins */
    int err;
    bool begun;
    const void *val;
    size_t len;
    struct tree_cursor c;
};
#define EACH(t, k, there)                                                                          \
    {                                                                                              \
        .tree = (t), .key = (k), .err = (there) ? 0 : -ENOENT, .c = TREE_CURSOR_INIT               \
    }
bool each_next(struct each *e);
int each_end(struct each *e);

/* Set owner, group and times of a new inode in `dir`. A set-gid directory hands its group down,
 * and to a directory its set-gid bit, too. */
void inode_inherit(struct state *p, const struct inode *dir, const struct vfs_cred *cred,
                   struct inode *in);
/* Make a regular file and open it, as one change: after an error it was not made. `name` NULL: it
 * has none, and is an orphan from the start. *ret_v is referenced once more than by the open.
 * -EPERM at the root. */
int make_file(struct state *p, uint64_t parent, const char *name, uint32_t mode,
              const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
              struct vnode **ret_v);
/* ---- extended attributes (vfs_xattr.c, vfs_acl.c); all but xattr_fetch need the lock of the tree.
 * -EAGAIN: they need what xattr_fetch gathers, and nothing is changed; the caller ends the change,
 * gathers, and begins it anew. ---- */

/* Gather the value of an attribute for a change that reads it, if it is on another shard. What was
 * gathered before is forgotten. The caller holds no lock. -EIO: the shard cannot be asked. -ENOMEM;
 * -EWOULDWAIT (nowait.h); other errors are those that the change would have. */
int xattr_fetch(struct state *p, uint64_t nodeid, const char *name, struct remote_bytes *ret);

/* Can the change have the default ACL that acl_make needs, or is there none? Its errors. */
int acl_reach(struct state *p, struct txn *t, uint64_t dir_ino, const struct inode *dir);
/* A new inode in a directory of `ns` inherits from the directory's default ACL, or else its mode is
 * reduced by the umask. Writes items to `to`, which has no attributes yet, and changes mode and
 * flags of `in`, which the caller stores. After a failure the caller removes what was written, with
 * the inode's items. */
int acl_make(struct state *p, struct ns *ns, uint64_t dir_ino, const struct inode *dir,
             uint32_t umask, struct items *to, struct inode *in);
/* What a chmod makes of the inode's access ACL. NULL: it has none. The caller frees *ret_value. */
int acl_chmod_load(struct state *p, const struct items *it, uint32_t mode, uint8_t **ret_value,
                   size_t *ret_len);
/* Store it. */
int acl_chmod_store(struct state *p, struct items *it, const uint8_t *value, size_t len);

/* ---- changing what a file's inode names (vfs_write.c); v->io (write) and the freeze lock held
 * ---- */
int file_truncate(struct txn *t, struct vnode *v, uint64_t size);
