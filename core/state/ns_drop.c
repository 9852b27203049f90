// SPDX-License-Identifier: Apache-2.0
/*
 * ns_drop: the instants that end a namespace (a drop, and a rename over an empty one), and renames.
 * A drop by force keeps what is open in the namespace for those who have it open; the room in the
 * log for that is reserved before (orphan_adopt_all). A file that is open in an empty namespace was
 * unlinked, and is an orphan already.
 */
#include "state.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>

static int is_empty(struct ns *ns)
{
    struct inode in;
    int err = inode_load(&ns->tree, NS_ROOT_INO, &in);

    return err < 0 ? err : in.size ? -ENOTEMPTY : 0;
}

/* Drops a namespace. The caller holds the freeze lock and ns->lock, both for writing. */
static int drop_locked(struct txn *t, struct ns *ns)
{
    struct state *p = t->p;
    int err = orphan_adopt_all(p, ns);

    if (err < 0)
        return err;
    WRITE_GUARD(&p->names.lock);
    err = ns_table_remove(p, ns);
    if (err == 0)
        capture_op(t, &(struct op){.kind = OP_NS_DROP, .ns = ns->number});
    return err;
}

struct drop {
    bool force, only_empty;
    uint32_t room_for; /* for so many open files there is room in the log */
    uint32_t open;     /* open files that were found */
};

/* Drops it if it may be dropped. -EAGAIN: more files were opened meanwhile than there is room
 * for. */
static int try_drop(struct txn *t, struct ns *ns, struct drop *d)
{
    int err = 0;
    NS_GUARD(t, ns);

    d->open = atomic_load(&ns->nopen);
    if (!ns->live)
        return -ENOENT;
    if (d->only_empty)
        err = is_empty(ns);
    if (err < 0)
        return err;
    if (d->open && !d->force && !d->only_empty)
        return -EBUSY;
    if (d->open > d->room_for && !d->only_empty)
        return -EAGAIN;
    err = drop_locked(t, ns);
    return err < 0 ? err : state_changed(t, NULL);
}

/* Reserves room for the items of the files that are open, and drops, until the room is enough. */
static int drop_with_room(struct state *p, struct ns *ns, struct drop *d)
{
    int err = -EAGAIN;

    while (err == -EAGAIN) {
        TXN(t);

        d->open = d->room_for = d->force ? atomic_load(&ns->nopen) : 0;
        err = txn_begin_alone(p, (size_t)d->room_for * ADOPT_ROOM, &t);
        if (err == -EFBIG) /* no frame can have so many */
            err = -EBUSY;
        if (err == 0)
            err = try_drop(&t, ns, d);
    }
    return err;
}

int ns_drop(struct state *p, const char *name, bool force, bool only_empty, bool only_symlink,
            uint32_t *ret_open)
{
    struct drop d = {.force = force, .only_empty = only_empty};
    struct ns *ns;
    int err = state_writable(p);

    if (err == 0)
        err = ns_get_by_name(p, name, &ns);
    if (err < 0)
        return err;
    if (only_symlink != !!ns->target)
        err = only_symlink ? -EISDIR : -ENOTDIR;
    if (err == 0) {
        err = drop_with_room(p, ns, &d);
        *ret_open = d.open;
    }
    if (err == 0) {
        event_stale(p, vfs_node(ns->number, NS_ROOT_INO));
        event_stale(p, VFS_ROOT);
        p->hooks->kick_drops(p);
    }
    ns_put(p, ns);
    return err;
}

/* ---- renaming ---- */

/* Renames `ns`, or exchanges its name with that of `other`. The caller holds "names" for writing,
 * and frees *newname. */
static int rename_locked(struct txn *t, struct ns *ns, struct ns *other, char **newname)
{
    struct ns_table *names = &t->p->names;

    /* the old name: the caller frees it, or `other` gets it */
    *newname = ns_table_rename(names, ns, *newname);
    capture_ns_put(t, ns);
    if (other) {
        *newname = ns_table_rename(names, other, *newname);
        capture_ns_put(t, other);
    }
    names->mtime = now(t->p);
    return 0;
}

/* Drops `other`, which must be an empty namespace, because `ns` is renamed over it. The drop is in
 * one frame with the rename. */
static int replace(struct txn *t, const struct ns *ns, struct ns *other)
{
    int err = 0;

    ns_lock(t, other);
    if (!other->target != !ns->target)
        err = other->target ? -ENOTDIR : -EISDIR;
    else if (!other->target)
        err = is_empty(other);
    if (err == 0)
        err = drop_locked(t, other);
    ns_unlock(other);
    return err;
}

/* Renames with no other change in flight. *ret_replaced is what had the new name, with a reference
 * that the caller gives back. */
static int rename_under_freeze_lock(struct txn *t, struct ns *ns, const char *newname,
                                    unsigned flags, struct ns **ret_replaced)
{
    struct state *p = t->p;
    char *copy = strdup(newname);
    struct ns *other;
    int err = copy ? 0 : -ENOMEM;

    if (ns_get_by_name(p, newname, &other) < 0)
        other = NULL;
    *ret_replaced = other;
    if (err == 0 && !ns->live)
        err = -ENOENT;
    if (err == 0 && flags & RENAME_EXCHANGE && !other)
        err = -ENOENT;
    if (err == 0 && other && flags & RENAME_NOREPLACE)
        err = -EEXIST;
    if (err == 0 && other && other != ns && !(flags & RENAME_EXCHANGE))
        err = replace(t, ns, other);
    if (err == 0 && other != ns) {
        WRITE_GUARD(&p->names.lock);
        err = rename_locked(t, ns, flags & RENAME_EXCHANGE ? other : NULL, &copy);
    }
    free(copy);
    return err;
}

uint32_t ns_open_files(struct state *p, const char *name)
{
    struct ns *ns;
    uint32_t open;

    if (ns_get_by_name(p, name, &ns) < 0)
        return 0;
    open = atomic_load(&ns->nopen);
    ns_put(p, ns);
    return open;
}

int ns_rename(struct state *p, const char *name, const char *newname, unsigned flags)
{
    TXN(t);
    struct ns *ns, *other = NULL;
    int err = ns_check_name(newname);

    if (err == 0)
        err = state_writable(p);
    if (err == 0)
        err = ns_get_by_name(p, name, &ns);
    if (err < 0)
        return err;
    err = txn_begin_alone(p, 0, &t);
    if (err == 0)
        err = rename_under_freeze_lock(&t, ns, newname, flags, &other);
    if (err == 0)
        err = state_changed(&t, NULL);
    txn_end(&t);
    ns_put(p, ns);
    ns_put(p, other);
    if (err == 0) {
        event_stale(p, VFS_ROOT);
        p->hooks->kick_drops(p);
    }
    return err;
}
