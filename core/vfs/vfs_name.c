// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_name: names: finding, making and linking them. Removing and renaming is in vfs_rename.c,
 * listing in vfs_list.c.
 *
 * An entry's key is the keyed hash of its name (55 bits) and an index (7 bits), so each entry has a
 * readdir cookie of its own, which does not depend on other entries (names.c). A directory's inode
 * counts its entries in `size`. The names at the root are namespaces and symlinks; calls for these
 * go to namespaces.c.
 */
#include "acl.h"
#include "flush.h"
#include "quota.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>

/* names of one file at most, as on ext4; a directory may have more subdirectories */
#define NLINK_MAX 65000

int name_check(const char *name)
{
    return strlen(name) > VFS_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* ---- entries ---- */

int dirent_find(struct state *p, const struct tree *t, uint64_t dir, const char *name,
                struct key *ret_key, uint64_t *ret_ino, unsigned *ret_type)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct dirent_item d;
    size_t len;
    const void *val;
    int err = name_find(p, t, dir, ITEM_DIRENT, name, ret_key, &c);

    if (err < 0)
        return err;
    val = tree_cursor_value(&c, &len);
    err = dirent_decode(val, len, &d);
    if (err == 0) {
        *ret_ino = d.ino;
        *ret_type = d.type;
    }
    tree_cursor_end(&c);
    return err;
}

int dirent_put(struct state *p, struct tree *t, struct key k, uint64_t ino, uint32_t mode,
               const char *name)
{
    uint8_t buf[DIRENT_ITEM_MAX];

    return name_put(p, t, k, name, buf, dirent_encode(ino, IFTODT(mode), name, strlen(name), buf));
}

int dir_load(const struct tree *t, uint64_t ino, struct inode *ret)
{
    int err = inode_load(t, ino, ret);

    if (err < 0)
        return err;
    return S_ISDIR(ret->mode) ? ret->nlink ? 0 : -ENOENT : -ENOTDIR;
}

int dir_touch(struct state *p, struct tree *t, uint64_t ino, struct inode *dir, int entries,
              int subdirs)
{
    dir->size += (uint64_t)(int64_t)entries;
    dir->nlink += (uint32_t)subdirs;
    dir->mtime = dir->ctime = now(p);
    return inode_store(t, ino, dir);
}

/* ---- looking up ---- */

/* Look `name` up in the root: a namespace, or a symlink. Counts one kernel reference. */
static int lookup_root(struct state *p, const char *name, struct vfs_attr *ret)
{
    struct ns *ns;
    struct inode in;
    int err = ns_get_by_name(p, name, &ns);

    if (err < 0)
        return err;
    if (ns->target) {
        attr_fill_link(ns, ret);
    } else {
        READ_GUARD(&ns->lock);
        err = ns->live ? inode_load(&ns->tree, NS_ROOT_INO, &in) : -ENOENT;
        if (err == 0)
            attr_fill(ns, NS_ROOT_INO, &in, ret);
    }
    if (err == 0)
        vfs_remember(ns);
    ns_put(p, ns);
    return err;
}

/* Look `name` up in the directory `dir` of `ns`. Needs ns->lock. */
static int find_in(struct state *p, struct ns *ns, uint64_t dir, const char *name,
                   struct vfs_attr *ret)
{
    struct inode in;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = ns->live ? 0 : -ESTALE;

    if (err < 0)
        return err;
    if (!strcmp(name, ".") || !strcmp(name, "..")) {
        err = dir_load(&ns->tree, dir, &in);
        ino = name[1] ? in.parent : dir;
    } else {
        err = dirent_find(p, &ns->tree, dir, name, &k, &ino, &type);
    }
    if (err == 0)
        err = inode_load(&ns->tree, ino, &in);
    if (err == 0)
        attr_fill(ns, ino, &in, ret);
    return err;
}

/* Load a node by its number, and count a reference on its namespace. -ESTALE: the namespace is
 * gone, or the inode has no name. */
static int find_node(struct state *p, uint64_t nodeid, struct inode *in, struct vfs_attr *ret)
{
    struct ns *ns;
    int err = ns_get(p, vfs_node_ns(nodeid), &ns);

    if (err < 0)
        return err;
    {
        READ_GUARD(&ns->lock);
        err = ns->live ? 0 : -ESTALE;
        if (err == 0 && ns->target) {
            *in = (struct inode){.mode = S_IFLNK};
            attr_fill_link(ns, ret);
            err = ret->nodeid == nodeid ? 0 : -ESTALE;
        } else if (err == 0) {
            err = inode_load(&ns->tree, ns_ino_of(ns, nodeid), in);
            if (err == 0 && in->nlink == 0)
                err = -ESTALE;
            if (err == 0)
                attr_fill_node(ns, nodeid, in, ret);
        }
        if (err == 0)
            vfs_remember(ns);
    }
    ns_put(p, ns);
    return err;
}

int vfs_lookup_node(struct state *p, uint64_t nodeid, struct vfs_attr *ret)
{
    struct inode in;
    int err;

    if (!node_is_root(nodeid)) {
        err = find_node(p, nodeid, &in, ret);
        if (err == 0)
            attr_mask(p, ret);
        return err;
    }
    attr_fill_root(p, ret);
    return nodeid == VFS_ROOT ? 0 : -ESTALE;
}

int vfs_lookup_parent(struct state *p, uint64_t nodeid, struct vfs_attr *ret)
{
    struct inode in;
    int err = node_is_root(nodeid) ? -ESTALE : find_node(p, nodeid, &in, ret);

    if (err < 0)
        return err;
    vfs_forget(p, nodeid, 1);
    if (!S_ISDIR(in.mode))
        return -ENOTDIR;
    return vfs_lookup_node(
        p,
        vfs_node_ino(nodeid) == NS_ROOT_INO ? VFS_ROOT : vfs_node(vfs_node_ns(nodeid), in.parent),
        ret);
}

int vfs_lookup(struct state *p, uint64_t parent, const char *name, struct vfs_attr *ret)
{
    struct ns *ns;
    int err = name_check(name);

    if (err < 0)
        return err;
    if (node_is_root(parent))
        return lookup_root(p, name, ret);
    err = ns_get(p, vfs_node_ns(parent), &ns);
    if (err < 0)
        return err;
    {
        READ_GUARD(&ns->lock);
        err = find_in(p, ns, vfs_node_ino(parent), name, ret);
        if (err == 0)
            vfs_remember(ns);
    }
    ns_put(p, ns);
    if (err == 0)
        attr_mask(p, ret);
    return err;
}

/* ---- making ---- */

/* May the namespace have this inode as well? -EDQUOT: a limit is in the way. -EEXIST: so is the
 * name. Needs the namespace's lock for writing. */
static int check_limits(struct state *p, struct ns *ns, uint64_t dir_ino, const char *name,
                        const struct inode *in)
{
    uint64_t ino;
    unsigned type;
    struct key k;
    int err = quota_check(ns, inode_usage(in));

    if (err < 0 && dirent_find(p, &ns->tree, dir_ino, name, &k, &ino, &type) == 0)
        err = -EEXIST;
    return err;
}

/* Store a new inode, its symlink target, and its entry in `dir`. Needs the namespace's lock for
 * writing. `in` is complete except for its parent. If it fails before the entry is stored, nothing
 * is left. */
static int add_inode(struct state *p, struct ns *ns, uint64_t dir_ino, struct inode *dir,
                     const char *name, struct inode *in, const char *target, uint64_t *ret_ino)
{
    struct tree *t = &ns->tree;
    struct key k;
    uint64_t ino = ns->next_ino, taken;
    unsigned type;
    int err = dirent_find(p, t, dir_ino, name, &k, &taken, &type);

    if (err == 0)
        return -EEXIST;
    if (err != -ENOENT)
        return err;
    if (S_ISDIR(in->mode) && dir->nlink == UINT32_MAX)
        return -EMLINK;
    in->parent = S_ISDIR(in->mode) ? dir_ino : 0;
    err = inode_store(t, ino, in);
    for (size_t at = 0, i = 0; err == 0 && target && at < in->size; i++, at += ITEM_SYMLINK_PIECE) {
        size_t n = in->size - at < ITEM_SYMLINK_PIECE ? in->size - at : ITEM_SYMLINK_PIECE;
        err = tree_put(t, key_make(ino, ITEM_SYMLINK, i), target + at, n);
    }
    if (err == 0)
        err = dirent_put(p, t, k, ino, in->mode, name);
    if (err < 0) {
        (void)items_delete(t, ino);
        return err;
    }
    (void)ns_give_ino(ns);
    *ret_ino = ino;
    return dir_touch(p, t, dir_ino, dir, 1, S_ISDIR(in->mode));
}

void inode_inherit(struct state *p, const struct inode *dir, const struct vfs_cred *cred,
                   struct inode *in)
{
    in->uid = cred->uid;
    in->gid = cred->gid;
    if (dir->mode & S_ISGID) {
        in->gid = dir->gid;
        if (S_ISDIR(in->mode))
            in->mode |= S_ISGID;
    }
    in->atime = in->mtime = in->ctime = in->btime = now(p);
}

/* What is to be made. */
struct making {
    const char *name;   /* NULL: a file without one */
    const char *target; /* of a symlink, else NULL */
    const struct vfs_cred *cred;
    struct inode *in;            /* complete but for what it inherits */
    unsigned flags;              /* enum vfs_open_flags; of one that is opened */
    struct vnode *v;             /* it, referenced and open; NULL: it is not opened */
    struct remote_bytes *remote; /* has the directory's default ACL if that is on another shard */
};

/* Store the node and what it inherits, and its frame. Needs the namespace's lock for writing. If it
 * fails before the entry is stored, nothing is left. */
static int make_locked(struct txn *t, uint64_t dir_ino, struct inode *dir, struct making *m,
                       struct vfs_attr *ret)
{
    struct state *p = t->p;
    struct items fresh = {.tree = &t->ns->tree, .ns = t->ns, .txn = t, .ino = t->ns->next_ino};
    struct key k;
    uint64_t ino;
    unsigned type;
    int err;

    inode_inherit(p, dir, m->cred, m->in);
    err = check_limits(p, t->ns, dir_ino, m->name, m->in);
    if (err < 0)
        return err;
    err = acl_make(p, t->ns, dir_ino, dir, m->cred->umask, &fresh, m->in);
    if (err == -EAGAIN && dirent_find(p, fresh.tree, dir_ino, m->name, &k, &ino, &type) == 0)
        err = -EEXIST;
    if (err == 0)
        err = add_inode(p, t->ns, dir_ino, dir, m->name, m->in, m->target, &ino);
    if (err == 0)
        err = state_changed(t, t->ns);
    if (err == 0) {
        attr_fill(t->ns, ino, m->in, ret);
        vfs_remember(t->ns);
    } else if (m->in->flags & INODE_XATTRS && t->ns->next_ino == fresh.ino) {
        (void)items_delete(fresh.tree, fresh.ino); /* attributes that acl_make stored for the
                                                    * inode that was not made */
    }
    return err;
}

/* The same, and open it. What may fail comes before the first change. */
static int make_open(struct txn *t, uint64_t dir_ino, struct inode *dir, struct making *m,
                     struct vfs_attr *ret)
{
    struct state *p = t->p;
    int err = vnode_get(p, vfs_node(t->ns->number, t->ns->next_ino), &m->v);

    if (err < 0)
        return err;
    err = make_locked(t, dir_ino, dir, m, ret);
    if (err == 0)
        vnode_open(p, m->v, m->flags & VFS_WRITE);
    else
        vnode_put(p, m->v);
    return err;
}

/* Give a file without a name the mode and ACLs that any new file in the directory gets. Needs
 * ns->lock. If it fails the orphan is removed. */
static int tmpfile_init(struct state *p, struct vnode *v, uint64_t dir_ino, const struct inode *dir,
                        const struct vfs_cred *cred, struct inode *in)
{
    struct txn *t = v->ns->observer.txn;
    struct items to = {.tree = &p->orphans.tree, .ns = v->ns, .txn = t, .orphan = true};
    int err;
    ORPHANS_GUARD(v->ns);

    to.ino = v->orphan;
    err = acl_make(p, v->ns, dir_ino, dir, cred->umask, &to, in);
    if (err == 0)
        err = inode_store(to.tree, to.ino, in);
    if (err < 0) {
        (void)items_delete(to.tree, to.ino);
        v->orphan = 0;
        v->linkable = false;
    }
    return err;
}

/* Make a file without a name, an orphan with a new inode number, and open it. Needs the namespace's
 * lock for writing. */
static int make_nameless(struct txn *t, uint64_t dir_ino, struct inode *dir, struct making *m,
                         struct vfs_attr *ret)
{
    struct state *p = t->p;
    struct ns *ns = t->ns;
    uint64_t ino = ns->next_ino;
    int err = acl_reach(p, t, dir_ino, dir); /* an orphan that is removed again is a change, too */

    if (err == 0)
        err = quota_check(ns, inode_usage(m->in));
    if (err == 0)
        err = vnode_get(p, vfs_node(ns->number, ino), &m->v);
    if (err < 0)
        return err;
    inode_inherit(p, dir, m->cred, m->in);
    err = orphan_create(p, m->v, m->in, !(m->flags & VFS_EXCL));
    if (err == 0)
        err = tmpfile_init(p, m->v, dir_ino, dir, m->cred, m->in);
    if (err == 0) {
        (void)ns_give_ino(ns);
        err = state_changed(t, ns);
    }
    if (err < 0) {
        vnode_put(p, m->v);
        return err;
    }
    attr_fill(ns, ino, m->in, ret);
    vfs_remember(ns);
    vnode_open(p, m->v, m->flags & VFS_WRITE);
    return 0;
}

/* Make a node in a directory: one change, from checking the name to filling *ret. */
static int make_once(struct state *p, uint64_t parent, struct making *m, bool open,
                     struct vfs_attr *ret)
{
    TXN(t);
    struct inode dir;
    int err = m->name ? name_check(m->name) : 0;

    if (err == 0)
        err = change_begin(p, parent, &t);
    if (err < 0)
        return err;
    t.remote = m->remote;
    {
        NS_GUARD(&t, t.ns);
        err = t.ns->live ? dir_load(&t.ns->tree, vfs_node_ino(parent), &dir) : -ESTALE;
        if (err == 0)
            err = ns_need_ino(p, t.ns);
        if (err == 0)
            err = (!m->name ? make_nameless
                   : open   ? make_open
                            : make_locked)(&t, vfs_node_ino(parent), &dir, m, ret);
    }
    txn_end(&t);
    return err;
}

/* make_once, which needs the default ACL of the directory. A shard is asked for it only if nothing
 * else stands against the change. */
static int make(struct state *p, uint64_t parent, struct making *m, bool open, struct vfs_attr *ret)
{
    const struct inode asked = *m->in;
    struct remote_bytes remote;
    unsigned turns = 0;
    int err;

    remote_bytes_init(&remote);
    m->remote = &remote;
    err = make_once(p, parent, m, open, ret);
    while (remote_bytes_again(&turns, &err)) {
        *m->in = asked;
        err = xattr_fetch(p, parent, ACL_DEFAULT, &remote);
        if (err == 0)
            err = make_once(p, parent, m, open, ret);
    }
    remote_bytes_end(&remote);
    return err;
}

int make_file(struct state *p, uint64_t parent, const char *name, uint32_t mode,
              const struct vfs_cred *cred, unsigned flags, struct vfs_attr *ret,
              struct vnode **ret_v)
{
    struct inode in = {.mode = S_IFREG | (mode & 07777), .nlink = name ? 1 : 0};
    struct making m = {.name = name, .cred = cred, .in = &in, .flags = flags};
    int err = node_is_root(parent) ? -EPERM : make(p, parent, &m, true, ret);

    if (err == 0)
        *ret_v = m.v;
    return err;
}

/* mkdir at the root: create a namespace. */
static int make_namespace(struct state *p, const char *name, uint32_t mode,
                          const struct vfs_cred *cred, struct vfs_attr *ret)
{
    TXN(t);
    int err = state_root_writable(p);

    if (err == 0)
        err = flush_throttle(p);
    if (err == 0)
        err = flush_room(p);
    if (err == 0)
        err = txn_begin(p, 0, &t);
    if (err == 0)
        err = ns_create(&t, name, mode & ~cred->umask, cred);
    txn_end(&t);
    return err < 0 ? err : lookup_root(p, name, ret);
}

int vfs_mknod(struct state *p, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
              const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct inode in = {.mode = mode & (S_IFMT | 07777), .nlink = S_ISDIR(mode) ? 2 : 1};

    if (node_is_root(parent))
        return S_ISDIR(mode) ? make_namespace(p, name, mode, cred, ret) : -EPERM;
    if (!(in.mode & S_IFMT))
        in.mode |= S_IFREG;
    if (S_ISCHR(mode) || S_ISBLK(mode))
        in.rdev = rdev;
    return make(p, parent, &(struct making){.name = name, .cred = cred, .in = &in}, false, ret);
}

int vfs_symlink(struct state *p, uint64_t parent, const char *name, const char *target,
                const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct inode in = {.mode = S_IFLNK | 0777, .nlink = 1, .size = strlen(target)};
    int err = in.size == 0 ? -ENOENT : in.size >= PATH_MAX ? -ENAMETOOLONG : 0;

    if (err < 0)
        return err;
    if (!node_is_root(parent))
        return make(p, parent,
                    &(struct making){.name = name, .target = target, .cred = cred, .in = &in},
                    false, ret);
    TXN(t);
    err = state_root_writable(p);
    if (err == 0)
        err = txn_begin(p, 0, &t);
    if (err == 0)
        err = ns_create_symlink(&t, name, target, cred);
    txn_end(&t);
    return err < 0 ? err : lookup_root(p, name, ret);
}

/* ---- linking ---- */

/* The key of a new entry, found before anything is changed. -EEXIST, -ENOSPC. */
static int name_free(struct state *p, const struct tree *t, uint64_t dir, const char *name,
                     struct key *ret_key)
{
    uint64_t ino;
    unsigned type;
    int err = dirent_find(p, t, dir, name, ret_key, &ino, &type);

    if (err != -ENOENT)
        return err == 0 ? -EEXIST : err;
    return item_is_counter(*ret_key) ? -ENOSPC : 0;
}

/* Store the inode with one more link, and its entry, whose key `k` is free. */
static int add_link(struct state *p, struct ns *ns, uint64_t ino, struct inode *in, uint64_t newdir,
                    struct inode *dir, struct key k, const char *name, struct vfs_attr *ret)
{
    int err;

    in->nlink++;
    in->ctime = now(p);
    err = inode_store(&ns->tree, ino, in);
    if (err == 0)
        err = dirent_put(p, &ns->tree, k, ino, in->mode, name);
    if (err == 0)
        err = dir_touch(p, &ns->tree, newdir, dir, 1, 0);
    if (err == 0)
        attr_fill(ns, ino, in, ret);
    return err;
}

/* Add a name to a file of the same namespace. Needs the namespace's lock for writing. */
static int link_here(struct state *p, struct ns *ns, uint64_t ino, uint64_t newdir,
                     const char *name, struct vfs_attr *ret)
{
    struct inode in, dir;
    struct key k;
    int err = ns->live ? dir_load(&ns->tree, newdir, &dir) : -ESTALE;

    if (err == 0)
        err = inode_load(&ns->tree, ino, &in);
    if (err < 0)
        return err == -ESTALE && ns->live ? -ENOENT : err;
    if (S_ISDIR(in.mode))
        return -EPERM;
    if (in.nlink >= NLINK_MAX)
        return -EMLINK;
    err = name_free(p, &ns->tree, newdir, name, &k);
    if (err < 0)
        return err;
    return add_link(p, ns, ino, &in, newdir, &dir, k, name, ret);
}

/* From a snapshot that others can read no rights come along: the new inode has no set-id bits.
 * -EPERM: the file has a capability. */
static int leave_rights(struct state *p, const struct items *src, struct inode *in)
{
    struct tree_cursor c;
    struct key k;
    int err;

    if (!ns_gives_no_rights(p, src->ns->number))
        return 0;
    in->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    err = name_find(p, src->tree, src->ino, ITEM_XATTR, VFS_CAPABILITY, &k, &c);
    if (err == 0)
        tree_cursor_end(&c);
    return err == 0 ? -EPERM : err == -ENOENT ? 0 : err;
}

/* Make a new inode in `ns` that references the same objects as the source. Both namespaces' locks
 * are held for writing. */
static int link_across(struct state *p, const struct items *src, struct ns *ns, uint64_t newdir,
                       const char *name, struct vfs_attr *ret)
{
    struct inode in, dir;
    uint64_t ino;
    int err = ns->live ? dir_load(&ns->tree, newdir, &dir) : -ESTALE;

    if (err == 0)
        err = inode_load(src->tree, src->ino, &in);
    if (err == 0)
        err = ns_need_ino(p, ns);
    if (err < 0)
        return err;
    if (!S_ISREG(in.mode))
        return -EXDEV;
    err = leave_rights(p, src, &in);
    if (err == 0)
        err = check_limits(p, ns, newdir, name, &in);
    if (err < 0)
        return err;
    in.nlink = 1;
    /* The items come before the name: a file without some of its extents would show old bytes of
     * the base. */
    ino = ns->next_ino;
    if (in.flags & INODE_EXTENTS)
        err = items_copy(p, src->tree, range_of_items(src->ino, ITEM_EXTENT, 0), &ns->tree, ino);
    if (err == 0 && in.flags & INODE_SUBBLOCKS)
        err = items_copy(p, src->tree, range_of_items(src->ino, ITEM_SUBBLOCK, 0), &ns->tree, ino);
    if (err == 0 && in.flags & INODE_HOLES)
        err = items_copy(p, src->tree, range_of_items(src->ino, ITEM_HOLES, 0), &ns->tree, ino);
    if (err == 0 && in.flags & INODE_XATTRS)
        err = items_copy(p, src->tree, range_of_items(src->ino, ITEM_XATTR, 0), &ns->tree, ino);
    if (err == 0)
        err = add_inode(p, ns, newdir, &dir, name, &in, NULL, &ino);
    if (err == 0)
        attr_fill(ns, ino, &in, ret);
    else if (ns->next_ino == ino)
        (void)items_cut(p, &ns->tree, range_of_inode(ino));
    return err;
}

/* Give a file that vfs_tmpfile made its first name: the inode moves from the orphans to its
 * namespace. -ENOENT: it was opened with VFS_EXCL, or unlinked. */
static int link_tmpfile(struct state *p, struct vnode *v, uint64_t newdir, const char *name,
                        struct vfs_attr *ret)
{
    struct ns *ns = v->ns;
    uint64_t ino = vfs_node_ino(v->nodeid);
    struct inode in, dir;
    struct key k;
    int err = v->linkable ? dir_load(&ns->tree, newdir, &dir) : -ENOENT;

    if (err == 0)
        err = name_free(p, &ns->tree, newdir, name, &k);
    if (err == 0)
        err = orphan_return(p, v);
    if (err == 0)
        err = inode_load(&ns->tree, ino, &in);
    return err < 0 ? err : add_link(p, ns, ino, &in, newdir, &dir, k, name, ret);
}

/* Lock two namespaces for writing, the lower number first (the order of the lock table). */
static void lock_two(struct txn *t, struct ns *a, struct ns *b)
{
    ns_lock(t, a->number < b->number ? a : b);
    ns_lock(t, a->number < b->number ? b : a);
}

/* Give the file one more name: in its own namespace a hard link, in another one a new inode that
 * shares its objects. `t` has begun in the namespace of the new name, and holds the freeze lock. */
static int link_vnode(struct txn *t, struct vnode *v, uint64_t newdir, const char *name,
                      struct vfs_attr *ret)
{
    struct state *p = t->p;
    struct ns *ns = t->ns;
    struct items src = {.tree = &v->ns->tree, .ns = v->ns};
    int err;
    READ_GUARD(&v->io); /* no write is half done while the file is shared */

    if (v->ns == ns) {
        NS_GUARD(t, ns);
        src.ino = ns_ino_of(ns, v->nodeid);
        err = v->orphan ? link_tmpfile(p, v, newdir, name, ret)
                        : link_here(p, ns, src.ino, newdir, name, ret);
        if (err == 0)
            err = state_changed(t, ns);
        if (err == 0)
            vfs_remember(ns);
        return err;
    }
    lock_two(t, v->ns, ns);
    src.ino = ns_ino_of(v->ns, v->nodeid);
    err = v->orphan || !v->ns->live ? -ENOENT : link_across(p, &src, ns, newdir, name, ret);
    if (err == 0)
        err = state_changed(t, ns);
    if (err == 0)
        vfs_remember(ns);
    capture_rest(t, ns);
    ns_unlock(v->ns);
    ns_unlock(ns);
    return err;
}

int vfs_link(struct state *p, uint64_t nodeid, uint64_t newparent, const char *newname,
             struct vfs_attr *ret)
{
    TXN(t);
    struct vnode *v;
    int err = node_is_root(newparent) ? -EPERM : name_check(newname);

    if (err == 0)
        err = vnode_get(p, nodeid, &v);
    if (err < 0)
        return err;
    err = v->ns->target ? -EPERM : change_begin(p, newparent, &t);
    if (err == 0) {
        err = link_vnode(&t, v, vfs_node_ino(newparent), newname, ret);
        txn_end(&t);
    }
    vnode_put(p, v);
    return err;
}

int vfs_link_object(struct state *p, const struct id *id, uint64_t newparent, const char *newname,
                    const struct vfs_cred *cred, struct vfs_attr *ret)
{
    const struct vfs_cred as_is = {.uid = cred->uid, .gid = cred->gid}; /* without a umask: the
                                                                         * mode is 0644 in any
                                                                         * case */
    struct inode in = {.mode = S_IFREG | 0644, .nlink = 1};
    struct making m = {.name = newname, .cred = &as_is, .in = &in};
    struct entry e;
    uint64_t number;
    int err = node_is_root(newparent) ? -EPERM : refs_find_logged(p->refs, id, &number, &e);

    if (err < 0)
        return err;
    in.object = number;
    in.size = in.valid = e.size;
    err = entry_is_sealed(&e) && e.count > 0 ? make(p, newparent, &m, false, ret) : -ENOENT;
    refs_unhold(p->refs, number);
    return err;
}

/* Look one component of a path up, and forget the node of the step before. */
static int step(struct state *p, uint64_t *node, const char *name, size_t len)
{
    char component[VFS_NAME_MAX + 1];
    struct vfs_attr attr;
    int err;

    if (len > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(component, name, len);
    component[len] = 0;
    err = vfs_lookup(p, *node, component, &attr);
    if (err < 0)
        return err;
    if (*node != VFS_ROOT)
        vfs_forget(p, *node, 1);
    *node = attr.nodeid;
    return 0;
}

int vfs_lookup_path(struct state *p, const char *path, size_t ns_len, const char *rest,
                    uint64_t *ret_node)
{
    uint64_t node = VFS_ROOT;
    int err = step(p, &node, path, ns_len);

    while (err == 0 && *rest) {
        size_t n = strcspn(rest, "/");
        if (n && !(n == 1 && *rest == '.'))
            err = step(p, &node, rest, n);
        rest += n + (rest[n] == '/');
    }
    if (err < 0 && node != VFS_ROOT)
        vfs_forget(p, node, 1);
    if (err == 0)
        *ret_node = node;
    return err;
}

void vfs_forget(struct state *p, uint64_t nodeid, uint64_t count)
{
    struct ns *ns = ns_get_any(p, vfs_node_ns(nodeid));

    forgotten_attrs_forget(p, nodeid);
    if (!ns)
        return;
    atomic_fetch_sub(&ns->nlookup, count);
    ns_put(p, ns);
}
