// SPDX-License-Identifier: Apache-2.0
/*
 * load_xattr: the extended attributes of an image. A value that is too long for an item becomes an
 * object, as a content does. An access ACL that says no more than the mode is not stored.
 */
#include "load_impl.h"
#include "acl.h"
#include "names.h"
#include "vfs.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool starts(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_acl(const char *name)
{
    return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

/* May an attribute have this name? Those that a store computes are not stored. */
static bool is_stored(const char *name)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};

    if (starts(name, VFS_XATTR_OURS))
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (starts(name, prefixes[i]))
            return name[strlen(prefixes[i])] != 0;
    return is_acl(name);
}

/* Puts the item of an attribute, whose value is inline or in an object that the caller holds. */
static int put(struct load *l, struct load_inode *i, const struct xattr_item *x, const char *name)
{
    struct tree_cursor c = TREE_CURSOR_INIT;
    uint8_t buf[XATTR_ITEM_MAX];
    struct key k;
    int err = name_find(l->p, &l->ns->tree, i->ino, ITEM_XATTR, name, &k, &c);

    tree_cursor_end(&c);
    if (err < 0 && err != -ENOENT)
        return err;
    err = name_put(l->p, &l->ns->tree, k, name, buf, xattr_encode(x, buf));
    if (err == 0) {
        i->in.flags |= INODE_XATTRS;
        i->dirty = true;
    }
    return err;
}

/* An ACL in the form in which it is stored. *ret_none: there is nothing to store. */
static int prepare_acl(struct load *l, struct load_inode *i, const char *name, void *value,
                       size_t len, bool *ret_none)
{
    bool access = strcmp(name, ACL_ACCESS) == 0, empty;
    int err = S_ISLNK(i->in.mode) || (!access && !S_ISDIR(i->in.mode)) ? -EINVAL : 0;

    if (err == 0)
        err = acl_check(value, len, &empty);
    if (err < 0)
        return load_fail(l, -EINVAL, "inode %llu cannot have this %s",
                         (unsigned long long)i->number, name);
    *ret_none = empty;
    if (empty)
        return 0;
    acl_normalize(value, len);
    if (access) {
        *ret_none = acl_to_mode(value, len, &i->in.mode);
        i->dirty = true;
    }
    return 0;
}

/* Puts the attribute. The caller holds `object`. */
static int put_value(struct load *l, const struct image_record *r, const char *name, void *value,
                     uint64_t object)
{
    const struct xattr_item x = {
        .name = name, .name_len = r->name_len, .object = object, .value = value, .len = r->len};
    struct load_inode *i;
    bool none = false;
    int err;
    LOAD_GUARD(l);

    err = load_inode_get(l, r->number, &i);
    if (err == 0 && is_acl(name))
        err = prepare_acl(l, i, name, value, r->len, &none);
    return err == 0 && !none ? put(l, i, &x, name) : err;
}

int load_xattr_take(struct load *l, const struct image_record *r)
{
    char name[XATTR_NAME_MAX + 1];
    uint64_t object = 0;
    uint8_t *value;
    int err = 0;

    memcpy(name, r->name, r->name_len);
    name[r->name_len] = 0;
    if (l->cred.uid != 0 && (starts(name, "security.") || starts(name, "trusted.")))
        return load_fail(l, -EPERM, "only root may import the attribute %s", name);
    if (!is_stored(name))
        return load_fail(l, -EINVAL, "a store cannot have the attribute %s", name);
    if (!xattr_is_inline(r->name_len, r->len))
        err = load_keep(l, r->data, r->len, &object);
    if (err < 0)
        return err;
    value = malloc(r->len + 1); /* an ACL is changed in place */
    if (value && r->len)
        memcpy(value, r->data, r->len);
    err = value ? put_value(l, r, name, value, object) : -ENOMEM;
    free(value);
    if (object)
        refs_unhold(l->p->refs, object);
    return err;
}
