// SPDX-License-Identifier: Apache-2.0
/* vfs_attr: attributes of inodes, targets of symlinks, and the space of the disk. */
#include "acl.h"
#include "flush.h"
#include "io.h"
#include "nowait.h"
#include "report.h"
#include "kept.h"
#include "quota.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DIR_SIZE 4096 /* bytes; st_size of every directory */

/* ---- attributes ---- */

void attr_fill_node(const struct ns *ns, uint64_t nodeid, const struct inode *in,
                    struct vfs_attr *ret)
{
    bool dir = S_ISDIR(in->mode);
    uint64_t size = dir ? DIR_SIZE : in->size;

    *ret = (struct vfs_attr){.nodeid = nodeid,
                             .generation = ns->generation,
                             .mode = in->mode,
                             .nlink = in->nlink,
                             .uid = in->uid,
                             .gid = in->gid,
                             .rdev = in->rdev,
                             .size = size,
                             .blocks = dir ? DIR_SIZE / 512 : inode_st_blocks(in),
                             .atime = in->atime,
                             .mtime = in->mtime,
                             .ctime = in->ctime,
                             .btime = in->btime};
}

void attr_fill(const struct ns *ns, uint64_t ino, const struct inode *in, struct vfs_attr *ret)
{
    attr_fill_node(ns, ns_node_of(ns, ino), in, ret);
}

void attr_fill_link(const struct ns *ns, struct vfs_attr *ret)
{
    *ret = (struct vfs_attr){.nodeid = vfs_node(ns->number, NS_ROOT_INO),
                             .generation = ns->generation,
                             .mode = S_IFLNK | 0777,
                             .nlink = 1,
                             .uid = ns->uid,
                             .gid = ns->gid,
                             .size = strlen(ns->target),
                             .atime = ns->time,
                             .mtime = ns->time,
                             .ctime = ns->time,
                             .btime = ns->time};
}

void attr_fill_root(struct state *p, struct vfs_attr *ret)
{
    READ_GUARD(&p->names.lock);
    *ret = (struct vfs_attr){.nodeid = VFS_ROOT,
                             .mode = S_IFDIR | 0755,
                             .nlink = 2 + (uint32_t)p->names.live,
                             .uid = (uint32_t)getuid(),
                             .gid = (uint32_t)getgid(),
                             .size = DIR_SIZE,
                             .blocks = DIR_SIZE / 512,
                             .atime = p->names.mtime,
                             .mtime = p->names.mtime,
                             .ctime = p->names.mtime,
                             .btime = p->created};
}

/* Load an inode that may be an orphan, or deleted while the kernel still knows it
 * (forgotten_attrs). No vnode is left behind if there was none. */
static int load_any(struct state *p, uint64_t nodeid, struct inode *ret, struct vfs_attr *attr)
{
    struct vnode *v;
    struct items it;
    int err = vnode_get(p, nodeid, &v);

    if (err < 0)
        return err;
    if (v->ns->target) {
        attr_fill_link(v->ns, attr);
        *ret = (struct inode){.mode = attr->mode, .size = attr->size};
        vnode_put(p, v);
        return 0;
    }
    err = items_lock(p, v, NULL, &it);
    if (err == 0) {
        err = inode_load(it.tree, it.ino, ret);
        if (err == -ESTALE)
            err = forgotten_attrs_load(p, nodeid, ret);
        if (err == 0)
            attr_fill_node(v->ns, nodeid, ret, attr);
        items_unlock(p, &it);
    }
    vnode_put(p, v);
    return err;
}

int inode_get(struct state *p, uint64_t nodeid, struct inode *ret, struct vfs_attr *attr)
{
    struct ns *ns;
    int err = ns_get(p, vfs_node_ns(nodeid), &ns);

    if (err == 0 && !ns->target) { /* the usual case, without the table of open inodes */
        {
            READ_GUARD(&ns->lock);
            err = ns->live ? inode_load(&ns->tree, ns_ino_of(ns, nodeid), ret) : -ESTALE;
            if (err == 0)
                attr_fill_node(ns, nodeid, ret, attr);
        }
        ns_put(p, ns);
        if (err != -ESTALE)
            return err;
    } else if (err == 0) {
        attr_fill_link(ns, attr);
        *ret = (struct inode){.mode = attr->mode, .size = attr->size};
        ns_put(p, ns);
        return 0;
    }
    return load_any(p, nodeid, ret, attr);
}

int vfs_getattr(struct state *p, uint64_t nodeid, struct vfs_attr *ret)
{
    struct inode in;
    int err;

    if (nodeid == VFS_ROOT) {
        attr_fill_root(p, ret);
        return 0;
    }
    err = inode_get(p, nodeid, &in, ret);
    if (err == 0)
        attr_mask(p, ret);
    return err;
}

/* Drops set-uid, and set-gid where group-executable. */
static void kill_suid(struct inode *in)
{
    uint32_t kill = in->mode & S_ISUID;

    if ((in->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        kill |= S_ISGID;
    in->mode &= ~kill;
}

/* Put the wanted attributes into `in`. ctime becomes now, unless the caller sets it. */
static void apply(struct state *p, unsigned set, const struct vfs_attr *want, struct inode *in)
{
    int64_t t = now(p);

    if (set & VFS_SET_MODE)
        in->mode = (in->mode & S_IFMT) | (want->mode & 07777);
    if (set & VFS_SET_UID)
        in->uid = want->uid;
    if (set & VFS_SET_GID)
        in->gid = want->gid;
    if (set & VFS_KILL_SUID && !S_ISDIR(in->mode))
        kill_suid(in);
    if (set & VFS_SET_ATIME)
        in->atime = want->atime;
    if (set & VFS_SET_MTIME)
        in->mtime = want->mtime;
    if (set & VFS_SET_ATIME_NOW)
        in->atime = t;
    if (set & VFS_SET_MTIME_NOW)
        in->mtime = t;
    in->ctime = set & VFS_SET_CTIME ? want->ctime : t;
}

/* Store the inode and, after a change of the mode, its access ACL, which must say the same as the
 * mode. If it fails, both are as they were. */
static int store_attrs(struct state *p, struct items *it, unsigned set, const struct inode *old,
                       const struct inode *in)
{
    uint8_t *acl = NULL;
    size_t len;
    int err = set & VFS_SET_MODE && in->flags & INODE_XATTRS
                  ? acl_chmod_load(p, it, in->mode, &acl, &len)
                  : 0;

    if (err == 0)
        err = inode_store(it->tree, it->ino, in);
    if (err == 0 && acl) {
        err = acl_chmod_store(p, it, acl, len);
        if (err < 0)
            (void)inode_store(it->tree, it->ino, old); /* copies no page any more */
    }
    free(acl);
    return err;
}

/* The arguments of one vfs_setattr, and one result. */
struct setting_of {
    unsigned set; /* enum vfs_set */
    const struct vfs_attr *want;
    bool killed; /* VFS_KILL_SUID has cleared a bit that was set */
};

/* Set all attributes but the size, which file_truncate has set before, and fill *ret. An inode
 * that was deleted while the kernel still knows it keeps its new attributes in forgotten_attrs
 * only. VFS_SET_SIZE alone stores nothing more. */
static int set_items(struct txn *t, struct vnode *v, struct setting_of *s, struct vfs_attr *ret)
{
    struct state *p = t->p;
    const unsigned set = s->set;
    struct items it;
    struct inode in, old;
    bool gone;
    int err = items_lock(p, v, t, &it);

    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &in);
    gone = err == -ESTALE;
    if (gone)
        err = forgotten_attrs_load(p, v->nodeid, &in);
    if (err == 0 && set & ~(unsigned)VFS_SET_SIZE) {
        old = in;
        apply(p, set, s->want, &in);
        s->killed = set & VFS_KILL_SUID && old.mode & ~in.mode & (S_ISUID | S_ISGID);
        if (gone) {
            forgotten_attrs_keep(p, v->nodeid, &in);
        } else {
            err = change_done(t, it.ns, store_attrs(p, &it, set, &old, &in));
        }
    }
    if (err == 0)
        attr_fill_node(v->ns, v->nodeid, &in, ret);
    items_unlock(p, &it);
    return err;
}

/* Set attributes as one change. With VFS_SET_MODE the access ACL is written, too: room is reserved
 * for it. */
static int set_once(struct state *p, struct vnode *v, struct setting_of *s, struct vfs_attr *ret,
                    struct remote_bytes *remote)
{
    TXN(t);
    int err = txn_begin(p, s->set & VFS_SET_MODE ? XATTR_VALUE_MAX : 0, &t); /* the ACL */

    if (err < 0)
        return err;
    t.remote = remote;
    WRITE_GUARD(&v->io);
    err = vnode_changeable_by_name(p, v);
    if (err == 0 && s->set & VFS_SET_SIZE)
        err = file_truncate(&t, v, s->want->size);
    return err < 0 ? err : set_items(&t, v, s, ret);
}

/* set_once, which needs the access ACL for the mode. A shard is asked for it only if nothing else
 * stands against the change, or the change cuts the file before it reads the ACL. */
static int set_vnode(struct state *p, struct vnode *v, struct setting_of *s, struct vfs_attr *ret)
{
    bool first = s->set & VFS_SET_MODE && s->set & VFS_SET_SIZE;
    struct remote_bytes acl;
    unsigned turns = 0;
    int err;

    remote_bytes_init(&acl);
    err = first ? xattr_fetch(p, v->nodeid, ACL_ACCESS, &acl) : 0;
    if (err == 0)
        err = set_once(p, v, s, ret, &acl);
    while (remote_bytes_again(&turns, &err)) {
        err = xattr_fetch(p, v->nodeid, ACL_ACCESS, &acl);
        if (err == 0)
            err = set_once(p, v, s, ret, &acl);
    }
    remote_bytes_end(&acl);
    return err;
}

/* Set attributes with a size. A file that the kernel reads by passthrough keeps its size:
 * -ETXTBSY, after a wait, since the kernel reports a close late. passthrough_file_cut_begin keeps
 * new passthrough opens out until passthrough_file_cut_end. */
static int set_size(struct state *p, struct vnode *v, struct setting_of *s, struct vfs_attr *ret)
{
    int err = file_may_cut(p, v, s->want->size);

    if (err == 0)
        err = passthrough_file_cut_begin(p, v);
    for (unsigned i = 0; err == -ETXTBSY && i < PASSTHROUGH_TRIES; i++) {
        err = passthrough_pause();
        if (err == 0)
            err = passthrough_file_cut_begin(p, v);
    }
    if (err < 0)
        return err;
    err = set_vnode(p, v, s, ret);
    passthrough_file_cut_end(p, v);
    if (err == 0 && !vnode_is_open(p, v->nodeid, true))
        (void)file_consolidate(p, v); /* nobody has it open for writing: no close will do this */
    return err;
}

int vfs_setattr(struct state *p, uint64_t nodeid, unsigned set, const struct vfs_attr *in,
                struct vfs_attr *ret)
{
    struct setting_of s = {.set = set, .want = in};
    struct vnode *v;
    int err = nodeid == VFS_ROOT ? -EPERM : state_writable(p);

    if (err == 0)
        err = flush_throttle(p);
    if (io_is_full(err) && set & VFS_SET_SIZE)
        err = 0; /* cutting a file frees space, so it is allowed while a full disk prevents a
                  * flush */
    if (err == 0)
        err = vnode_get(p, nodeid, &v);
    if (err < 0)
        return err;
    err = v->ns->target         ? -EPERM
          : set & VFS_SET_SIZE ? set_size(p, v, &s, ret)
                               : set_vnode(p, v, &s, ret);
    vnode_put(p, v);
    if (s.killed)
        event_rights(p, nodeid);
    return err;
}

/* ---- symlinks, objects, the disk ---- */

/* Read a symlink's target, which is stored in pieces. It ends at the first piece that is
 * missing. */
static int read_pieces(const struct tree *t, uint64_t ino, char *buf, size_t cap)
{
    size_t at = 0, len = 0;
    int err;

    for (uint64_t i = 0; at < cap; i++, at += len) {
        err = tree_get(t, key_make(ino, ITEM_SYMLINK, i), buf + at, cap - 1 - at, &len);
        if (err == -ENOENT && i > 0)
            break;
        /* no symlink, or one that was removed just now: the kernel looks again */
        if (err == -ENOENT)
            return items_any(t, range_of_inode(ino)) ? -EINVAL : -ESTALE;
        if (err < 0)
            return err == -ERANGE ? -EUCLEAN : err;
    }
    buf[at < cap ? at : cap - 1] = 0;
    return 0;
}

int vfs_readlink(struct state *p, uint64_t nodeid, char *buf, size_t cap)
{
    struct vnode *v;
    struct items it;
    int err = nodeid == VFS_ROOT ? -EINVAL : vnode_get(p, nodeid, &v);

    if (err < 0)
        return err;
    if (v->ns->target) {
        err = (size_t)snprintf(buf, cap, "%s", v->ns->target) < cap ? 0 : -ENAMETOOLONG;
    } else {
        err = items_lock(p, v, NULL, &it);
        if (err == 0) {
            err = read_pieces(it.tree, it.ino, buf, cap);
            items_unlock(p, &it);
        }
        if (err == 0)
            atime_touch(p, v);
    }
    vnode_put(p, v);
    return err;
}

/* The refcount table's entry of the object that the inode names. Between loading the inode and
 * asking the table, sealing may give the inode another number: then the inode is loaded again. If
 * the inode still names the number that the table lacks, the object is lost, which is reported. */
static int named_object(struct state *p, uint64_t nodeid, struct inode *in, struct entry *ret)
{
    struct vfs_attr attr;
    uint64_t before = in->object;
    int err = in->object ? refs_entry(p->refs, in->object, true, NULL, ret) : -ENODATA;

    while (err == -ENOENT) {
        err = inode_get(p, nodeid, in, &attr);
        if (err < 0 || in->object == before)
            return err < 0 ? err : met_lost(p, refs_resolve(p->refs, before));
        before = in->object;
        err = in->object ? refs_entry(p->refs, in->object, true, NULL, ret) : -ENODATA;
    }
    return err;
}

static bool is_immutable(const struct entry *e)
{
    return entry_is_sealed(e) || e->kind == ENTRY_ABSENT;
}

int sealed_object(struct state *p, uint64_t nodeid, struct entry *ret)
{
    struct inode in;
    struct vfs_attr attr;
    int err = inode_get(p, nodeid, &in, &attr);

    if (err < 0)
        return err;
    if (!S_ISREG(in.mode) || !in.object || in.flags & INODE_EXTENTS)
        return -ENODATA;
    err = named_object(p, nodeid, &in, ret);
    if (err == 0 && !is_immutable(ret)) {
        seal_for_view(p);
        err = inode_get(p, nodeid, &in, &attr);
        if (err == 0)
            err = named_object(p, nodeid, &in, ret);
    }
    if (err < 0)
        return err;
    return is_immutable(ret) && ret->size == in.size && in.valid == in.size ? 0 : -ENODATA;
}

int vfs_statfs(struct state *p, struct disk_space *ret)
{
    uint64_t kept, alone;
    int err = disk_space(p->config.disk, ret);

    if (err < 0)
        return err;
    alone = kept_alone(p).bytes / ret->block_size;
    if (alone > ret->blocks - ret->blocks_free)
        alone = ret->blocks - ret->blocks_free;
    ret->blocks_free += alone;
    ret->blocks_avail += alone;
    kept = flush_reserve(ret) / ret->block_size;
    ret->blocks_avail = ret->blocks_avail > kept ? ret->blocks_avail - kept : 0;
    return 0;
}

int vfs_statfs_at(struct state *p, uint64_t nodeid, struct disk_space *ret)
{
    int err = vfs_statfs(p, ret);

    if (err == 0)
        quota_space(p, nodeid, ret);
    return err;
}
