// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_ahead: what would have to wait, asked beforehand. The room of a change is taken with the
 * answer, so that nobody else has it when the change comes.
 */
#include "vfs_file_impl.h"
#include <errno.h>

bool vfs_ahead(struct project *p, size_t bytes)
{
    return change_ahead(p, bytes + WRITE_ROOM);
}

void vfs_ahead_end(void)
{
    change_ahead_end();
}

/* Has it extents, or a large sealed object, of which file_consolidate may make something better? */
static bool is_large(struct project *p, struct vnode *v)
{
    struct items it;
    struct inode in;
    struct entry e;
    int err = items_lock(p, v, false, &it);

    if (err < 0)
        return false;
    err = inode_load(it.tree, it.ino, &in);
    items_unlock(p, &it);
    if (err < 0)
        return false;
    return in.flags & INODE_EXTENTS ||
           (in.object && refs_entry(p->refs, in.object, true, NULL, &e) == 0 &&
            e.kind == ENTRY_FILE);
}

bool vfs_release_is_work(const struct vfs_file *f)
{
    return f->write && is_large(f->p, f->v);
}

bool vfs_cut_is_work(struct project *p, uint64_t nodeid)
{
    struct vnode *v;
    bool large;

    if (nodeid == VFS_ROOT || vnode_get(p, nodeid, &v) < 0)
        return false;
    large = is_large(p, v);
    vnode_put(p, v);
    return large;
}
