// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_xattr: extended attributes. Each is an item of its inode, found by the hash of its name, as
 * an entry of a directory is. A value that is too long for an item is stored as an object, which
 * the item names: equal values are stored once, and branches share them as they share file
 * contents.
 *
 * An inode without the flag INODE_XATTRS has no attributes. The flag answers most questions at no
 * cost: the kernel asks for security.capability at every write(2).
 *
 * ACLs are attributes with a meaning (vfs_acl.c). user.tally.* are not stored: their values are
 * computed when they are read. They are not listed, so programs that copy attributes do not copy
 * them.
 */
#include "entry_absent.h"
#include "flush.h"
#include "io.h"
#include "vfs.h"
#include "vfs_remote.h"
#include "vfs_xattr_impl.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes that the list of an inode's names may take: Linux's XATTR_LIST_MAX. */
#define LIST_MAX 65536

enum name_kind { NAME_PLAIN, NAME_ACL, NAME_VIRTUAL };

static bool starts(const char *name, const char *prefix)
{
    return !strncmp(name, prefix, strlen(prefix));
}

/* Check a name, and say which kind of attribute it is. Errors as in vfs.h. */
static int name_kind(const char *name, enum name_kind *ret)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};

    if (!*name || strlen(name) > XATTR_NAME_MAX)
        return -ERANGE;
    *ret = starts(name, VFS_XATTR_OURS) ? NAME_VIRTUAL : NAME_PLAIN;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (starts(name, prefixes[i]))
            return name[strlen(prefixes[i])] ? 0 : -EINVAL;
    *ret = NAME_ACL;
    return xattr_is_acl(name) ? 0 : -EOPNOTSUPP;
}

/* ---- one attribute; the lock of the tree is held ---- */

/* Read a value that is stored as an object. An object that is shorter than its item says is
 * damage. */
static int read_object(struct state *p, uint64_t object, uint8_t *buf, size_t len, struct reader *r)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = content_read(p, object, buf + done, len - done, done, r);
        if (n == -ENOENT)
            return met_lost(p, object);
        if (n <= 0)
            return n < 0 ? (int)n : -EUCLEAN;
        done += (size_t)n;
    }
    return 0;
}

/* Look an attribute up, and copy its value if the item has it. Otherwise *ret_object has it; 0 also
 * if `cap` is 0, which asks for the length alone. -ENOENT: there is no such attribute. */
static int look(struct state *p, const struct items *it, const char *name, void *buf, size_t cap,
                size_t *ret_len, uint64_t *ret_object)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    struct xattr_item x;
    struct key k;
    const void *val;
    size_t len;
    int err = name_find(p, it->tree, it->ino, ITEM_XATTR, name, &k, &c);

    if (err < 0)
        return err;
    val = tree_cursor_value(&c, &len);
    err = xattr_decode(val, len, &x);
    if (err == 0 && cap && x.len > cap)
        err = -ERANGE;
    if (err == 0 && cap && !x.object)
        memcpy(buf, x.value, x.len);
    tree_cursor_end(&c);
    if (err < 0)
        return err;
    *ret_len = x.len;
    *ret_object = cap ? x.object : 0;
    return 0;
}

int xattr_load_all(struct state *p, const struct items *it, const char *name, uint8_t **ret_value,
                   size_t *ret_len)
{
    struct reader r = {.remote = it->txn->remote, .near = true};
    uint64_t object;
    size_t len;
    uint8_t *value;
    int err = look(p, it, name, NULL, 0, &len, &object);

    if (err < 0)
        return err;
    value = malloc(len + 1);
    if (!value)
        return -ENOMEM;
    err = look(p, it, name, value, len + 1, &len, &object);
    if (err == 0 && object)
        err = read_object(p, object, value, len, &r);
    if (err < 0) {
        free(value);
        return err;
    }
    *ret_value = value;
    *ret_len = len;
    return 0;
}

bool xattr_is(struct state *p, const struct items *it, const char *name, const void *value,
              size_t len)
{
    uint8_t *old;
    size_t old_len;
    bool same;

    if (xattr_load_all(p, it, name, &old, &old_len) < 0)
        return false;
    same = old_len == len && !memcmp(old, value, len);
    free(old);
    return same;
}

int xattr_find(struct state *p, const struct items *it, const char *name, struct key *ret_key)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    int err = name_find(p, it->tree, it->ino, ITEM_XATTR, name, ret_key, &c);

    tree_cursor_end(&c);
    return err;
}

/* Store a value as a new content, and the item that names it. The content is sealed later, like
 * that of a file. */
static int put_object(struct state *p, struct items *it, struct key k, const char *name,
                      struct xattr_item *x)
{
    uint64_t owner = it->orphan ? 0 : ns_node_of(it->ns, it->ino);
    uint8_t buf[XATTR_ITEM_MAX];
    struct content *c;
    int err = content_new(it->txn, owner, CONTENT_XATTR | k.lo, &c);

    if (err < 0)
        return err;
    x->object = c->number;
    err = content_write(it->txn, c, x->value, x->len, 0);
    if (err == 0)
        err = name_put(p, it->tree, k, name, buf, xattr_encode(x, buf));
    if (err < 0) {
        content_cancel(it->txn, c);
        return err;
    }
    content_end(it->txn, c);
    content_unref(c);
    return 0;
}

int xattr_put(struct state *p, struct items *it, struct key k, const char *name, const void *value,
              size_t len)
{
    struct xattr_item x = {.name = name, .name_len = strlen(name), .value = value, .len = len};
    uint8_t buf[XATTR_ITEM_MAX];

    if (!xattr_is_inline(x.name_len, len))
        return put_object(p, it, k, name, &x);
    return name_put(p, it->tree, k, name, buf, xattr_encode(&x, buf));
}

/* Is `k` the only attribute of its inode? If in doubt, no: the flag INODE_XATTRS may stand on an
 * inode without attributes, but must not be missing on one that has some. */
static bool is_last(const struct items *it, struct key k)
{
    struct each e = EACH(it->tree, key_make(it->ino, ITEM_XATTR, 0), true);
    bool other;

    while ((other = each_next(&e)) && (item_is_counter(e.key) || key_compare(e.key, k) == 0))
        ;
    return each_end(&e) == 0 && !other;
}

int xattr_change(struct state *p, struct items *it, struct inode *in, struct key k,
                 const char *name, const void *value, size_t len)
{
    struct inode old;
    int err = inode_load(it->tree, it->ino, &old);

    if (err < 0)
        return err;
    in->ctime = now(p);
    if (value)
        in->flags |= INODE_XATTRS;
    else if (is_last(it, k))
        in->flags &= ~(uint32_t)INODE_XATTRS;
    err = inode_store(it->tree, it->ino, in);
    if (err < 0)
        return err;
    err = value ? xattr_put(p, it, k, name, value, len) : name_del(p, it->tree, k, name);
    if (err < 0)
        (void)inode_store(it->tree, it->ino, &old); /* this cannot fail: the first store has made
                                                     * the page this tree's own */
    return change_done(it->txn, it->ns, err);
}

/* ---- the names ---- */

struct xattr_listing {
    char *buf;
    size_t cap, used;     /* `used` counts names that did not fit, too */
    bool trusted, masked; /* with those of trusted.; without a capability */
};

static void list_name(struct xattr_listing *l, const char *name, size_t len)
{
    if (!l->trusted && len > 8 && !memcmp(name, "trusted.", 8))
        return;
    if (l->masked && len == strlen(VFS_CAPABILITY) && !memcmp(name, VFS_CAPABILITY, len))
        return;
    if (l->used + len + 1 <= l->cap) {
        memcpy(l->buf + l->used, name, len);
        l->buf[l->used + len] = 0;
    }
    l->used += len + 1;
}

static int list_names(const struct items *it, struct xattr_listing *l)
{
    struct each e = EACH(it->tree, key_make(it->ino, ITEM_XATTR, 0), true);
    struct xattr_item x;

    while (each_next(&e)) {
        if (item_is_counter(e.key))
            continue;
        e.err = xattr_decode(e.val, e.len, &x);
        if (e.err == 0)
            list_name(l, x.name, x.name_len);
    }
    return each_end(&e);
}

/* Would the list of names with this one be too long for listxattr(2)? -ENOSPC. */
static int check_list(const struct items *it, const char *name)
{
    struct xattr_listing l = {.trusted = true};
    int err = list_names(it, &l);

    if (err < 0)
        return err;
    return l.used + strlen(name) + 1 > LIST_MAX ? -ENOSPC : 0;
}

/* ---- asking ---- */

/* Does the node have attributes? Only if *ret_any is true, *ret_v is referenced and the tree is
 * locked for reading; end_read undoes both. */
static int begin_read(struct state *p, uint64_t nodeid, bool *ret_any, struct vnode **ret_v,
                      struct items *ret)
{
    struct vfs_attr attr;
    struct inode in;
    int err = node_is_root(nodeid) ? 0 : inode_get(p, nodeid, &in, &attr);

    *ret_any = err == 0 && !node_is_root(nodeid) && in.flags & INODE_XATTRS;
    if (err < 0 || !*ret_any)
        return err;
    err = vnode_get(p, nodeid, ret_v);
    if (err < 0)
        return err;
    err = items_lock(p, *ret_v, NULL, ret);
    if (err < 0)
        vnode_put(p, *ret_v);
    return err;
}

static void end_read(struct state *p, struct vnode *v, struct items *it)
{
    items_unlock(p, it);
    vnode_put(p, v);
}

/* Look an attribute up. The object that has its value, if one has, gets a hold for the caller, so
 * that it can be read without the lock of the tree. */
static int look_and_hold(struct state *p, uint64_t nodeid, const char *name, void *buf, size_t cap,
                         size_t *ret_len, uint64_t *ret_object)
{
    struct vnode *v;
    struct items it;
    bool any;
    int err = begin_read(p, nodeid, &any, &v, &it);

    if (err < 0 || !any)
        return err < 0 ? err : -ENODATA;
    err = look(p, &it, name, buf, cap, ret_len, ret_object);
    if (err == -ENOENT)
        err = -ENODATA;
    else if (err == 0 && *ret_object)
        err = refs_hold(p->refs, *ret_object);
    end_read(p, v, &it);
    return err;
}

/* Read an attribute while no lock is held, since its object may be on another shard. */
static int load_value(struct state *p, uint64_t nodeid, const char *name, void *buf, size_t cap,
                      size_t *ret_len, struct reader *r)
{
    uint64_t object;
    int err = look_and_hold(p, nodeid, name, buf, cap, ret_len, &object);

    if (err < 0 || !object)
        return err;
    err = read_object(p, object, buf, *ret_len, r);
    refs_unhold(p->refs, object);
    return err;
}

/* load, and once more if an unreachable shard answers after a wait. */
static int load_patiently(struct state *p, uint64_t nodeid, const char *name, void *buf, size_t cap,
                          size_t *ret_len, struct remote_bytes *remote)
{
    struct reader r = {.remote = remote};
    int err = load_value(p, nodeid, name, buf, cap, ret_len, &r);

    if (err == -EHOSTUNREACH && remote_bytes_wait(p, r.unreachable))
        err = load_value(p, nodeid, name, buf, cap, ret_len, &r);
    return err == -EHOSTUNREACH ? -EIO : err;
}

int xattr_fetch(struct state *p, uint64_t nodeid, const char *name, struct remote_bytes *ret)
{
    uint8_t *buf;
    size_t len;
    int err;

    remote_bytes_end(ret);
    if (!atomic_load_explicit(&p->has_ghosts, memory_order_relaxed))
        return 0;
    buf = malloc(XATTR_VALUE_MAX);
    if (!buf)
        return -ENOMEM;
    err = load_patiently(p, nodeid, name, buf, XATTR_VALUE_MAX, &len, ret);
    free(buf);
    return err == -ENODATA ? 0 : err;
}

static_assert(VFS_XATTR_OURS_MAX + 1 == ENTRY_SHA256_TEXT, "a SHA-256 is the longest value");

/* Compute the value of user.tally.object or user.tally.refs. */
static ssize_t get_virtual(struct state *p, uint64_t nodeid, const char *name, char *buf,
                           size_t cap)
{
    bool object = !strcmp(name, "user.tally.object"), refs = !strcmp(name, "user.tally.refs");
    char text[VFS_XATTR_OURS_MAX + 1];
    struct entry e;
    size_t len;
    int err = (object || refs) && !node_is_root(nodeid) ? sealed_object(p, nodeid, &e) : -ENODATA;

    if (err < 0)
        return err;
    if (object && e.kind == ENTRY_ABSENT && entry_absent_has_id(&e))
        e.id = entry_absent_id(&e);
    if (object && e.kind == ENTRY_ABSENT && !entry_absent_has_id(&e))
        entry_sha256_text(&e, text);
    else if (object)
        id_to_hex(&e.id, text);
    else
        snprintf(text, sizeof text, "%u", e.count);
    len = strlen(text);
    if (cap && cap < len)
        return -ERANGE;
    if (cap)
        memcpy(buf, text, len);
    return (ssize_t)len;
}

/* Is it a capability that the file does not give, as it is in a snapshot that others can read? */
static bool is_masked(struct state *p, uint64_t nodeid, const char *name)
{
    return !strcmp(name, VFS_CAPABILITY) && ns_gives_no_rights(p, vfs_node_ns(nodeid));
}

ssize_t vfs_getxattr(struct state *p, uint64_t nodeid, const char *name, void *buf, size_t cap)
{
    enum name_kind kind;
    size_t len;
    int err = name_kind(name, &kind);

    if (err < 0)
        return err;
    if (kind == NAME_VIRTUAL)
        return get_virtual(p, nodeid, name, buf, cap);
    err = load_patiently(p, nodeid, name, buf, cap, &len, NULL);
    if (err == 0 && is_masked(p, nodeid, name)) /* most files have none, so it is asked for last */
        return -ENODATA;
    return err < 0 ? err : (ssize_t)len;
}

ssize_t vfs_listxattr(struct state *p, uint64_t nodeid, char *buf, size_t cap, bool trusted)
{
    struct xattr_listing l = {
        .buf = buf, .cap = cap, .trusted = trusted, .masked = is_masked(p, nodeid, VFS_CAPABILITY)};
    struct vnode *v;
    struct items it;
    bool any;
    int err = begin_read(p, nodeid, &any, &v, &it);

    if (err < 0 || !any)
        return err;
    err = list_names(&it, &l);
    end_read(p, v, &it);
    if (err < 0)
        return err;
    return cap && l.used > cap ? -ERANGE : (ssize_t)l.used;
}

/* ---- changing ---- */

/* The arguments of one call that sets or removes an attribute. */
struct change_of {
    const char *name;
    enum name_kind kind;
    const void *value; /* NULL: it is removed */
    size_t len;
    unsigned flags; /* enum vfs_xattr_flags */
};

/* Set or remove an attribute that is no ACL. The tree is locked for writing. */
static int set_plain(struct state *p, struct items *it, const struct change_of *c)
{
    struct inode in;
    struct key k;
    int found, err = inode_load(it->tree, it->ino, &in);

    if (err < 0)
        return err;
    found = xattr_find(p, it, c->name, &k);
    if (found < 0 && found != -ENOENT)
        return found;
    if (found == 0 && c->flags & VFS_XATTR_CREATE)
        return -EEXIST;
    if (found < 0 && (!c->value || c->flags & VFS_XATTR_REPLACE))
        return -ENODATA;
    if (found == 0 && c->value && xattr_is(p, it, c->name, c->value, c->len))
        return 0; /* nothing changes, not even ctime (as on ext4) */
    err = found < 0 ? check_list(it, c->name) : 0;
    return err < 0 ? err : xattr_change(p, it, &in, k, c->name, c->value, c->len);
}

static int set_locked(struct state *p, struct items *it, const struct change_of *c)
{
    if (c->kind == NAME_ACL)
        return acl_set(p, it, c->name, c->value, c->len, c->flags & VFS_XATTR_KILL_SGID);
    return set_plain(p, it, c);
}

static int set_vnode(struct state *p, struct vnode *v, const struct change_of *c)
{
    TXN(t);
    struct items it;
    int err = v->ns->target ? -EPERM : txn_begin(p, c->len, &t);

    if (err < 0)
        return err;
    err = vnode_changeable_by_name(p, v);
    if (err == 0)
        err = items_lock(p, v, &t, &it);
    if (err < 0)
        return err;
    err = set_locked(p, &it, c);
    items_unlock(p, &it);
    return err;
}

static int set(struct state *p, uint64_t nodeid, struct change_of *c)
{
    struct vnode *v;
    int err = name_kind(c->name, &c->kind);

    if (err == 0 && (c->kind == NAME_VIRTUAL || node_is_root(nodeid)))
        err = -EPERM;
    if (err == 0)
        err = state_writable(p);
    if (err == 0)
        err = flush_throttle(p);
    if (err == 0 && c->value)
        err = flush_room(p);
    if (io_is_full(err) && !c->value)
        err = 0; /* removing frees space, so it is allowed while a full disk prevents a flush */
    if (err == 0)
        err = vnode_get(p, nodeid, &v);
    if (err < 0)
        return err;
    err = set_vnode(p, v, c);
    vnode_put(p, v);
    if (err == 0 && c->kind == NAME_ACL)
        event_rights(p, nodeid);
    return err;
}

int vfs_setxattr(struct state *p, uint64_t nodeid, const char *name, const void *value, size_t len,
                 unsigned flags)
{
    struct change_of c = {.name = name, .value = value ? value : "", .len = len, .flags = flags};

    return len > XATTR_VALUE_MAX ? -E2BIG : set(p, nodeid, &c);
}

int vfs_removexattr(struct state *p, uint64_t nodeid, const char *name)
{
    return set(p, nodeid, &(struct change_of){.name = name});
}
