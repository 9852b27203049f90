// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_acl: ACLs of inodes. The kernel decides who may do what. This file keeps two things true: an
 * access ACL and the mode say the same at any time, and whatever is made in a directory inherits
 * the directory's default ACL.
 */
#include "acl.h"
#include "vfs_xattr_impl.h"
#include <errno.h>
#include <stdlib.h>

bool xattr_is_acl(const char *name)
{
    return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
}

/* ---- setting ---- */

/* Set an ACL that does not touch the mode, or remove one (`value` NULL). Removing a missing ACL,
 * or setting the value that is there, changes nothing, not even ctime (as on ext4). */
static int replace(struct state *p, struct items *it, struct inode *in, const char *name,
                   const void *value, size_t len)
{
    struct key k;
    int err = xattr_find(p, it, name, &k);

    if (err == -ENOENT && !value)
        return 0;
    if (err < 0 && err != -ENOENT)
        return err;
    if (value && xattr_is(p, it, name, value, len))
        return 0;
    return xattr_change(p, it, in, k, name, value, len);
}

/* Set the access ACL `value`, and the mode from it. An ACL that says no more than the mode is not
 * stored; one that was there is removed. If neither ACL nor mode change, nothing is stored (as on
 * ext4). */
static int set_access(struct state *p, struct items *it, struct inode *in, const uint8_t *value,
                      size_t len, bool kill_sgid)
{
    uint32_t old_mode = in->mode;
    bool only_mode = acl_to_mode(value, len, &in->mode);
    struct key k;
    int err;

    if (kill_sgid)
        in->mode &= ~(uint32_t)S_ISGID;
    err = xattr_find(p, it, ACL_ACCESS, &k);
    if (err < 0 && err != -ENOENT)
        return err;
    if (!only_mode) {
        if (in->mode == old_mode && xattr_is(p, it, ACL_ACCESS, value, len))
            return 0;
        return xattr_change(p, it, in, k, ACL_ACCESS, value, len);
    }
    if (err == 0)
        return xattr_change(p, it, in, k, ACL_ACCESS, NULL, 0);
    if (in->mode == old_mode)
        return 0;
    in->ctime = now(p);
    err = inode_store(it->tree, it->ino, in);
    return change_done(it->txn, it->ns, err);
}

/* Set the ACL `name` from a copy of the caller's value, since normalizing sorts it in place. Equal
 * ACLs so become equal bytes. */
static int set_list(struct state *p, struct items *it, struct inode *in, const char *name,
                    const void *value, size_t len, bool kill_sgid)
{
    uint8_t *own = malloc(len);
    int err;

    if (!own)
        return -ENOMEM;
    memcpy(own, value, len);
    acl_normalize(own, len);
    if (!strcmp(name, ACL_ACCESS))
        err = set_access(p, it, in, own, len, kill_sgid);
    else
        err = S_ISDIR(in->mode) ? replace(p, it, in, name, own, len) : -EACCES;
    free(own);
    return err;
}

int acl_set(struct state *p, struct items *it, const char *name, const void *value, size_t len,
            bool kill_sgid)
{
    struct inode in;
    bool empty = true;
    int err = inode_load(it->tree, it->ino, &in);

    if (err == 0 && S_ISLNK(in.mode))
        err = -EOPNOTSUPP;
    if (err == 0 && value)
        err = acl_check(value, len, &empty);
    if (err < 0)
        return err;
    if (empty)
        return replace(p, it, &in, name, NULL, 0);
    return set_list(p, it, &in, name, value, len, kill_sgid);
}

/* ---- following the mode, handing on ---- */

/* Load a stored ACL; the caller frees it. An ACL that is malformed or empty can only be damage:
 * -EUCLEAN. -ENOENT: there is none. */
static int load_acl(struct state *p, const struct items *it, const char *name, uint8_t **ret_value,
                    size_t *ret_len)
{
    bool empty;
    int err = xattr_load_all(p, it, name, ret_value, ret_len);

    if (err < 0)
        return err;
    err = acl_check(*ret_value, *ret_len, &empty);
    if (err == 0 && !empty)
        return 0;
    free(*ret_value);
    return -EUCLEAN;
}

int acl_chmod_load(struct state *p, const struct items *it, uint32_t mode, uint8_t **ret_value,
                   size_t *ret_len)
{
    int err = load_acl(p, it, ACL_ACCESS, ret_value, ret_len);

    if (err < 0) {
        *ret_value = NULL;
        return err == -ENOENT ? 0 : err;
    }
    acl_chmod(*ret_value, *ret_len, mode);
    return 0;
}

int acl_chmod_store(struct state *p, struct items *it, const uint8_t *value, size_t len)
{
    struct key k;
    int err = xattr_find(p, it, ACL_ACCESS, &k);

    return err < 0 ? err : xattr_put(p, it, k, ACL_ACCESS, value, len);
}

/* Store an ACL of a new inode. The inode has no attributes yet, so finding one is damage. */
static int put_acl(struct state *p, struct items *it, const char *name, const void *value,
                   size_t len)
{
    struct key k;
    int err = xattr_find(p, it, name, &k);

    return err == -ENOENT ? xattr_put(p, it, k, name, value, len) : err < 0 ? err : -EUCLEAN;
}

/* Give a new inode its ACLs from `value`, the default ACL of its directory: a directory gets it as
 * its own default ACL, and each inode gets an access ACL made of it. Changes `value`, and mode and
 * flags of `in`. */
static int hand_on(struct state *p, struct items *it, uint8_t *value, size_t len, struct inode *in)
{
    int err = S_ISDIR(in->mode) ? put_acl(p, it, ACL_DEFAULT, value, len) : 0;

    if (S_ISDIR(in->mode))
        in->flags |= INODE_XATTRS;
    if (err == 0 && acl_inherit(value, len, &in->mode)) {
        in->flags |= INODE_XATTRS;
        err = put_acl(p, it, ACL_ACCESS, value, len);
    }
    return err;
}

int acl_reach(struct state *p, struct txn *t, uint64_t dir_ino, const struct inode *dir)
{
    const struct items from = {.tree = &t->ns->tree, .ino = dir_ino, .ns = t->ns, .txn = t};
    uint8_t *value;
    size_t len;
    int err = dir->flags & INODE_XATTRS ? load_acl(p, &from, ACL_DEFAULT, &value, &len) : -ENOENT;

    if (err == 0)
        free(value);
    return err == -ENOENT ? 0 : err;
}

int acl_make(struct state *p, struct ns *ns, uint64_t dir_ino, const struct inode *dir,
             uint32_t umask, struct items *to, struct inode *in)
{
    struct items from = {.tree = &ns->tree, .ino = dir_ino, .ns = ns, .txn = to->txn};
    uint8_t *value;
    size_t len;
    int err;

    if (S_ISLNK(in->mode))
        return 0;
    err = dir->flags & INODE_XATTRS ? load_acl(p, &from, ACL_DEFAULT, &value, &len) : -ENOENT;
    if (err == -ENOENT) {
        in->mode &= ~(umask & 0777);
        return 0;
    }
    if (err < 0)
        return err;
    err = hand_on(p, to, value, len, in);
    free(value);
    return err;
}
