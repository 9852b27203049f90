// SPDX-License-Identifier: Apache-2.0
/*
 * acl: POSIX access control lists, in the form in which Linux passes them in the extended
 * attributes system.posix_acl_access and system.posix_acl_default. They are stored in the same
 * form:
 *
 *     version 4 (2), then per entry: tag 2, permissions 2 (rwx as 4 2 1), id 4      little-endian
 *
 * The entries are in this order: owner, named users, group, named groups, mask, others. Owner,
 * group and others are always there. A mask is there if the list names a user or a group. The rules
 * are those of POSIX 1003.1e draft 17, as Linux applies them.
 *
 * These are pure functions over the bytes, which they change in place. All but acl_check need a
 * list that has passed it. Of `mode` they read and set the bits rwxrwxrwx only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* Checks that it is such a list. *ret_empty: it has no entries, which means that there is no list
 * at all. -EOPNOTSUPP: it is of another version. -EINVAL. */
int acl_check(const void *val, size_t len, bool *ret_empty);
/* Gives equal lists equal bytes: clears the id of entries whose tag has none. */
void acl_normalize(void *val, size_t len);
/* Sets `mode` to what the list says. True: the list says nothing else. */
bool acl_to_mode(const void *val, size_t len, uint32_t *mode);
/* Does a chmod: the list says `mode` afterwards. */
void acl_chmod(void *val, size_t len, uint32_t mode);
/* Turns a directory's default list into the access list of a file that is made there with `mode`.
 * `mode` loses what the list does not grant. True: the list says more than the mode. */
bool acl_inherit(void *val, size_t len, uint32_t *mode);
