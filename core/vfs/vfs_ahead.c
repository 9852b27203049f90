// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_ahead: what would have to wait, asked beforehand. The room of a change is taken with the
 * answer, so that nobody else has it when the change comes.
 */
#include "vfs.h"
#include "vfs_file_impl.h"
#include <errno.h>

bool vfs_ahead(struct state *p, size_t bytes)
{
    return txn_ahead(p, bytes + WRITE_ROOM);
}

void vfs_ahead_end(void)
{
    txn_ahead_end();
}

void vfs_set_request(uint64_t unique)
{
    txn_set_request(unique);
}

uint64_t vfs_request(void)
{
    return txn_request();
}

/* Has it extents, or a large sealed object, of which file_consolidate may make something better? */
static bool is_large(struct state *p, struct vnode *v)
{
    struct items it;
    struct inode in;
    struct entry e;
    int err = items_lock(p, v, NULL, &it);

    if (err < 0)
        return false;
    err = inode_load(it.tree, it.ino, &in);
    items_unlock(p, &it);
    if (err < 0)
        return false;
    return in.flags & INODE_EXTENTS ||
           (in.object && refs_entry(p->refs, in.object, true, NULL, &e) == 0 &&
            (e.kind == ENTRY_FILE || entry_is_ghost(&e)));
}

bool vfs_read_is_work(const struct vfs_file *f, uint64_t off, size_t len)
{
    struct entry e;

    if (f->v)
        return file_is_away(f->p, f->v, off, len);
    return atomic_load_explicit(&f->p->has_ghosts, memory_order_relaxed) &&
           refs_entry(f->p->refs, f->object, true, NULL, &e) == 0 && entry_is_ghost(&e);
}

bool vfs_write_is_work(const struct vfs_file *f, uint64_t off, size_t len)
{
    uint64_t from = grain_start(off);

    return f->v && file_is_away(f->p, f->v, from, len + (size_t)(off - from) + EXTENT_GRAIN);
}

bool vfs_has_ghosts(struct state *p)
{
    return atomic_load_explicit(&p->has_ghosts, memory_order_relaxed);
}

bool vfs_release_is_work(const struct vfs_file *f)
{
    return f->write && is_large(f->p, f->v);
}

bool vfs_cut_is_work(struct state *p, uint64_t nodeid)
{
    struct vnode *v;
    bool large;

    if (nodeid == VFS_ROOT || vnode_get(p, nodeid, &v) < 0)
        return false;
    large = is_large(p, v);
    vnode_put(p, v);
    return large;
}

/* To be read all of it first? */
static bool is_verified_first(struct state *p, uint64_t nodeid, unsigned flags)
{
    struct vfs_attr attr;
    struct inode in;
    struct ns *ns;
    bool verify;

    if (!(flags & VFS_MAY_NATIVE) ||
        !atomic_load_explicit(&p->natives.verify, memory_order_relaxed) ||
        ns_get(p, vfs_node_ns(nodeid), &ns) < 0)
        return false;
    {
        READ_GUARD(&ns->lock);
        verify = ns->verify;
    }
    ns_put(p, ns);
    return verify && inode_get(p, nodeid, &in, &attr) == 0 &&
           in.size > (uint64_t)settings_get(&p->settings, SET_PACK_LIMIT);
}

bool vfs_open_is_work(struct state *p, uint64_t nodeid, unsigned flags)
{
    if (nodeid == VFS_ROOT)
        return false;
    if (flags & (VFS_WRITE | VFS_TRUNC))
        return native_any(p, nodeid);
    return is_verified_first(p, nodeid, flags);
}
