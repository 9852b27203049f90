// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_snapshot: the names by which snapshots are found. The tree of one is read as that of any
 * namespace, by its number.
 */
#include "kept.h"
#include "vfs.h"
#include "vfs_impl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is a moment of it held as the base of a branch? */
static bool has_base(struct state *p, const struct ns *ns)
{
    READ_GUARD(&p->names.lock);

    for (const struct ns *b = NULL; (b = ns_next_kept(p, ns, b));)
        if (b->hidden.kind == NS_ORIGIN)
            return true;
    return false;
}

int vfs_snapshot_owner(struct state *p, const char *name, uint32_t *ret_number)
{
    struct ns *ns;
    int err = ns_get_by_name(p, name, &ns);

    if (err < 0)
        return err;
    err = kept_has_snapshots(p, ns, false) || has_base(p, ns) ? 0 : -ENOENT;
    if (err == 0)
        *ret_number = ns->number;
    ns_put(p, ns);
    return err;
}

/* Loads the top directory of a snapshot, and counts one kernel reference. */
static int look_at_top(struct ns *ns, struct vfs_attr *ret)
{
    struct inode in;
    READ_GUARD(&ns->lock);
    int err = ns->live ? inode_load(&ns->tree, NS_ROOT_INO, &in) : -ENOENT;

    if (err == 0) {
        attr_fill(ns, NS_ROOT_INO, &in, ret);
        vfs_remember(ns);
    }
    return err;
}

int vfs_lookup_snapshot(struct state *p, uint32_t of, const char *name, struct vfs_attr *ret)
{
    struct ns_instant instant = {.ns = of};
    struct ns *ns;
    int err = name_check(name);

    if (err == 0)
        err = ns_get(p, of, &ns);
    if (err < 0)
        return err == -ESTALE ? -ENOENT : err;
    instant.generation = ns->generation;
    ns_put(p, ns);
    if (name[strspn(name, "0123456789")]) {
        err = ns_get_hidden(p, NS_SNAPSHOT, &instant, name, &ns);
    } else { /* no name of a snapshot is a number */
        instant.seq = strtoull(name, NULL, 10);
        err = ns_get_hidden(p, NS_ORIGIN, &instant, NULL, &ns);
    }
    if (err < 0)
        return err;
    err = look_at_top(ns, ret);
    ns_put(p, ns);
    return err;
}

/* ---- in the namespace ---- */

#define SNAPDIR "snapdir" /* the setting: there if it is on */

bool vfs_snapdir(struct state *p, const struct ns *ns)
{
    uint8_t value;
    size_t len;

    return ns_setting_get(p, ns, SNAPDIR, &value, sizeof value, &len) == 0 && len == 1;
}

int vfs_set_snapdir(struct state *p, struct ns *ns, bool on)
{
    const uint8_t value = 1;

    atomic_store(&ns->shown, true);
    return ns_setting_set(p, ns, &(struct ns_setting){.name = SNAPDIR,
                                                      .value = on ? &value : NULL,
                                                      .len = on ? sizeof value : 0});
}

bool vfs_has_snapdir(struct state *p, uint32_t number)
{
    struct ns *ns;
    bool has = ns_get(p, number, &ns) == 0;

    if (has) {
        has = vfs_snapdir(p, ns);
        ns_put(p, ns);
    }
    return has;
}

/* Are the snapshots of that namespace shown, or were they? Who has entered one then may still be
 * there. Of one that is gone that is not known any more, so it counts as shown. */
static bool was_shown(struct state *p, const struct ns_instant *of)
{
    struct ns *ns = ns_get_any(p, of->ns);
    bool was = true;

    if (ns) {
        READ_GUARD(&p->names.lock);
        was = !ns->live || ns->generation != of->generation;
    }
    if (ns && !was)
        was = atomic_load(&ns->shown) || vfs_snapdir(p, ns);
    ns_put(p, ns);
    return was;
}

/* Of a snapshot that was dropped only open files are left, and who has them open is not known. */
bool ns_gives_no_rights(struct state *p, uint32_t number)
{
    struct ns *ns = ns_get_any(p, number);
    struct ns_hidden hidden = {.kind = NS_VISIBLE};
    bool live = true;

    if (ns) {
        READ_GUARD(&p->names.lock);
        hidden = ns->hidden;
        live = ns->live;
    }
    ns_put(p, ns);
    return hidden.kind == NS_SNAPSHOT && (!live || was_shown(p, &hidden.of));
}

void attr_mask(struct state *p, struct vfs_attr *a)
{
    if (S_ISREG(a->mode) && a->mode & (S_ISUID | S_ISGID) &&
        ns_gives_no_rights(p, vfs_node_ns(a->nodeid)))
        a->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
}

/* ---- listing ---- */

/* Is it what is listed: a snapshot of the namespace `of`, or if that is 0 a namespace in the root
 * that has snapshots? *name gets a copy of its name. */
static bool is_listed(struct state *p, const struct ns *ns, uint32_t of, char *name)
{
    {
        READ_GUARD(&p->names.lock);
        if (of ? ns->hidden.kind != NS_SNAPSHOT || ns->hidden.of.ns != of : ns->hidden.kind != 0)
            return false;
        snprintf(name, VFS_NAME_MAX + 1, "%s", ns->name);
    }
    return of || kept_has_snapshots(p, ns, false);
}

int vfs_list_snapshots(struct state *p, uint32_t of, uint32_t after, vfs_dirent_fn *fn, void *ctx)
{
    char name[VFS_NAME_MAX + 1];
    bool more = true;
    struct ns *ns;

    while (more && ns_next_number(p, after, &ns) == 0) {
        struct vfs_dirent d = {.name = name, .cookie = ns->number};

        after = ns->number;
        d.attr.nodeid = vfs_node(ns->number, NS_ROOT_INO);
        d.attr.mode = S_IFDIR;
        if (is_listed(p, ns, of, name))
            more = fn(&d, ctx);
        ns_put(p, ns);
    }
    return 0;
}
