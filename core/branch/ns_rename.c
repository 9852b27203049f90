// SPDX-License-Identifier: Apache-2.0
/* ns_rename: the instant that renames a namespace, exchanges two names, or replaces an empty
 * one. */
#include "ns_drop.h"
#include "flush.h"
#include "kept.h"
#include "ns_note.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

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
        err = ns_is_empty(other);
    if (err == 0 && kept_has_snapshots(t->p, other, false))
        err = -EBUSY;
    if (err == 0)
        err = drop_under_locks(t, other);
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
    if (err == 0 && (!ns->live || ns->hidden.kind)) /* it was dropped meanwhile */
        err = -ENOENT;
    if (err == 0 && flags & RENAME_EXCHANGE && !other)
        err = -ENOENT;
    if (err == 0 && other && flags & RENAME_NOREPLACE)
        err = -EEXIST;
    if (err == 0 && other && other != ns && !(flags & RENAME_EXCHANGE))
        err = replace(t, ns, other);
    if (err == 0 && other != ns)
        err = note_rename(t, ns, newname, other, flags & RENAME_EXCHANGE);
    if (err == 0 && other != ns) {
        WRITE_GUARD(&p->names.lock);
        err = rename_locked(t, ns, flags & RENAME_EXCHANGE ? other : NULL, &copy);
    }
    free(copy);
    return err;
}

int ns_rename_it(struct state *p, struct ns *ns, const char *newname, unsigned flags)
{
    TXN(t);
    struct ns *other = NULL;
    int err = flags & RENAME_EXCHANGE ? ns_check_name(newname) : ns_check_new_name(newname);

    if (err == 0)
        err = state_root_writable(p);
    if (err < 0)
        return err;
    err = txn_begin_alone(p, 0, &t);
    if (err == 0)
        err = rename_under_freeze_lock(&t, ns, newname, flags, &other);
    if (err == 0)
        err = state_changed(&t, NULL);
    txn_end(&t);
    ns_put(p, other);
    if (err == 0) {
        event_stale(p, VFS_ROOT);
        flush_kick_drops(p);
    }
    return err;
}

int ns_rename(struct state *p, const char *name, const char *newname, unsigned flags)
{
    struct ns *ns;
    int err = flags & RENAME_EXCHANGE ? ns_check_name(newname) : ns_check_new_name(newname);

    if (err == 0)
        err = state_root_writable(p);
    if (err == 0)
        err = ns_get_by_name(p, name, &ns);
    if (err < 0)
        return err;
    err = ns_rename_it(p, ns, newname, flags);
    ns_put(p, ns);
    return err;
}
