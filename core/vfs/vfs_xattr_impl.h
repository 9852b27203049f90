// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_xattr_impl: attributes and ACLs of an inode whose tree is locked (items_lock; for writing
 * where something changes, then with the freeze lock, too).
 */
#pragma once

#include "vfs_impl.h"

/* ---- vfs_xattr.c ---- */

/* The value of an attribute: as vfs_getxattr, but -ENOENT says that there is none. */
int xattr_load(struct state *p, const struct items *it, const char *name, void *buf, size_t cap,
               size_t *ret_len);
/* The same; the value is the caller's to free, and has one byte more than its length says. */
int xattr_load_all(struct state *p, const struct items *it, const char *name, uint8_t **ret_value,
                   size_t *ret_len);
/* Does the attribute have this value already? False if that cannot be found out. */
bool xattr_is(struct state *p, const struct items *it, const char *name, const void *value,
              size_t len);
/* The key of the attribute, or on -ENOENT the key that it would get. */
int xattr_find(struct state *p, const struct items *it, const char *name, struct key *ret_key);
/* Store only the item, at the key that xattr_find gave; the inode is not changed. */
int xattr_put(struct state *p, struct items *it, struct key k, const char *name, const void *value,
              size_t len);
/* Set the attribute at `k` (`value` NULL: remove the one there) and store the inode, which gets its
 * ctime and flag. If that fails, both are as they were. */
int xattr_change(struct state *p, struct items *it, struct inode *in, struct key k,
                 const char *name, const void *value, size_t len);

/* ---- vfs_acl.c ---- */

bool xattr_is_acl(const char *name);
/* Set, or remove (`value` NULL), the ACL that `name` says. */
int acl_set(struct state *p, struct items *it, const char *name, const void *value, size_t len,
            bool kill_sgid);
