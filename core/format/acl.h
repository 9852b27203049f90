// SPDX-License-Identifier: Apache-2.0
/*
 * acl: POSIX access control lists in the form that Linux passes in the xattrs
 * system.posix_acl_access and system.posix_acl_default, which is also how they are kept:
 *
 *     version 4 (2), then per entry: tag 2, permissions 2 (rwx as 4 2 1), id 4      little-endian
 *
 * Entries in this order: owner, named users, group, named groups, mask, others. Owner, group and
 * others are always there, a mask where somebody is named. The rules are those of POSIX 1003.1e
 * draft 17, as Linux has them.
 *
 * Pure functions over the bytes, which change in place. All but acl_check need a list that passed
 * it. `mode`: of its bits only rwxrwxrwx are looked at and set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* Is it a list as above? *ret_empty: it has no entries, which stands for no list at all.
 * -EOPNOTSUPP another version, -EINVAL. */
int acl_check(const void *val, size_t len, bool *ret_empty);
/* One list, one form: no id where the tag has none. */
void acl_normalize(void *val, size_t len);
/* Set `mode` to what the list says. True: that is all it says. */
bool acl_to_mode(const void *val, size_t len, uint32_t *mode);
/* chmod: the list then says `mode`. */
void acl_chmod(void *val, size_t len, uint32_t mode);
/* Turn a directory's default list into the access list of something made there with `mode`, which
 * loses what the list does not grant. True: the list says more than the mode. */
bool acl_inherit(void *val, size_t len, uint32_t *mode);
