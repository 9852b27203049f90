// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_name: names: finding, making, linking, renaming and removing them; listing directories.
 *
 * An entry's key is the keyed hash of its name (55 bits) and a collision index (7 bits), so each
 * has a readdir cookie of its own that outlives other entries. A directory's inode counts its
 * entries in `size`. At the root the names are namespaces; those calls go to namespaces.c.
 */
#include "vfs_file_impl.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>

#define COLLISIONS 128 /* names of one hash a directory may hold */
#define COOKIE_DOT 1
#define COOKIE_DOTDOT 2
#define COOKIE_BASE 3 /* + the key's rest */
#define NLINK_MAX 65000 /* as ext4 */

static bool is_root(uint64_t nodeid) { return nodeid == VFS_ROOT; }

static int check_name(const char *name)
{
    return strlen(name) > VFS_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* ---- entries ---- */

static uint64_t name_hash(struct project *p, const char *name)
{
    return id_checksum(name, strlen(name), p->name_seed) >> 9 << 7;
}

/* Walk the names of one hash. On -ENOENT *ret_key is the first free place. */
int dirent_find(struct project *p, const struct tree *t, uint64_t dir, const char *name,
                struct key *ret_key, uint64_t *ret_ino, unsigned *ret_type)
{
    struct key first = key_make(dir, ITEM_DIRENT, name_hash(p, name)), free_at = first;
    size_t len = strlen(name), vlen;
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct dirent_item d;
    int err = tree_seek(t, first, &c);

    for (; err == 0; err = tree_next(&c)) {
        struct key k = tree_cursor_key(&c);
        const void *val = tree_cursor_value(&c, &vlen);
        if (k.hi != first.hi || k.lo >= first.lo + COLLISIONS)
            break;
        err = dirent_decode(val, vlen, &d);
        if (err < 0)
            break;
        if (d.name_len == len && !memcmp(d.name, name, len)) {
            *ret_key = k;
            *ret_ino = d.ino;
            *ret_type = d.type;
            tree_cursor_end(&c);
            return 0;
        }
        if (k.lo == free_at.lo)
            free_at.lo++;
    }
    tree_cursor_end(&c);
    *ret_key = free_at;
    return err < 0 && err != -ENOENT ? err : -ENOENT;
}

static int put_dirent(struct tree *t, struct key k, uint64_t ino, uint32_t mode, const char *name)
{
    uint8_t buf[DIRENT_ITEM_MAX];

    if ((k.lo & (COLLISIONS - 1)) == COLLISIONS - 1)
        return -ENOSPC;
    return tree_put(t, k, buf, dirent_encode(ino, IFTODT(mode), name, strlen(name), buf));
}

/* A directory that can be changed: not unlinked meanwhile. */
static int load_dir(const struct tree *t, uint64_t ino, struct inode *ret)
{
    int err = inode_load(t, ino, ret);

    if (err < 0)
        return err;
    return S_ISDIR(ret->mode) ? ret->nlink ? 0 : -ENOENT : -ENOTDIR;
}

/* One entry more or less, and `subdirs` directories more or less. */
static int touch_dir(struct project *p, struct tree *t, uint64_t ino, struct inode *dir,
                     int entries, int subdirs)
{
    dir->size += (uint64_t)(int64_t)entries;
    dir->nlink += (uint32_t)subdirs;
    dir->mtime = dir->ctime = now(p);
    return inode_store(t, ino, dir);
}

/* ---- looking up ---- */

static int lookup_root(struct project *p, const char *name, struct vfs_attr *ret)
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

static int find_in(struct project *p, struct ns *ns, uint64_t dir, const char *name,
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
        err = load_dir(&ns->tree, dir, &in);
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

int vfs_lookup(struct project *p, uint64_t parent, const char *name, struct vfs_attr *ret)
{
    struct ns *ns;
    int err = check_name(name);

    if (err < 0)
        return err;
    if (is_root(parent))
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
    return err;
}

/* ---- making ---- */

/* A new inode under a name; needs the tree. `in` is complete but for its parent. */
static int add_inode(struct project *p, struct ns *ns, uint64_t dir_ino, struct inode *dir,
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
    if (ino > KEY_INO_MAX)
        return -ENOSPC;
    if (S_ISDIR(in->mode) && dir->nlink >= NLINK_MAX)
        return -EMLINK;
    in->parent = S_ISDIR(in->mode) ? dir_ino : 0;
    err = inode_store(t, ino, in);
    for (size_t at = 0, i = 0; err == 0 && target && at < in->size; i++, at += ITEM_SYMLINK_PIECE) {
        size_t n = in->size - at < ITEM_SYMLINK_PIECE ? in->size - at : ITEM_SYMLINK_PIECE;
        err = tree_put(t, key_make(ino, ITEM_SYMLINK, i), target + at, n);
    }
    if (err == 0)
        err = put_dirent(t, k, ino, in->mode, name);
    if (err < 0) {
        (void)items_delete(t, ino);
        return err;
    }
    ns->next_ino++;
    *ret_ino = ino;
    return touch_dir(p, t, dir_ino, dir, 1, S_ISDIR(in->mode));
}

/* Owner, group and times of something made in `dir`: set-gid directories hand their group on. */
static void inherit(struct project *p, const struct inode *dir, const struct vfs_cred *cred,
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

static int make(struct project *p, uint64_t parent, const char *name, struct inode *in,
                const char *target, const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct change c;
    struct inode dir;
    uint64_t ino;
    int err = check_name(name);

    if (err == 0)
        err = change_begin(p, parent, &c);
    if (err < 0)
        return err;
    {
        WRITE_GUARD(&c.ns->lock);
        err = c.ns->live ? load_dir(&c.ns->tree, vfs_node_ino(parent), &dir) : -ESTALE;
        if (err == 0) {
            inherit(p, &dir, cred, in);
            err = add_inode(p, c.ns, vfs_node_ino(parent), &dir, name, in, target, &ino);
        }
        if (err == 0) {
            project_changed(p, c.ns);
            attr_fill(c.ns, ino, in, ret);
            vfs_remember(c.ns);
        }
    }
    change_end(&c);
    return err;
}

static int make_namespace(struct project *p, const char *name, uint32_t mode,
                          const struct vfs_cred *cred, struct vfs_attr *ret)
{
    int err = project_writable(p);

    if (err == 0)
        err = flush_throttle(p);
    if (err == 0) {
        READ_GUARD(&p->gate);
        err = ns_create(p, name, mode, cred);
    }
    return err < 0 ? err : lookup_root(p, name, ret);
}

int vfs_mknod(struct project *p, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
              const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct inode in = {.mode = mode & (S_IFMT | 07777), .nlink = S_ISDIR(mode) ? 2 : 1};

    if (is_root(parent))
        return S_ISDIR(mode) ? make_namespace(p, name, mode, cred, ret) : -EPERM;
    if (!(in.mode & S_IFMT))
        in.mode |= S_IFREG;
    if (S_ISCHR(mode) || S_ISBLK(mode))
        in.rdev = rdev;
    return make(p, parent, name, &in, NULL, cred, ret);
}

int vfs_symlink(struct project *p, uint64_t parent, const char *name, const char *target,
                const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct inode in = {.mode = S_IFLNK | 0777, .nlink = 1, .size = strlen(target)};
    int err = in.size == 0 ? -ENOENT : in.size >= PATH_MAX ? -ENAMETOOLONG : 0;

    if (err < 0)
        return err;
    if (!is_root(parent))
        return make(p, parent, name, &in, target, cred, ret);
    err = project_writable(p);
    if (err == 0) {
        READ_GUARD(&p->gate);
        err = ns_create_symlink(p, name, target, cred);
    }
    return err < 0 ? err : lookup_root(p, name, ret);
}

/* ---- linking ---- */

static int link_here(struct project *p, struct ns *ns, uint64_t ino, uint64_t newdir,
                     const char *name, struct vfs_attr *ret)
{
    struct inode in, dir;
    struct key k;
    uint64_t taken;
    unsigned type;
    int err = ns->live ? load_dir(&ns->tree, newdir, &dir) : -ESTALE;

    if (err == 0)
        err = inode_load(&ns->tree, ino, &in);
    if (err < 0)
        return err == -ESTALE && ns->live ? -ENOENT : err;
    if (S_ISDIR(in.mode))
        return -EPERM;
    if (in.nlink >= NLINK_MAX)
        return -EMLINK;
    err = dirent_find(p, &ns->tree, newdir, name, &k, &taken, &type);
    if (err != -ENOENT)
        return err == 0 ? -EEXIST : err;
    in.nlink++;
    in.ctime = now(p);
    err = inode_store(&ns->tree, ino, &in);
    if (err == 0)
        err = put_dirent(&ns->tree, k, ino, in.mode, name);
    if (err == 0)
        err = touch_dir(p, &ns->tree, newdir, &dir, 1, 0);
    if (err == 0)
        attr_fill(ns, ino, &in, ret);
    return err;
}

/* Both namespaces' locks are held for writing. */
static int link_across(struct project *p, const struct items *src, struct ns *ns, uint64_t newdir,
                       const char *name, struct vfs_attr *ret)
{
    struct inode in, dir;
    uint64_t ino;
    int err = ns->live ? load_dir(&ns->tree, newdir, &dir) : -ESTALE;

    if (err == 0)
        err = inode_load(src->tree, src->ino, &in);
    if (err < 0)
        return err;
    if (!S_ISREG(in.mode))
        return -EXDEV;
    in.nlink = 1;
    err = add_inode(p, ns, newdir, &dir, name, &in, NULL, &ino);
    if (err == 0 && in.flags & INODE_EXTENTS)
        err = extents_copy(src->tree, src->ino, &ns->tree, ino);
    if (err == 0)
        attr_fill(ns, ino, &in, ret);
    return err;
}

/* The locks of two namespaces, the lower number first. */
static void lock_two(struct ns *a, struct ns *b)
{
    rwlock_wrlock(a->number < b->number ? &a->lock : &b->lock);
    rwlock_wrlock(a->number < b->number ? &b->lock : &a->lock);
}

static int link_vnode(struct project *p, struct vnode *v, struct ns *ns, uint64_t newdir,
                      const char *name, struct vfs_attr *ret)
{
    struct items src = {.tree = &v->ns->tree, .ino = vfs_node_ino(v->nodeid), .ns = v->ns};
    int err;
    READ_GUARD(&v->io); /* shared as it is now: no write is half done */

    if (v->ns == ns) {
        WRITE_GUARD(&ns->lock);
        err = v->orphan ? -ENOENT : link_here(p, ns, src.ino, newdir, name, ret);
        if (err == 0) {
            project_changed(p, ns);
            vfs_remember(ns);
        }
        return err;
    }
    lock_two(v->ns, ns);
    err = v->orphan || !v->ns->live ? -ENOENT : link_across(p, &src, ns, newdir, name, ret);
    if (err == 0) {
        project_changed(p, ns);
        vfs_remember(ns);
    }
    rwlock_wrunlock(&v->ns->lock);
    rwlock_wrunlock(&ns->lock);
    return err;
}

int vfs_link(struct project *p, uint64_t nodeid, uint64_t newparent, const char *newname,
             struct vfs_attr *ret)
{
    struct change c;
    struct vnode *v;
    int err = is_root(newparent) ? -EPERM : check_name(newname);

    if (err == 0)
        err = vnode_get(p, nodeid, &v);
    if (err < 0)
        return err;
    err = v->ns->target ? -EPERM : change_begin(p, newparent, &c);
    if (err == 0) {
        err = link_vnode(p, v, c.ns, vfs_node_ino(newparent), newname, ret);
        change_end(&c);
    }
    vnode_put(p, v);
    return err;
}

int vfs_link_object(struct project *p, const struct id *id, uint64_t newparent,
                    const char *newname, const struct vfs_cred *cred, struct vfs_attr *ret)
{
    struct inode in = {.mode = S_IFREG | 0644, .nlink = 1};
    struct entry e;
    uint64_t number;
    bool pending;
    int err = is_root(newparent) ? -EPERM : refs_find(p->refs, id, &number, &e, &pending);

    if (err < 0)
        return err == -EAGAIN ? -ENOENT : err;
    in.object = number;
    in.size = in.valid = e.size;
    err = entry_is_sealed(&e) && e.count > 0 ? make(p, newparent, newname, &in, NULL, cred, ret)
                                             : -ENOENT;
    refs_unhold(p->refs, number);
    return err;
}

/* ---- removing ---- */

/* An inode lost a name: at the last one it goes, or waits for its last close. */
static int drop_name(struct project *p, struct ns *ns, uint64_t ino, struct inode *in)
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
    return items_delete(&ns->tree, ino);
}

/* Needs ns->lock. `want_dir`: rmdir. */
static int remove_entry(struct project *p, struct ns *ns, uint64_t dir_ino, const char *name,
                        bool want_dir)
{
    struct inode dir, in;
    struct key k;
    uint64_t ino;
    unsigned type;
    int err = ns->live ? load_dir(&ns->tree, dir_ino, &dir) : -ESTALE;

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
    err = tree_del(&ns->tree, k);
    if (err == 0)
        err = drop_name(p, ns, ino, &in);
    if (err == 0)
        err = touch_dir(p, &ns->tree, dir_ino, &dir, -1, want_dir ? -1 : 0);
    return err;
}

static int remove_name(struct project *p, uint64_t parent, const char *name, bool want_dir)
{
    struct change c;
    int err = check_name(name);

    if (err == 0)
        err = change_begin(p, parent, &c);
    if (err < 0)
        return err;
    {
        WRITE_GUARD(&c.ns->lock);
        err = remove_entry(p, c.ns, vfs_node_ino(parent), name, want_dir);
        if (err == 0)
            project_changed(p, c.ns);
    }
    change_end(&c);
    return err;
}

int vfs_unlink(struct project *p, uint64_t parent, const char *name)
{
    uint32_t open;

    if (is_root(parent))
        return ns_drop(p, name, false, false, true, &open);
    return remove_name(p, parent, name, false);
}

int vfs_rmdir(struct project *p, uint64_t parent, const char *name)
{
    uint32_t open;

    if (is_root(parent))
        return ns_drop(p, name, false, true, false, &open);
    return remove_name(p, parent, name, true);
}

/* ---- renaming ---- */

struct spot {
    uint64_t dir;
    const char *name;
    struct key key;
    uint64_t ino;
    bool exists;
    struct inode in;
};

static int spot_find(struct project *p, struct ns *ns, uint64_t dir, const char *name,
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

/* Is directory `dir` below (or the same as) `top`? */
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

/* Hang spot's inode under another directory: its ".." and both directories' links follow. */
static int reparent(struct project *p, struct ns *ns, struct spot *s, uint64_t newdir)
{
    s->in.ctime = now(p);
    if (S_ISDIR(s->in.mode))
        s->in.parent = newdir;
    return inode_store(&ns->tree, s->ino, &s->in);
}

static int count_dirs(struct project *p, struct ns *ns, uint64_t dir, int entries, int subdirs)
{
    struct inode in;
    int err = inode_load(&ns->tree, dir, &in);

    return err < 0 ? err : touch_dir(p, &ns->tree, dir, &in, entries, subdirs);
}

static int exchange(struct project *p, struct ns *ns, struct spot *a, struct spot *b)
{
    int a_dir = S_ISDIR(a->in.mode), b_dir = S_ISDIR(b->in.mode);
    int err = put_dirent(&ns->tree, a->key, b->ino, b->in.mode, a->name);

    if (err == 0)
        err = put_dirent(&ns->tree, b->key, a->ino, a->in.mode, b->name);
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

static int replace(struct project *p, struct ns *ns, struct spot *a, struct spot *b)
{
    int dir = S_ISDIR(a->in.mode), gone_dir = b->exists && S_ISDIR(b->in.mode);
    int err;

    if (b->exists && dir != gone_dir)
        return dir ? -ENOTDIR : -EISDIR;
    if (gone_dir && b->in.size)
        return -ENOTEMPTY;
    err = put_dirent(&ns->tree, b->key, a->ino, a->in.mode, b->name);
    if (err == 0)
        err = tree_del(&ns->tree, a->key);
    if (err == 0 && b->exists)
        err = drop_name(p, ns, b->ino, &b->in);
    if (err == 0)
        err = reparent(p, ns, a, b->dir);
    if (err == 0 && a->dir == b->dir)
        return count_dirs(p, ns, a->dir, -b->exists, -gone_dir);
    if (err == 0)
        err = count_dirs(p, ns, a->dir, -1, -dir);
    if (err == 0)
        err = count_dirs(p, ns, b->dir, !b->exists, dir - gone_dir);
    return err;
}

static int rename_in(struct project *p, struct ns *ns, uint64_t dir, const char *name,
                     uint64_t newdir, const char *newname, unsigned flags)
{
    struct inode d;
    struct spot a, b;
    int err = ns->live ? load_dir(&ns->tree, dir, &d) : -ESTALE;

    if (err == 0)
        err = load_dir(&ns->tree, newdir, &d);
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
    return flags & RENAME_EXCHANGE ? exchange(p, ns, &a, &b) : replace(p, ns, &a, &b);
}

int vfs_rename(struct project *p, uint64_t parent, const char *name, uint64_t newparent,
               const char *newname, unsigned flags)
{
    struct change c;
    int err = check_name(newname);

    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    if (err == 0 && is_root(parent) && is_root(newparent))
        return ns_rename(p, name, newname, flags);
    if (err == 0 && vfs_node_ns(parent) != vfs_node_ns(newparent))
        return -EXDEV;
    if (err == 0)
        err = change_begin(p, parent, &c);
    if (err < 0)
        return err;
    {
        WRITE_GUARD(&c.ns->lock);
        err = rename_in(p, c.ns, vfs_node_ino(parent), name, vfs_node_ino(newparent), newname,
                        flags);
        if (err == 0)
            project_changed(p, c.ns);
    }
    change_end(&c);
    return err;
}

/* ---- listing ---- */

struct listing {
    struct project *p;
    struct ns *ns; /* NULL: the root */
    bool plus;
    vfs_dirent_fn *fn;
    void *ctx;
};

/* Give one entry to the caller; false: no room. Counts the kernel's reference on `plus`. */
static bool give(struct listing *l, struct ns *ns, struct vfs_dirent *d, const char *name)
{
    bool dots = !strcmp(name, ".") || !strcmp(name, "..");

    d->name = name;
    if (!l->fn(d, l->ctx))
        return false;
    if (l->plus && !dots && ns)
        vfs_remember(ns);
    return true;
}

static int list_dots(struct listing *l, const struct inode *dir, uint64_t ino, uint64_t *cookie,
                     bool *ret_full)
{
    uint32_t number = l->ns->number;
    uint64_t up = ino == NS_ROOT_INO ? VFS_ROOT : vfs_node(number, dir->parent);

    for (uint64_t c = *cookie; c < COOKIE_DOTDOT && !*ret_full; c++) {
        struct vfs_dirent d = {.cookie = c + 1};
        d.attr.nodeid = c == 0 ? vfs_node(number, ino) : up;
        d.attr.mode = S_IFDIR;
        *ret_full = !give(l, l->ns, &d, c == 0 ? "." : "..");
        *cookie = *ret_full ? c : c + 1;
    }
    return 0;
}

static int list_entry(struct listing *l, const struct tree_cursor *c, bool *ret_full)
{
    char name[VFS_NAME_MAX + 1];
    struct vfs_dirent d = {.cookie = tree_cursor_key(c).lo + COOKIE_BASE};
    struct dirent_item item;
    struct inode in;
    size_t len;
    const void *val = tree_cursor_value(c, &len);
    int err = dirent_decode(val, len, &item);

    if (err < 0)
        return err;
    memcpy(name, item.name, item.name_len);
    name[item.name_len] = 0;
    d.attr.nodeid = vfs_node(l->ns->number, item.ino);
    d.attr.mode = DTTOIF(item.type);
    if (l->plus) {
        err = inode_load(&l->ns->tree, item.ino, &in);
        if (err < 0)
            return err == -ESTALE ? -EUCLEAN : err;
        attr_fill(l->ns, item.ino, &in, &d.attr);
    }
    *ret_full = !give(l, l->ns, &d, name);
    return 0;
}

static int list_tree(struct listing *l, uint64_t ino, uint64_t cookie)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct inode dir;
    struct key from;
    bool full = false;
    int err = l->ns->live ? inode_load(&l->ns->tree, ino, &dir) : -ESTALE;

    if (err == 0 && !S_ISDIR(dir.mode))
        err = -ENOTDIR;
    if (err == 0)
        err = list_dots(l, &dir, ino, &cookie, &full);
    if (err < 0 || full)
        return err;
    from = key_make(ino, ITEM_DIRENT, cookie < COOKIE_BASE ? 0 : cookie - COOKIE_BASE + 1);
    err = tree_seek(&l->ns->tree, from, &c);
    while (err == 0 && tree_cursor_key(&c).hi == from.hi) {
        err = list_entry(l, &c, &full);
        if (err < 0 || full)
            break;
        err = tree_next(&c);
    }
    tree_cursor_end(&c);
    return err == -ENOENT ? 0 : err;
}

/* The root: cookies are namespace numbers, so they too outlive other entries. */
static int list_root(struct listing *l, uint64_t cookie)
{
    struct ns *ns;
    bool more = true;

    for (uint64_t c = cookie; c < COOKIE_DOTDOT && more; c++) {
        struct vfs_dirent d = {.cookie = c + 1, .attr = {.nodeid = VFS_ROOT, .mode = S_IFDIR}};
        more = give(l, NULL, &d, c == 0 ? "." : "..");
        cookie = c + 1;
    }
    if (cookie < COOKIE_BASE)
        cookie = COOKIE_BASE;
    while (more && ns_next_number(l->p, (uint32_t)(cookie - COOKIE_BASE), &ns) == 0) {
        char name[VFS_NAME_MAX + 1];
        struct vfs_dirent d = {.cookie = ns->number + COOKIE_BASE};
        struct inode in;
        int err = 0;
        {
            READ_GUARD(&l->p->names.lock); /* names move under a rename */
            strcpy(name, ns->name);
        }
        if (ns->target) {
            attr_fill_link(ns, &d.attr);
        } else {
            READ_GUARD(&ns->lock);
            err = ns->live ? inode_load(&ns->tree, NS_ROOT_INO, &in) : -ENOENT;
            if (err == 0)
                attr_fill(ns, NS_ROOT_INO, &in, &d.attr);
        }
        if (err == 0)
            more = give(l, ns, &d, name);
        cookie = (uint64_t)ns->number + COOKIE_BASE;
        ns_put(l->p, ns);
        if (err < 0 && err != -ENOENT)
            return err;
    }
    return 0;
}

int vfs_readdir(struct project *p, uint64_t nodeid, uint64_t cookie, bool plus, vfs_dirent_fn *fn,
                void *ctx)
{
    struct listing l = {p, NULL, plus, fn, ctx};
    int err;

    if (is_root(nodeid))
        return list_root(&l, cookie);
    err = ns_get(p, vfs_node_ns(nodeid), &l.ns);
    if (err < 0)
        return err;
    {
        READ_GUARD(&l.ns->lock);
        err = list_tree(&l, vfs_node_ino(nodeid), cookie);
    }
    ns_put(p, l.ns);
    return err;
}
