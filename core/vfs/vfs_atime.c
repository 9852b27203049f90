// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_atime: access times. By default they are kept as relatime does: the first read after a change
 * moves atime, and so does a read a day after the last move. So a tree that is read again and again
 * changes only once; a fresh branch does not change at all if its source was read before. The mount
 * options noatime, nodiratime and strictatime choose otherwise.
 *
 * Moving atime is a change like any other (it may copy a page that a branch shares), but a read
 * must not fail or wait because of it. If the store takes no changes now, or if a change would have
 * to wait, atime stays as it is.
 */
#include "flush.h"
#include "vfs.h"
#include "vfs_impl.h"
#include <errno.h>

#define ATIME_DAY (24 * 3600 * NSEC_PER_SEC)

void state_set_atime(struct state *p, unsigned how)
{
    atomic_store(&p->atime, how);
}

/* Does a read of this inode move its atime now, by the mount's options? The comparisons are those
 * of the kernel's relatime. */
static bool time_is_due(struct state *p, const struct inode *in)
{
    const unsigned how = atomic_load_explicit(&p->atime, memory_order_relaxed);
    int64_t t;

    if ((how & STATE_NOATIME) != 0 || ((how & STATE_NODIRATIME) != 0 && S_ISDIR(in->mode)))
        return false;
    t = now(p);
    if (in->atime == t)
        return false;
    if ((how & STATE_STRICTATIME) != 0)
        return true;
    return in->atime <= in->mtime || in->atime <= in->ctime || t - ATIME_DAY >= in->atime;
}

/* As time_is_due, for an inode that is not loaded yet. Takes only read locks, so that most reads
 * need no change at all. */
static bool is_due(struct state *p, struct vnode *v)
{
    struct items it;
    struct inode in;
    bool due;

    if (items_lock(p, v, NULL, &it) < 0)
        return false;
    due = !ns_is_fixed(it.ns) && inode_load(it.tree, it.ino, &in) == 0 && time_is_due(p, &in);
    items_unlock(p, &it);
    return due;
}

bool vfs_atime_due(const struct vfs_file *f)
{
    return f->v && !f->noatime && state_writable(f->p) == 0 && is_due(f->p, f->v);
}

/* Move atime, if it still is due now that the tree is locked for writing. Errors are ignored: the
 * time then stays as it was. */
static void move_atime(struct txn *t, struct vnode *v)
{
    struct state *p = t->p;
    struct items it;
    struct inode in;

    if (items_lock(p, v, t, &it) < 0)
        return;
    if (!ns_is_fixed(it.ns) && inode_load(it.tree, it.ino, &in) == 0 && time_is_due(p, &in)) {
        in.atime = now(p);
        if (inode_store(it.tree, it.ino, &in) == 0)
            (void)state_changed(t, it.ns);
    }
    items_unlock(p, &it);
}

void atime_touch(struct state *p, struct vnode *v)
{
    TXN(t);

    if (v->ns->target || !is_due(p, v))
        return;
    if (state_writable(p) < 0 || !flush_takes_more(p))
        return;
    if (txn_begin_now(p, &t) == 0)
        move_atime(&t, v);
}

void atime_touch_node(struct state *p, uint64_t nodeid)
{
    struct vnode *v;

    if (vnode_get(p, nodeid, &v) < 0)
        return;
    atime_touch(p, v);
    vnode_put(p, v);
}
