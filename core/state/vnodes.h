// SPDX-License-Identifier: Apache-2.0
/* vnodes: the inodes that are open, and those that have no name any more (vnodes.c). */
#pragma once

#include "capture.h"
#include "item.h"
#include "lock.h"
#include "tree.h"
#include "vfs_types.h"
#include <stdbool.h>
#include <stdint.h>

struct ns;
struct state;

struct vnode {
    uint64_t nodeid;
    struct ns *ns; /* with a reference */
    unsigned refs GUARDED_BY(inodes);
    unsigned opens GUARDED_BY(inodes);   /* open files */
    unsigned writers GUARDED_BY(inodes); /* open files that are open for writing */
    unsigned cuts GUARDED_BY(inodes);    /* changes of its size in flight that need no open file */
    struct rwlock io;                    /* "inode": bytes and size */
    _Atomic unsigned uncached;           /* open files that are written past the kernel's cache */
    _Atomic bool read_beside; /* set under io; a cache of the kernel may have bytes of it */
    /* Ranges of which caches of the kernel may have older bytes. */
    struct vfs_stale *stale GUARDED_BY(inode);
    uint64_t version GUARDED_BY(inode);    /* changes of its bytes since this struct was made */
    uint64_t orphan GUARDED_BY(namespace); /* its number in the orphan tree; 0: it has names */
    /* it is an orphan that never had a name, and may get one */
    bool linkable GUARDED_BY(namespace);
    struct vnode *next GUARDED_BY(inodes);
};

#define VNODE_BUCKETS 4096
struct vnode_table {
    struct mutex lock;        /* "inodes" */
    _Atomic uint64_t renewed; /* nodes that inodes got since the start (inode_renew) */
    struct vnode *bucket[VNODE_BUCKETS] GUARDED_BY(inodes);
};

struct orphans {
    struct rwlock lock; /* "orphans" */
    struct tree tree GUARDED_BY(orphans);
    struct capture_observer observer GUARDED_BY(orphans);
    uint64_t next_ino GUARDED_BY(orphans);
    struct ns *of GUARDED_BY(orphans);       /* whose orphans who holds the lock changes */
    struct usage before GUARDED_BY(orphans); /* usage of the tree when the lock was taken */
};

/* Finds the vnode of a nodeid, with a reference, or makes one. -ESTALE: the namespace was dropped,
 * and the inode is not open; -ENOMEM. */
int vnode_get(struct state *p, uint64_t nodeid, struct vnode **ret_v);
void vnode_hold(struct state *p, struct vnode *v); /* takes one more reference */
void vnode_put(struct state *p, struct vnode *v);
void vnode_open(struct state *p, struct vnode *v, bool write);
void vnode_count_open(struct state *p, struct vnode *v, bool write); /* the caller holds "inodes" */
/* Counts a close. *ret_last: it was the last open file of this inode. */
void vnode_close(struct state *p, struct vnode *v, bool write, bool *ret_last);
/* Lets the kernel write back what is dirty in mappings of files that are open for writing in `ns`.
 * -ENOMEM; -EWOULDWAIT (nowait.h). The caller holds no lock. */
int vnodes_write_back(struct state *p, const struct ns *ns);
bool vnode_is_open(struct state *p, uint64_t nodeid, bool for_writing);
/* Has it no name any more, and does the kernel or an open file still know it? The caller holds the
 * lock of its namespace. */
bool vnode_is_nameless(struct state *p, uint64_t nodeid);
/* ---- which node an inode has ----
 *
 * The node of an inode is its namespace and its number, until inode_renew: then the inode has
 * another node, which is known in memory only, and the old node stands for no inode any more. An
 * open file keeps the node that it was opened with. The caller holds the lock of the namespace. */

uint64_t ns_node_of(const struct ns *ns, uint64_t ino);
uint64_t ns_ino_of(const struct ns *ns, uint64_t nodeid); /* 0: none */
/* Did inode_renew leave the node to those who had it open? The caller holds the lock of the
 * namespace. */
static inline bool vnode_is_left(const struct vnode *v)
{
    return v->orphan && ns_ino_of(v->ns, v->nodeid) == 0;
}
/* Open files of the inode, none of which may be open for writing, go on with what it is now: that
 * is copied to the orphan tree, without a name, and keeps the node. The inode gets another node,
 * and may then be changed. If the inode is in the orphan tree already it only gets another node,
 * and may come back into the tree of the namespace. Nothing happens if no file is open. Takes at
 * most RENEW_ROOM bytes of operations in the frame. -EBUSY: one is open for writing; -ENOSPC: there
 * is no number for a node; -ENOMEM, or another error: nothing was changed. The caller holds
 * ns->lock for writing. */
#define RENEW_ROOM (2 * ADOPT_ROOM)
int inode_renew(struct state *p, struct ns *ns, uint64_t ino);
/* Takes inode_renew back, in the same change: `nodeid` is the node that the inode had, and the tree
 * is as it was. Nothing happens if the node did not leave it. */
void inode_renew_undo(struct state *p, struct ns *ns, uint64_t ino, uint64_t nodeid);

/* ---- where its items are ---- */

/* Where the items of an inode are. The caller of items_lock has no lock of the namespace or the
 * orphans; it has both as needed until items_unlock. */
struct items {
    struct tree *tree;
    uint64_t ino;
    struct ns *ns;   /* its lock is held */
    struct txn *txn; /* the change that holds it for writing; NULL: held for reading */
    bool orphan;
};
int items_lock(struct state *p, struct vnode *v, struct txn *t, struct items *ret);
void items_unlock(struct state *p, struct items *it);
/* Gives back the locks of items_lock in the middle of a change, which has not changed anything yet
 * that others see. The operations that it noted stay noted for its frame. */
void items_leave(struct state *p, struct items *it);
/* The last name of an inode is removed. If it is open, its items are moved to the orphan tree, and
 * *ret_moved is true. The caller holds ns->lock for writing. */
int orphan_adopt(struct state *p, struct ns *ns, uint64_t ino, bool *ret_moved);
/* The same for an inode that has no name any more because its namespace got another tree: its items
 * are copied from `was`, the tree before, which is that of a namespace that the log knows. Nothing
 * happens if it is not open. Takes at most RENEW_ROOM bytes of operations in the frame. */
int orphan_keep(struct state *p, struct ns *ns, const struct tree *was, uint64_t ino);
/* Lists the inodes of `ns` that are open or have no name any more, by number, but those of which
 * the number stands for another node (inode_renew). The caller holds ns->lock, and frees *ret.
 * -ENOMEM */
struct vnode_known {
    uint64_t ino, nodeid;
    bool open, writes, orphan; /* `writes`: it is open for writing */
};
int vnodes_known(struct state *p, const struct ns *ns, struct vnode_known **ret, size_t *ret_count);
/* Finds an inode in such a list; NULL: it is not there. */
const struct vnode_known *vnodes_find(const struct vnode_known *list, size_t count, uint64_t ino);
/* Makes an inode that has no name: its items begin in the orphan tree. The caller holds v->ns->lock
 * for writing. */
int orphan_create(struct state *p, struct vnode *v, const struct inode *in, bool linkable);
/* Gives an inode of orphan_create its first name: its items are moved to the tree of its namespace.
 * The caller holds v->ns->lock for writing. */
int orphan_return(struct state *p, struct vnode *v);
/* Makes all open inodes of a namespace orphans, because it is dropped by force. Each takes at most
 * ADOPT_ROOM bytes of operations in the frame. The caller holds ns->lock for writing. */
#define ADOPT_ROOM ((size_t)2048)
int orphan_adopt_all(struct state *p, struct ns *ns);
/* inode_load reads the attributes of an inode from its tree: -ESTALE: it is not there; -EUCLEAN:
 * damaged. inode_store writes them. */
int inode_load(const struct tree *t, uint64_t ino, struct inode *ret);
int inode_store(struct tree *t, uint64_t ino, const struct inode *in);
