// SPDX-License-Identifier: Apache-2.0
/*
 * ns_drop: see the header. The room in the log for what is open is reserved before
 * (orphan_adopt_all). A file that is open in an empty namespace was unlinked, and is an orphan
 * already.
 */
#include "ns_drop.h"
#include "ns_branch.h"
#include "flush.h"
#include "kept.h"
#include "ns_note.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int drop_under_locks(struct txn *t, struct ns *ns)
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
    bool force, only_empty, trash;
    enum ns_kind kind; /* that it must have, unless there is a `may` */
    bool (*may)(struct state *p, const struct ns *ns); /* or NULL */
    uint32_t room_for; /* for so many open files there is room in the log */
    uint32_t open;     /* open files that were found */
};

/* May it be dropped? -EAGAIN: more files were opened meanwhile than there is room for. */
static int may_drop(struct txn *t, struct ns *ns, struct drop *d)
{
    int err;

    d->open = atomic_load(&ns->nopen);
    if (!ns->live || (d->may ? !d->may(t->p, ns) : ns->hidden.kind != d->kind))
        return -ENOENT;
    if (d->only_empty) {
        err = ns_is_empty(ns);
        return err < 0 ? err : kept_has_snapshots(t->p, ns, false) ? -EBUSY : 0;
    }
    if (d->open && !d->force)
        return -EBUSY;
    if (d->trash)
        return 0;
    if (ns->hidden.held || kept_has_snapshots(t->p, ns, true)) {
        d->open = 0;
        return -EBUSY;
    }
    return d->open > d->room_for ? -EAGAIN : 0;
}

/* Moves it into the trash. */
static int hide(struct txn *t, struct ns *ns)
{
    struct ns_hidden hidden = {
        .kind = NS_TRASH, .thawed = !ns->frozen, .of = ns_now(ns), .since = now(t->p)};
    int err = note_trash(t, ns);

    if (err < 0)
        return err;
    ns->frozen = true;
    return kept_note(t, ns, &hidden);
}

static int try_drop(struct txn *t, struct ns *ns, struct drop *d)
{
    NS_GUARD(t, ns);
    int err = may_drop(t, ns, d);

    if (err < 0)
        return err;
    if (d->trash)
        return hide(t, ns);
    err = note_remove(t, ns);
    if (err == 0)
        err = drop_under_locks(t, ns);
    return err < 0 ? err : state_changed(t, NULL);
}

/* Reserves room for the items of the files that are open, and drops, until the room is enough. */
static int drop_with_room(struct state *p, struct ns *ns, struct drop *d)
{
    int err = -EAGAIN;

    while (err == -EAGAIN) {
        TXN(t);

        d->open = d->room_for = d->force && !d->trash ? atomic_load(&ns->nopen) : 0;
        err = txn_begin_alone(p, (size_t)d->room_for * ADOPT_ROOM, &t);
        if (err == -EFBIG) /* no frame can have so many */
            err = -EBUSY;
        if (err == 0)
            err = try_drop(&t, ns, d);
    }
    return err;
}

int drop_kept(struct state *p, struct ns *ns, bool (*may)(struct state *p, const struct ns *ns))
{
    struct drop d = {.may = may};

    return drop_with_room(p, ns, &d);
}

/* The kernel may know the number by a name of the root that leads nowhere now. */
static void forget_name(struct state *p, struct ns *ns)
{
    char name[VFS_NAME_MAX + 1];
    {
        READ_GUARD(&p->names.lock);
        snprintf(name, sizeof name, "%s", ns->name);
    }
    event_name(p, VFS_ROOT, name);
}

void drop_tell(struct state *p, const struct ns *ns)
{
    if (atomic_load(&ns->nlookup)) /* else the kernel does not know it */
        event_stale(p, vfs_node(ns->number, NS_ROOT_INO));
}

/* Does all of a drop. */
static int drop(struct state *p, struct ns *ns, struct drop *d)
{
    int err = drop_with_room(p, ns, d);

    if (err < 0)
        return err;
    if (d->trash)
        forget_name(p, ns);
    drop_tell(p, ns);
    if (d->trash || d->kind == NS_VISIBLE)
        event_stale(p, VFS_ROOT);
    if (!d->trash) {
        kept_release(p);
        flush_kick_drops(p);
    }
    return 0;
}

int ns_drop(struct state *p, const char *name, bool force, bool only_empty, bool only_symlink,
            uint32_t *ret_open)
{
    struct drop d = {.force = force, .only_empty = only_empty};
    struct ns *ns;
    int err = state_root_writable(p);

    if (err == 0)
        err = ns_get_by_name(p, name, &ns);
    if (err < 0)
        return err;
    if (only_symlink != !!ns->target)
        err = only_symlink ? -EISDIR : -ENOTDIR;
    if (err == 0) {
        err = drop(p, ns, &d);
        *ret_open = d.open;
    }
    ns_put(p, ns);
    return err;
}

int ns_remove(struct state *p, struct ns *ns, enum ns_kind kind, bool force, uint32_t *ret_open)
{
    struct drop d = {.force = force, .kind = kind};
    int err = kind == NS_VISIBLE ? state_root_writable(p) : state_writable(p);

    if (err == 0)
        err = drop(p, ns, &d);
    *ret_open = d.open;
    return err;
}

int ns_trash(struct state *p, struct ns *ns, bool force, uint32_t *ret_open)
{
    struct drop d = {.force = force, .trash = true};
    int err = state_root_writable(p);

    if (err == 0) /* what is in mappings could not be written any more afterwards */
        err = vnodes_write_back(p, ns);
    if (err == 0)
        err = drop(p, ns, &d);
    *ret_open = d.open;
    return err;
}

bool ns_goes_to_trash(struct state *p, struct ns *ns)
{
    READ_GUARD(&ns->lock);

    return !ns_is_hidden(p, ns) && settings_get(&p->settings, SET_TRASH_KEEP) > 0 &&
           (ns_is_empty(ns) != 0 || kept_has_snapshots(p, ns, false));
}

/* Shows it under the name `*as`, and puts its old name there, for the caller to free. */
static int show(struct txn *t, struct ns *ns, char **as)
{
    struct state *p = t->p;
    int err;
    NS_GUARD(t, ns);

    if (!ns->live || ns->hidden.kind != NS_TRASH)
        return ns->live ? -EINVAL : -ENOENT;
    err = note_undrop(t, ns, *as);
    if (err < 0)
        return err;
    {
        WRITE_GUARD(&p->names.lock);

        if (ns_table_has_name(&p->names, *as))
            return -EEXIST;
        ns->frozen = !ns->hidden.thawed;
        *as = ns_table_rename(&p->names, ns, *as);
    }
    return kept_note(t, ns, &(struct ns_hidden){.kind = NS_VISIBLE});
}

int ns_undrop(struct state *p, struct ns *ns, const char *as)
{
    char *name;
    int err = ns_check_name(as);

    if (err == 0)
        err = state_root_writable(p);
    if (err < 0)
        return err;
    name = strdup(as);
    if (!name)
        return -ENOMEM;
    {
        TXN(t);

        err = txn_begin_alone(p, 0, &t);
        if (err == 0)
            err = show(&t, ns, &name);
    }
    free(name);
    if (err == 0)
        event_stale(p, VFS_ROOT);
    return err;
}

uint32_t ns_open_files(const struct ns *ns)
{
    return atomic_load(&ns->nopen);
}
