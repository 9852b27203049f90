// SPDX-License-Identifier: Apache-2.0
/*
 * vnodes: inodes that somebody uses just now, and where their items are. Only these take memory;
 * everything else is found through the nodeid alone, but for inodes that have another node than
 * their own.
 *
 * If the last name of an inode is removed while it is open, the inode moves to the orphan tree,
 * which no branch inherits. Its last close deletes it there. After a crash the whole orphan tree is
 * dropped.
 */
#include "array.h"
#include "nowait.h"
#include "state.h"
#include <errno.h>
#include <stdlib.h>

int inode_load(const struct tree *t, uint64_t ino, struct inode *ret)
{
    uint8_t buf[INODE_ITEM_MAX];
    size_t len;
    int err = tree_get(t, key_make(ino, ITEM_INODE, 0), buf, sizeof buf, &len);

    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err == -ENOENT ? -ESTALE : err;
    return inode_decode(buf, len, ret);
}

int inode_store(struct tree *t, uint64_t ino, const struct inode *in)
{
    uint8_t buf[INODE_ITEM_MAX];

    return tree_put(t, key_make(ino, ITEM_INODE, 0), buf, inode_encode(in, buf));
}

/* ---- the table ---- */

static struct vnode **bucket(struct state *p, uint64_t nodeid)
{
    uint64_t h = nodeid * UINT64_C(0x9E3779B97F4A7C15);
    return &p->vnodes.bucket[(h >> 40) % VNODE_BUCKETS];
}

/* Finds a vnode in the table, without a reference. The caller holds "inodes". */
static struct vnode *find_vnode(struct state *p, uint64_t nodeid)
{
    struct vnode *v = *bucket(p, nodeid);

    mutex_held(&p->vnodes.lock);
    while (v && v->nodeid != nodeid)
        v = v->next;
    return v;
}

/* Finds a vnode and takes a reference; NULL: there is none. */
static struct vnode *take_vnode(struct state *p, uint64_t nodeid)
{
    MUTEX_GUARD(&p->vnodes.lock);
    struct vnode *v = find_vnode(p, nodeid);

    if (v)
        v->refs++;
    return v;
}

/* Puts `fresh` into the table, or returns the one that another thread has put there first; then the
 * caller frees `fresh`. */
static struct vnode *insert(struct state *p, struct vnode *fresh)
{
    MUTEX_GUARD(&p->vnodes.lock);
    struct vnode *v = find_vnode(p, fresh->nodeid), **b = bucket(p, fresh->nodeid);

    if (v) {
        v->refs++;
        return v;
    }
    fresh->next = *b;
    *b = fresh;
    return fresh;
}

int vnode_get(struct state *p, uint64_t nodeid, struct vnode **ret_v)
{
    struct vnode *v = take_vnode(p, nodeid), *fresh;
    struct ns *ns;
    int err;

    if (v) {
        *ret_v = v;
        return 0;
    }
    err = ns_get(p, vfs_node_ns(nodeid), &ns);
    if (err < 0)
        return err;
    fresh = calloc(1, sizeof *fresh);
    if (!fresh) {
        ns_put(p, ns);
        return -ENOMEM;
    }
    fresh->nodeid = nodeid;
    fresh->ns = ns;
    fresh->refs = 1;
    rwlock_init(&fresh->io, "inode");
    v = insert(p, fresh);
    if (v != fresh) {
        ns_put(p, ns);
        rwlock_destroy(&fresh->io);
        free(fresh);
    }
    *ret_v = v;
    return 0;
}

void vnode_hold(struct state *p, struct vnode *v)
{
    MUTEX_GUARD(&p->vnodes.lock);
    v->refs++;
}

void vnode_put(struct state *p, struct vnode *v)
{
    struct vnode **b;

    {
        MUTEX_GUARD(&p->vnodes.lock);
        if (--v->refs > 0)
            return;
        for (b = bucket(p, v->nodeid); *b != v; b = &(*b)->next)
            ;
        *b = v->next;
    }
    ns_put(p, v->ns);
    rwlock_destroy(&v->io);
    free(v);
}

void vnode_count_open(struct state *p, struct vnode *v, bool write)
{
    mutex_held(&p->vnodes.lock);
    v->refs++;
    v->opens++;
    v->writers += write;
    atomic_fetch_add(&v->ns->nopen, 1);
    if (write)
        atomic_fetch_add(&v->ns->nwriters, 1);
}

void vnode_open(struct state *p, struct vnode *v, bool write)
{
    MUTEX_GUARD(&p->vnodes.lock);
    vnode_count_open(p, v, write);
}

void vnode_close(struct state *p, struct vnode *v, bool write, bool *ret_last)
{
    {
        MUTEX_GUARD(&p->vnodes.lock);
        v->opens--;
        v->writers -= write;
        *ret_last = v->opens == 0;
    }
    atomic_fetch_sub(&v->ns->nopen, 1);
    if (write)
        atomic_fetch_sub(&v->ns->nwriters, 1);
}

bool vnode_is_open(struct state *p, uint64_t nodeid, bool for_writing)
{
    MUTEX_GUARD(&p->vnodes.lock);
    struct vnode *v = find_vnode(p, nodeid);

    return v && (for_writing ? v->writers : v->opens) > 0;
}

bool vnode_is_nameless(struct state *p, uint64_t nodeid)
{
    MUTEX_GUARD(&p->vnodes.lock);
    const struct vnode *v = find_vnode(p, nodeid);

    return v && v->orphan;
}

/* Lists the nodeids of files that are open for writing in `ns`, at most `room`. */
static size_t list_writers(struct state *p, const struct ns *ns, uint64_t *out, size_t room)
{
    size_t n = 0;
    MUTEX_GUARD(&p->vnodes.lock);

    for (size_t i = 0; i < VNODE_BUCKETS; i++)
        for (struct vnode *v = p->vnodes.bucket[i]; v && n < room; v = v->next)
            if (v->ns == ns && v->writers)
                out[n++] = v->nodeid;
    return n;
}

int vnodes_write_back(struct state *p, const struct ns *ns)
{
    /* a file that is opened from now on comes after the branch */
    size_t room = atomic_load(&ns->nwriters), n;
    uint64_t *nodeid;

    if (room == 0)
        return 0;
    if (!thread_may_wait())
        return -EWOULDWAIT;
    nodeid = calloc(room, sizeof *nodeid);
    if (!nodeid)
        return -ENOMEM;
    n = list_writers(p, ns, nodeid, room);
    for (size_t i = 0; i < n; i++)
        event_write_back(p, nodeid[i]);
    free(nodeid);
    return 0;
}

/* ---- which node an inode has ---- */

uint64_t ns_node_of(const struct ns *ns, uint64_t ino)
{
    uint64_t number = ino;

    (void)map64_get(&ns->node_of, ino, &number);
    return vfs_node(ns->number, number);
}

uint64_t ns_ino_of(const struct ns *ns, uint64_t nodeid)
{
    uint64_t number = vfs_node_ino(nodeid), other;

    if (map64_get(&ns->ino_of, number, &other))
        return other;
    return map64_get(&ns->node_of, number, &other) ? 0 : number;
}

/* A number for a node that no inode has, and no node of this or an earlier start: they come from
 * the end of the numbers, a million for each start. 0: inodes have come so far. */
static uint64_t node_number(struct state *p)
{
    uint64_t back = ((p->epoch << 20) + atomic_fetch_add(&p->vnodes.renewed, 1)) %
                    (UINT64_C(1) << (VFS_INO_BITS - 2));
    uint64_t number = KEY_INO_MAX - back;

    return number >= atomic_load(&p->next_ino) ? number : 0;
}

/* Copies what the inode is in a tree to the orphan tree, for the files that are open, without a
 * name. The caller holds ns->lock for writing. */
static int copy_nameless(struct state *p, struct ns *ns, const struct tree *from, struct vnode *v,
                         uint64_t ino)
{
    struct tree *orphans = &p->orphans.tree;
    struct inode in;
    uint64_t serial;
    int err;
    ORPHANS_GUARD(ns);

    serial = p->orphans.next_ino++;
    err = items_copy(p, from, range_of_inode(ino), orphans, serial);
    if (err == 0)
        err = inode_load(orphans, serial, &in);
    if (err == 0) {
        in.nlink = 0;
        err = inode_store(orphans, serial, &in);
    }
    if (err == 0)
        v->orphan = serial;
    else
        (void)items_cut(p, orphans, range_of_inode(serial));
    return err;
}

/* Gives the inode the node with that number instead of the one of `v`. There is room for it. */
static void move_node(struct ns *ns, uint64_t ino, const struct vnode *v, uint64_t number)
{
    (void)map64_del(&ns->ino_of, vfs_node_ino(v->nodeid));
    (void)map64_put(&ns->node_of, ino, number);
    (void)map64_put(&ns->ino_of, number, ino);
}

int inode_renew(struct state *p, struct ns *ns, uint64_t ino)
{
    struct vnode *v = take_vnode(p, ns_node_of(ns, ino));
    uint64_t number;
    int err;

    rwlock_held_write(&ns->lock);
    if (!v)
        return 0;
    if (!v->orphan && !vnode_is_open(p, v->nodeid, false)) {
        vnode_put(p, v);
        return 0;
    }
    number = node_number(p);
    err = !v->orphan && vnode_is_open(p, v->nodeid, true) ? -EBUSY : number ? 0 : -ENOSPC;
    if (err == 0)
        err = map64_reserve(&ns->node_of, ns->node_of.count + 1);
    if (err == 0)
        err = map64_reserve(&ns->ino_of, ns->ino_of.count + 1);
    if (err == 0 && !v->orphan)
        err = copy_nameless(p, ns, &ns->tree, v, ino);
    if (err == 0)
        move_node(ns, ino, v, number);
    vnode_put(p, v);
    return err;
}

void inode_renew_undo(struct state *p, struct ns *ns, uint64_t ino, uint64_t nodeid)
{
    uint64_t now = ns_node_of(ns, ino);
    struct vnode *v = now != nodeid ? take_vnode(p, nodeid) : NULL;

    rwlock_held_write(&ns->lock);
    if (!v)
        return;
    if (items_any(&ns->tree, range_of_inode(ino))) {
        ORPHANS_GUARD(ns);

        (void)items_cut(p, &p->orphans.tree, range_of_inode(v->orphan));
        v->orphan = 0;
    }
    (void)map64_del(&ns->ino_of, vfs_node_ino(now));
    (void)map64_del(&ns->node_of, ino);
    if (vfs_node_ino(nodeid) != ino) { /* there is room: it was there before */
        (void)map64_put(&ns->node_of, ino, vfs_node_ino(nodeid));
        (void)map64_put(&ns->ino_of, vfs_node_ino(nodeid), ino);
    }
    vnode_put(p, v);
}

/* ---- what is open ---- */

static int compare_known(const void *a, const void *b)
{
    const struct vnode_known *x = a, *y = b;

    return (x->ino > y->ino) - (x->ino < y->ino);
}

const struct vnode_known *vnodes_find(const struct vnode_known *list, size_t count, uint64_t ino)
{
    const struct vnode_known k = {.ino = ino};

    return count ? bsearch(&k, list, count, sizeof *list, compare_known) : NULL;
}

int vnodes_known(struct state *p, const struct ns *ns, struct vnode_known **ret, size_t *ret_count)
{
    size_t room = 0;
    MUTEX_GUARD(&p->vnodes.lock);

    rwlock_held(&ns->lock);
    *ret = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < VNODE_BUCKETS; i++)
        for (const struct vnode *v = p->vnodes.bucket[i]; v; v = v->next) {
            uint64_t ino = v->ns == ns && (v->opens || v->orphan) ? ns_ino_of(ns, v->nodeid) : 0;

            if (!ino)
                continue;
            if (ARRAY_RESERVE(*ret, room, *ret_count + 1) < 0) {
                free(*ret);
                *ret = NULL;
                return -ENOMEM;
            }
            (*ret)[(*ret_count)++] = (struct vnode_known){.ino = ino,
                                                          .nodeid = v->nodeid,
                                                          .open = v->opens > 0,
                                                          .writes = v->writers > 0,
                                                          .orphan = v->orphan != 0};
        }
    if (*ret)
        qsort(*ret, *ret_count, sizeof **ret, compare_known);
    return 0;
}

/* ---- where its items are ---- */

int items_lock(struct state *p, struct vnode *v, struct txn *t, struct items *ret)
{
    *ret = (struct items){.ns = v->ns, .txn = t};
    if (t)
        ns_lock(t, v->ns);
    else
        rwlock_rdlock(&v->ns->lock);
    ret->orphan = v->orphan != 0;
    if (ret->orphan && t)
        orphans_lock(t, v->ns);
    else if (ret->orphan)
        rwlock_rdlock(&p->orphans.lock);
    ret->tree = ret->orphan ? &p->orphans.tree : &v->ns->tree;
    ret->ino = ret->orphan ? v->orphan : ns_ino_of(v->ns, v->nodeid);
    if (ret->orphan || v->ns->live)
        return 0;
    items_unlock(p, ret);
    return -ESTALE;
}

void items_unlock(struct state *p, struct items *it)
{
    if (it->txn)
        capture_rest(it->txn, it->ns);
    items_leave(p, it);
}

void items_leave(struct state *p, struct items *it)
{
    if (it->orphan && it->txn)
        orphans_unlock(&p->orphans);
    else if (it->orphan)
        rwlock_rdunlock(&p->orphans.lock);
    if (it->txn)
        ns_unlock(it->ns);
    else
        rwlock_rdunlock(&it->ns->lock);
}

/* ---- orphans ---- */

/* Moves the items of an inode to the orphan tree. The caller holds ns->lock for writing. */
static int adopt(struct state *p, struct ns *ns, struct vnode *v)
{
    struct key_range all = range_of_inode(ns_ino_of(ns, v->nodeid));
    uint64_t serial;
    int err;
    ORPHANS_GUARD(ns);
    serial = p->orphans.next_ino++;
    err = items_copy(p, &ns->tree, all, &p->orphans.tree, serial);
    if (err < 0)
        return err;
    v->orphan = serial;
    return items_cut(p, &ns->tree, all);
}

int orphan_create(struct state *p, struct vnode *v, const struct inode *in, bool linkable)
{
    uint64_t serial;
    int err;
    rwlock_held_write(&v->ns->lock);
    ORPHANS_GUARD(v->ns);
    serial = p->orphans.next_ino++;
    err = inode_store(&p->orphans.tree, serial, in);
    if (err == 0) {
        v->orphan = serial;
        v->linkable = linkable;
    }
    return err;
}

int orphan_return(struct state *p, struct vnode *v)
{
    struct tree *t = &v->ns->tree, *orphans = &p->orphans.tree;
    uint64_t ino = vfs_node_ino(v->nodeid), serial;
    int err;
    rwlock_held_write(&v->ns->lock);
    ORPHANS_GUARD(v->ns);
    serial = v->orphan;
    err = items_copy(p, orphans, range_of_inode(serial), t, ino);
    if (err < 0)
        return err;
    v->orphan = 0;
    v->linkable = false;
    return items_cut(p, orphans, range_of_inode(serial));
}

int orphan_adopt(struct state *p, struct ns *ns, uint64_t ino, bool *ret_moved)
{
    struct vnode *v;
    int err = 0;

    rwlock_held_write(&ns->lock);
    v = take_vnode(p, ns_node_of(ns, ino));
    *ret_moved = false;
    if (!v)
        return 0;
    if (!v->orphan && vnode_is_open(p, v->nodeid, false)) {
        err = adopt(p, ns, v);
        *ret_moved = err == 0;
    }
    vnode_put(p, v);
    return err;
}

int orphan_keep(struct state *p, struct ns *ns, const struct tree *was, uint64_t ino)
{
    struct vnode *v;
    int err = 0;

    rwlock_held_write(&ns->lock);
    v = take_vnode(p, ns_node_of(ns, ino));
    if (!v)
        return 0;
    if (!v->orphan && vnode_is_open(p, v->nodeid, false))
        err = copy_nameless(p, ns, was, v, ino);
    vnode_put(p, v);
    return err;
}

/* An open inode of `ns` that still has its items there, with a reference; NULL: there is none. */
static struct vnode *open_vnode_of(struct state *p, struct ns *ns)
{
    MUTEX_GUARD(&p->vnodes.lock);

    for (size_t i = 0; i < VNODE_BUCKETS; i++)
        for (struct vnode *v = p->vnodes.bucket[i]; v; v = v->next)
            if (v->ns == ns && v->opens && !v->orphan) {
                v->refs++;
                return v;
            }
    return NULL;
}

int orphan_adopt_all(struct state *p, struct ns *ns)
{
    struct vnode *v;
    int err = 0;

    rwlock_held_write(&ns->lock);
    while (err == 0 && (v = open_vnode_of(p, ns))) {
        err = adopt(p, ns, v);
        vnode_put(p, v);
    }
    return err;
}
