// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_list: reading directories. A cookie is made of the position of its entry in the tree, so it
 * stays valid when other entries are added or removed. The position is a hash of the name and must
 * stay secret: somebody who knows the hashes of some names could find names that collide. So the
 * cookie is a keyed permutation of it. The key belongs to the store, so a cookie is the same at
 * each mount.
 */
#include "permute.h"
#include "vfs.h"
#include "vfs_impl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#define COOKIE_DOT 1
#define COOKIE_DOTDOT 2
#define COOKIE_BASE 3 /* + the permuted rest of the key, below 2^62 */

/* One call of vfs_readdir. */
struct inode_listing {
    struct state *p;
    struct ns *ns; /* referenced; NULL: the root is listed */
    bool plus;     /* `fn` gets all attributes, and the kernel's references are counted */
    vfs_dirent_fn *fn;
    void *ctx;
};

/* Give one entry to the caller; false: it has no room for more. With `plus` the entry counts one
 * kernel reference on `ns`, but "." and ".." do not, since the kernel does not forget these two. */
static bool give(struct inode_listing *l, struct ns *ns, struct vfs_dirent *d, const char *name)
{
    bool dots = !strcmp(name, ".") || !strcmp(name, "..");

    d->name = name;
    if (!l->fn(d, l->ctx))
        return false;
    if (l->plus && !dots && ns)
        vfs_remember(ns);
    return true;
}

/* Give "." and "..", as far as they are behind *cookie. The parent of a namespace's top directory
 * is the root of the mount. */
static int list_dots(struct inode_listing *l, const struct inode *dir, uint64_t ino,
                     uint64_t *cookie, bool *ret_full)
{
    uint32_t number = l->ns->number;
    uint64_t up = ino == NS_ROOT_INO ? VFS_ROOT : vfs_node(number, dir->parent);

    for (uint64_t c = *cookie; c < COOKIE_DOTDOT && !*ret_full; c++) {
        struct vfs_dirent d = {.cookie = c + 1};
        d.attr.nodeid = c == 0 ? vfs_node(number, ino) : up;
        d.attr.mode = S_IFDIR;
        *ret_full = !give(l, l->ns, &d, c == 0 ? "." : "..");
        *cookie = *ret_full ? c : c + 1;
    }
    return 0;
}

/* The cookie of the entry at key `k`: its position (62 bits) permuted, so that no hash is shown. */
static uint64_t cookie_of(const struct state *p, struct key k)
{
    return permute_62(&p->cookie_key, k.lo) + COOKIE_BASE;
}

/* The position from which the entries behind `cookie` are listed. A cookie that no entry can have
 * is behind all entries. */
static uint64_t rest_behind(const struct state *p, uint64_t cookie)
{
    if (cookie < COOKIE_BASE)
        return 0;
    if ((cookie - COOKIE_BASE) >> PERMUTE_BITS)
        return UINT64_MAX;
    return permute_62_back(&p->cookie_key, cookie - COOKIE_BASE) + 1;
}

/* Give the entry that is this item. */
static int list_entry(struct inode_listing *l, const struct each *e, bool *ret_full)
{
    char name[VFS_NAME_MAX + 1];
    struct vfs_dirent d = {.cookie = cookie_of(l->p, e->key)};
    struct dirent_item item;
    struct inode in;
    int err = dirent_decode(e->val, e->len, &item);

    if (err < 0)
        return err;
    memcpy(name, item.name, item.name_len);
    name[item.name_len] = 0;
    d.attr.nodeid = ns_node_of(l->ns, item.ino);
    d.attr.mode = DTTOIF(item.type);
    if (l->plus) {
        err = inode_load(&l->ns->tree, item.ino, &in);
        if (err < 0)
            return err == -ESTALE ? -EUCLEAN : err;
        attr_fill(l->ns, item.ino, &in, &d.attr);
        attr_mask(l->p, &d.attr);
    }
    *ret_full = !give(l, l->ns, &d, name);
    return 0;
}

/* List a directory of a namespace. The caller holds the namespace's lock. */
static int list_tree(struct inode_listing *l, uint64_t ino, uint64_t cookie)
{
    struct inode dir;
    bool full = false;
    int err = l->ns->live ? inode_load(&l->ns->tree, ino, &dir) : -ESTALE;

    if (err == 0 && !S_ISDIR(dir.mode))
        err = -ENOTDIR;
    if (err == 0)
        err = list_dots(l, &dir, ino, &cookie, &full);
    if (err < 0 || full)
        return err;
    struct each e = EACH(&l->ns->tree, key_make(ino, ITEM_DIRENT, rest_behind(l->p, cookie)), true);
    while (!full && each_next(&e))
        if (!item_is_counter(e.key))
            e.err = list_entry(l, &e, &full);
    return each_end(&e);
}

/* List the root. Its cookies are made of namespace numbers, so they too stay valid when other
 * entries come and go. */
static int list_root(struct inode_listing *l, uint64_t cookie)
{
    struct ns *ns;
    bool more = true;

    for (uint64_t c = cookie; c < COOKIE_DOTDOT && more; c++) {
        struct vfs_dirent d = {.cookie = c + 1, .attr = {.nodeid = VFS_ROOT, .mode = S_IFDIR}};
        more = give(l, NULL, &d, c == 0 ? "." : "..");
        cookie = c + 1;
    }
    if (cookie < COOKIE_BASE)
        cookie = COOKIE_BASE;
    while (more && cookie - COOKIE_BASE <= VFS_NS_MAX &&
           ns_next_number(l->p, (uint32_t)(cookie - COOKIE_BASE), &ns) == 0) {
        char name[VFS_NAME_MAX + 1];
        struct vfs_dirent d = {.cookie = ns->number + COOKIE_BASE};
        struct inode in;
        bool hidden;
        int err = 0;
        {
            READ_GUARD(&l->p->names.lock); /* a rename changes ns->name */
            snprintf(name, sizeof name, "%s", ns->name);
            hidden = ns->hidden.kind;
        }
        if (hidden) {
            err = -ENOENT;
        } else if (ns->target) {
            attr_fill_link(ns, &d.attr);
        } else if (!l->plus) { /* its tree is not read: damage in one hides no other */
            d.attr.nodeid = vfs_node(ns->number, NS_ROOT_INO);
            d.attr.mode = S_IFDIR;
        } else {
            READ_GUARD(&ns->lock);
            err = ns->live ? inode_load(&ns->tree, NS_ROOT_INO, &in) : -ENOENT;
            if (err == 0)
                attr_fill(ns, NS_ROOT_INO, &in, &d.attr);
        }
        if (err == 0)
            more = give(l, ns, &d, name);
        cookie = (uint64_t)ns->number + COOKIE_BASE;
        ns_put(l->p, ns);
        if (err < 0 && err != -ENOENT)
            return err;
    }
    return 0;
}

int vfs_readdir(struct state *p, uint64_t nodeid, uint64_t cookie, bool plus, vfs_dirent_fn *fn,
                void *ctx)
{
    struct inode_listing l = {p, NULL, plus, fn, ctx};
    int err;

    if (node_is_root(nodeid))
        return list_root(&l, cookie);
    err = ns_get(p, vfs_node_ns(nodeid), &l.ns);
    if (err < 0)
        return err;
    {
        READ_GUARD(&l.ns->lock);
        err = list_tree(&l, vfs_node_ino(nodeid), cookie);
    }
    ns_put(p, l.ns);
    if (err == 0)
        atime_touch_node(p, nodeid);
    return err;
}
