// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_rename: removing names and moving them. An inode that loses its last name is deleted at
 * once; if somebody has it open, it moves to the orphans and is deleted by its last close. A
 * rename is one change under the namespace's lock: nobody can see a moment in which both names
 * exist, or neither.
 */
#include "ns_drop.h"
#include "quota.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include <errno.h>
#include <linux/fs.h>

/* ---- removing ---- */

/* The inode has lost a name: lower its link count. Without a name left it is deleted, or moved to
 * the orphans if it is open. */
static int drop_name(struct state *p, struct ns *ns, uint64_t ino, struct inode *in)
{
    bool moved;
    int err;

    in->nlink = S_ISDIR(in->mode) ? 0 : in->nlink - 1;
    in->ctime = now(p);
    if (in->nlink > 0)
        return inode_store(&ns->tree, ino, in);
    err = inode_store(&ns->tree, ino, in);
    if (err == 0)
        err = orphan_adopt(p, ns, ino, &moved);
    if (err < 0 || moved)
        return err;
    err = items_cut(p, &ns->tree, range_of_inode(ino));
    if (err == 0)
        forgotten_attrs_keep(p, ns_node_of(ns, ino), in);
    return err;
}

/* Remove an entry and drop the name of its inode. Needs ns->lock for writing. `want_dir`: the
 * entry must be an empty directory (rmdir), otherwise it must be no directory (unlink). */
static int remove_entry(struct state *p, struct ns *ns, uint64_t dir_ino, const char *name,
                        bool want_dir)
{
    struct inode dir, in;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = ns->live ? dir_load(&ns->tree, dir_ino, &dir) : -ESTALE;

    if (err == 0)
        err = dirent_find(p, &ns->tree, dir_ino, name, &k, &ino, &type);
    if (err == 0)
        err = inode_load(&ns->tree, ino, &in);
    if (err < 0)
        return err;
    if (S_ISDIR(in.mode) != want_dir)
        return want_dir ? -ENOTDIR : -EISDIR;
    if (want_dir && in.size)
        return -ENOTEMPTY;
    err = name_del(p, &ns->tree, k, name);
    if (err == 0)
        err = drop_name(p, ns, ino, &in);
    if (err == 0)
        err = dir_touch(p, &ns->tree, dir_ino, &dir, -1, want_dir ? -1 : 0);
    return err;
}

/* unlink or rmdir below a namespace, as one change. It is allowed on a full disk. */
static int remove_name(struct state *p, uint64_t parent, const char *name, bool want_dir)
{
    TXN(t);
    int err = name_check(name);

    if (err == 0)
        err = change_begin_removal(p, parent, &t);
    if (err < 0)
        return err;
    {
        NS_GUARD(&t, t.ns);
        err = remove_entry(p, t.ns, vfs_node_ino(parent), name, want_dir);
        if (err == 0)
            err = state_changed(&t, t.ns);
    }
    txn_end(&t);
    return err;
}

int vfs_unlink(struct state *p, uint64_t parent, const char *name)
{
    uint32_t open;

    if (node_is_root(parent))
        return ns_drop(p, name, false, false, true, &open);
    return remove_name(p, parent, name, false);
}

int vfs_rmdir(struct state *p, uint64_t parent, const char *name)
{
    uint32_t open;

    if (node_is_root(parent))
        return ns_drop(p, name, false, true, false, &open);
    return remove_name(p, parent, name, true);
}

/* ---- renaming ---- */

/* One of the two names of a rename. */
struct spot {
    uint64_t dir; /* inode number of the directory */
    const char *name;
    struct key key;  /* of the entry, or of the one that would be made */
    uint64_t ino;    /* inode number of the entry; only if `exists` */
    bool exists;     /* there is such an entry */
    struct inode in; /* the inode of the entry; only if `exists` */
};

/* Find what is at a name. 0 also if nothing is there: then `exists` is false. */
static int spot_find(struct state *p, struct ns *ns, uint64_t dir, const char *name,
                     struct spot *ret)
{
    unsigned type;
    int err;

    *ret = (struct spot){.dir = dir, .name = name};
    err = dirent_find(p, &ns->tree, dir, name, &ret->key, &ret->ino, &type);
    if (err == -ENOENT)
        return 0;
    if (err == 0)
        err = inode_load(&ns->tree, ret->ino, &ret->in);
    ret->exists = err == 0;
    return err;
}

/* Is directory `dir` below `top`, or the same? 1, 0, or -errno. A damaged tree may have a cycle of
 * parents, so the walk has a limit: -ELOOP. */
static int is_below(const struct tree *t, uint64_t dir, uint64_t top)
{
    for (unsigned depth = 0; depth < 1000000; depth++) {
        struct inode in;
        int err;
        if (dir == top)
            return 1;
        if (dir == NS_ROOT_INO)
            return 0;
        err = inode_load(t, dir, &in);
        if (err < 0)
            return err;
        dir = in.parent;
    }
    return -ELOOP;
}

/* Store the inode of `s` with its new parent directory, which is the ".." of a directory, and a
 * new ctime. */
static int reparent(struct state *p, struct ns *ns, struct spot *s, uint64_t newdir)
{
    s->in.ctime = now(p);
    if (S_ISDIR(s->in.mode))
        s->in.parent = newdir;
    return inode_store(&ns->tree, s->ino, &s->in);
}

/* Add to a directory's counts. It loads the inode again, since earlier steps of the rename may
 * have stored it. */
static int count_dirs(struct state *p, struct ns *ns, uint64_t dir, int entries, int subdirs)
{
    struct inode in;
    int err = inode_load(&ns->tree, dir, &in);

    return err < 0 ? err : dir_touch(p, &ns->tree, dir, &in, entries, subdirs);
}

/* RENAME_EXCHANGE: each name gets the other's inode. The numbers of entries stay; link counts of
 * the directories change if only one of the two inodes is a directory. */
static int exchange(struct state *p, struct ns *ns, struct spot *a, struct spot *b)
{
    int a_dir = S_ISDIR(a->in.mode), b_dir = S_ISDIR(b->in.mode);
    int err = dirent_put(p, &ns->tree, a->key, b->ino, b->in.mode, a->name);

    if (err == 0)
        err = dirent_put(p, &ns->tree, b->key, a->ino, a->in.mode, b->name);
    if (err == 0)
        err = reparent(p, ns, a, b->dir);
    if (err == 0)
        err = reparent(p, ns, b, a->dir);
    if (err == 0)
        err = count_dirs(p, ns, a->dir, 0, a->dir == b->dir ? 0 : b_dir - a_dir);
    if (err == 0 && a->dir != b->dir)
        err = count_dirs(p, ns, b->dir, 0, a_dir - b_dir);
    return err;
}

/* Clear the old name: remove its entry, or, with `whiteout`, make a new inode for it. An overlay
 * filesystem takes a whiteout for a deleted name, which hides the name in a lower layer. */
static int vacate(struct state *p, struct ns *ns, const struct spot *s,
                  const struct inode *whiteout)
{
    int err;

    if (!whiteout)
        return name_del(p, &ns->tree, s->key, s->name);
    err = ns_need_ino(p, ns);
    if (err < 0)
        return err;
    err = inode_store(&ns->tree, ns->next_ino, whiteout);
    if (err == 0)
        err = dirent_put(p, &ns->tree, s->key, ns->next_ino, whiteout->mode, s->name);
    if (err == 0)
        (void)ns_give_ino(ns);
    return err;
}

/* Does an inode go with the name? One that is open stays, without a name. */
static bool goes_at_once(struct state *p, const struct ns *ns, const struct spot *s)
{
    return s->exists && (S_ISDIR(s->in.mode) || s->in.nlink == 1) &&
           !vnode_is_open(p, ns_node_of(ns, s->ino), false);
}

/* Move the inode of `a` to the name `b`. An inode that is there loses this name; a directory must
 * be empty, and only a directory can replace one. */
static int replace(struct state *p, struct ns *ns, struct spot *a, struct spot *b,
                   const struct inode *whiteout)
{
    int dir = S_ISDIR(a->in.mode), gone_dir = b->exists && S_ISDIR(b->in.mode);
    int err;

    if (b->exists && dir != gone_dir)
        return dir ? -ENOTDIR : -EISDIR;
    if (gone_dir && b->in.size)
        return -ENOTEMPTY;
    err = whiteout && !goes_at_once(p, ns, b) ? quota_check(ns, inode_usage(whiteout)) : 0;
    if (err == 0)
        err = dirent_put(p, &ns->tree, b->key, a->ino, a->in.mode, b->name);
    if (err == 0)
        err = vacate(p, ns, a, whiteout);
    if (err == 0 && b->exists)
        err = drop_name(p, ns, b->ino, &b->in);
    if (err == 0)
        err = reparent(p, ns, a, b->dir);
    if (err == 0 && a->dir == b->dir)
        return count_dirs(p, ns, a->dir, !!whiteout - b->exists, -gone_dir);
    if (err == 0)
        err = count_dirs(p, ns, a->dir, whiteout ? 0 : -1, -dir);
    if (err == 0)
        err = count_dirs(p, ns, b->dir, !b->exists, dir - gone_dir);
    return err;
}

/* Rename within one namespace, with its lock held for writing. Two names of one inode: nothing
 * happens, as POSIX demands. A directory must not move below itself: -EINVAL. */
static int rename_in(struct state *p, struct ns *ns, uint64_t dir, const char *name,
                     uint64_t newdir, const char *newname, unsigned flags,
                     const struct vfs_cred *cred)
{
    struct inode d, white = {.mode = S_IFCHR, .nlink = 1};
    struct spot a, b;
    int err = ns->live ? dir_load(&ns->tree, dir, &d) : -ESTALE;

    if (err == 0 && flags & RENAME_WHITEOUT)
        inode_inherit(p, &d, cred, &white);
    if (err == 0)
        err = dir_load(&ns->tree, newdir, &d);
    if (err == 0)
        err = spot_find(p, ns, dir, name, &a);
    if (err == 0)
        err = spot_find(p, ns, newdir, newname, &b);
    if (err < 0)
        return err;
    if (!a.exists || (flags & RENAME_EXCHANGE && !b.exists))
        return -ENOENT;
    if (b.exists && flags & RENAME_NOREPLACE)
        return -EEXIST;
    if (b.exists && a.ino == b.ino)
        return 0;
    if (S_ISDIR(a.in.mode)) {
        err = is_below(&ns->tree, newdir, a.ino);
        if (err != 0)
            return err < 0 ? err : -EINVAL;
    }
    if (flags & RENAME_EXCHANGE && S_ISDIR(b.in.mode)) {
        err = is_below(&ns->tree, dir, b.ino);
        if (err != 0)
            return err < 0 ? err : -EINVAL;
    }
    return flags & RENAME_EXCHANGE
               ? exchange(p, ns, &a, &b)
               : replace(p, ns, &a, &b, flags & RENAME_WHITEOUT ? &white : NULL);
}

int vfs_rename(struct state *p, uint64_t parent, const char *name, uint64_t newparent,
               const char *newname, unsigned flags, const struct vfs_cred *cred)
{
    TXN(t);
    int err = name_check(newname);

    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
        (flags & RENAME_EXCHANGE && flags != RENAME_EXCHANGE))
        return -EINVAL;
    if (err == 0 && node_is_root(parent) && node_is_root(newparent))
        return ns_rename(p, name, newname, flags);
    if (err == 0 && vfs_node_ns(parent) != vfs_node_ns(newparent))
        return -EXDEV;
    if (err == 0)
        err = change_begin_removal(p, parent, &t); /* programs save a file by renaming a temporary
                                                    * one over it: this must work on a full disk */
    if (err < 0)
        return err;
    {
        NS_GUARD(&t, t.ns);
        err = rename_in(p, t.ns, vfs_node_ino(parent), name, vfs_node_ino(newparent), newname,
                        flags, cred);
        if (err == 0)
            err = state_changed(&t, t.ns);
    }
    txn_end(&t);
    return err;
}
