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
    struct ns *ns; /* referenced */
    unsigned refs GUARDED_BY(inodes);
    unsigned opens GUARDED_BY(inodes);   /* open files */
    unsigned writers GUARDED_BY(inodes); /* open files that are open for writing */
    unsigned cuts GUARDED_BY(inodes);    /* changes of its size that need no open file, in flight */
    struct rwlock io;                    /* "inode": bytes and size */
    _Atomic unsigned uncached;           /* open files that are written past the caller's cache */
    _Atomic bool read_beside;            /* set under io; a caller's cache may have bytes of it */
    /* Ranges of which callers' caches may have older bytes. */
    struct vfs_stale *stale GUARDED_BY(inode);
    uint64_t version GUARDED_BY(inode);    /* changes of its bytes since this struct was made */
    uint64_t orphan GUARDED_BY(namespace); /* inode number in the orphan tree, 0: has names */
    bool linkable GUARDED_BY(namespace);   /* an orphan that never had a name, and may get one */
    struct vnode *next GUARDED_BY(inodes);
};

#define VNODE_BUCKETS 4096
struct vnode_table {
    struct mutex lock; /* "inodes" */
    struct vnode *bucket[VNODE_BUCKETS] GUARDED_BY(inodes);
    size_t count GUARDED_BY(inodes);
};

struct orphans {
    struct rwlock lock; /* "orphans" */
    struct tree tree GUARDED_BY(orphans);
    struct capture_observer observer GUARDED_BY(orphans);
    uint64_t next_ino GUARDED_BY(orphans);
};

/* The open inode of a nodeid, made if there is none. The namespace may be dead (-ESTALE then,
 * unless it is open already). */
int vnode_get(struct state *p, uint64_t nodeid, struct vnode **ret_v);
void vnode_hold(struct state *p, struct vnode *v); /* one reference more */
void vnode_put(struct state *p, struct vnode *v);
void vnode_open(struct state *p, struct vnode *v, bool write);
void vnode_count_open(struct state *p, struct vnode *v, bool write); /* "inodes" is held */
/* *ret_last: it was the last open file of this inode. */
void vnode_close(struct state *p, struct vnode *v, bool write, bool *ret_last);
/* Have the kernel write back what is dirty in mappings of files open for writing in `ns`. Holding
 * nothing. -ENOMEM. */
int vnodes_write_back(struct state *p, const struct ns *ns);
bool vnode_is_open(struct state *p, uint64_t nodeid, bool for_writing);
/* Where an inode's items are. Needs v->ns->lock; for an orphan also takes orphans.lock. */
struct items {
    struct tree *tree;
    uint64_t ino;
    struct ns *ns;   /* whose lock is held */
    struct txn *txn; /* for writing by it; NULL: for reading */
    bool orphan;
};
int items_lock(struct state *p, struct vnode *v, struct txn *t, struct items *ret);
void items_unlock(struct state *p, struct items *it);
/* Gives back the locks of items_lock in the middle of a change. The change has not touched anything
 * yet that others see; the operations that it noted stay noted for its frame. */
void items_leave(struct state *p, struct items *it);
/* The last name of an inode went while it is open: move its items to the orphan tree. Needs
 * ns->lock (write). *ret_moved false: nobody has it open. */
int orphan_adopt(struct state *p, struct ns *ns, uint64_t ino, bool *ret_moved);
/* Make an inode that has no name: its items begin in the orphan tree. Needs ns->lock (write). */
int orphan_create(struct state *p, struct vnode *v, const struct inode *in, bool linkable);
/* An inode of orphan_create gets its first name: its items move to the tree of its namespace. Needs
 * ns->lock (write). */
int orphan_return(struct state *p, struct vnode *v);
/* All open inodes of a namespace become orphans, since it is dropped by force. Each takes at most
 * ADOPT_ROOM bytes of operations in the frame. Needs ns->lock (write). */
#define ADOPT_ROOM ((size_t)2048)
int orphan_adopt_all(struct state *p, struct ns *ns);
int inode_load(const struct tree *t, uint64_t ino, struct inode *ret);
int inode_store(struct tree *t, uint64_t ino, const struct inode *in);
