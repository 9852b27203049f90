// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_xattr_impl: attributes and ACLs of an inode whose tree the caller has locked (items_lock).
 * For a change the tree is locked for writing, and the caller holds the freeze lock as well.
 */
#pragma once

#include "vfs_impl.h"

/* ---- vfs_xattr.c ---- */

/* Load the value of an attribute in a change, which asks no other shard: -EAGAIN: the value is on
 * one, and the change has not gathered it (xattr_fetch). -ENOENT: the inode has no such attribute.
 * The caller frees *ret_value, whose memory is one byte longer than *ret_len. */
int xattr_load_all(struct state *p, const struct items *it, const char *name, uint8_t **ret_value,
                   size_t *ret_len);
/* Does the attribute have this value already? Also false if the old value cannot be read, or is on
 * another shard. */
bool xattr_is(struct state *p, const struct items *it, const char *name, const void *value,
              size_t len);
/* The key of the attribute, or on -ENOENT the key that it would get. */
int xattr_find(struct state *p, const struct items *it, const char *name, struct key *ret_key);
/* Store only the item, at the key that xattr_find gave; the inode is not changed. */
int xattr_put(struct state *p, struct items *it, struct key k, const char *name, const void *value,
              size_t len);
/* Set the attribute at key `k`, or remove it (`value` NULL), and store the inode with its new
 * ctime and its flag. It ends with a frame of the log. If it fails, attribute and inode are as
 * they were. */
int xattr_change(struct state *p, struct items *it, struct inode *in, struct key k,
                 const char *name, const void *value, size_t len);

/* ---- vfs_acl.c ---- */

/* Is this the name of one of the two POSIX ACLs? */
bool xattr_is_acl(const char *name);
/* Set or remove (`value` NULL) the access or default ACL, whichever `name` is. An access ACL sets
 * the mode, too, and `kill_sgid` clears the set-gid bit with it. -EINVAL, -EACCES, -EOPNOTSUPP as
 * vfs_setxattr; removing an ACL that does not exist succeeds. */
int acl_set(struct state *p, struct items *it, const char *name, const void *value, size_t len,
            bool kill_sgid);
