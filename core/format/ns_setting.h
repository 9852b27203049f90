// SPDX-License-Identifier: Apache-2.0
/*
 * ns_setting: a setting of one namespace: a row of the table `ns_settings`, and the operation that
 * changes it (FORMAT.md, "Namespaces"). Pure codecs. Decoders return 0, or -EUCLEAN and
 * leave their output untouched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_SETTING_NAME_MAX 48    /* bytes */
#define NS_SETTING_VALUE_MAX 1024 /* bytes */
#define NS_SETTING_KEY_MAX (8 + NS_SETTING_NAME_MAX)
#define NS_SETTING_OP_MAX (NS_SETTING_NAME_MAX + 1 + NS_SETTING_VALUE_MAX)

struct ns_setting {
    char name[NS_SETTING_NAME_MAX + 1]; /* of a-z, 0-9 and _ */
    const void *value; /* borrowed; NULL: the setting is removed. A row has a value */
    size_t len;        /* of the value, at most NS_SETTING_VALUE_MAX */
};

/* May a setting have that name? */
bool ns_setting_is_name(const char *name, size_t len);
/* The data of an OP_NS_SETTING. Returns its length. */
size_t ns_setting_encode(const struct ns_setting *s, uint8_t out[NS_SETTING_OP_MAX]);
int ns_setting_decode(const void *data, size_t len, struct ns_setting *ret);
/* The key of a row. Returns its length. */
size_t ns_setting_key(uint32_t ns, const char *name, uint8_t out[NS_SETTING_KEY_MAX]);
/* A row: its key and its value. */
int ns_setting_row(const void *key, size_t klen, const void *val, size_t len, uint32_t *ret_ns,
                   struct ns_setting *ret);
