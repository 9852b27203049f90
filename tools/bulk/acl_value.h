// SPDX-License-Identifier: Apache-2.0
/*
 * acl_value: an ACL as libarchive has it, entry by entry, becomes the value of an extended
 * attribute in the form of Linux (core/format/acl.h), and back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_ENTRIES_MAX 1024
#define ACL_VALUE_MAX (4 + 8 * ACL_ENTRIES_MAX)

struct acl_value {
    uint8_t *bytes;
    size_t len;
};

void acl_value_begin(struct acl_value *v, uint8_t bytes[ACL_VALUE_MAX]);
/* Adds an entry; `tag` and `permissions` are those of libarchive. False: it is of no known kind,
 * has no number, or there are too many. */
bool acl_value_add(struct acl_value *v, int tag, int permissions, int id);
/* Puts the entries into the order of Linux. Returns the length; 0: there are none. */
size_t acl_value_end(struct acl_value *v);
/* Entry `index` of a value, as libarchive has it. False: there are no more. */
bool acl_value_get(const void *value, size_t len, size_t index, int *ret_tag, int *ret_permissions,
                   int *ret_id);
