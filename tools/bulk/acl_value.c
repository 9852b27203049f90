// SPDX-License-Identifier: Apache-2.0
#include "acl_value.h"

#include "bytes.h"

#include <archive_entry.h>
#include <stdlib.h>

#define HEAD 4
#define ENTRY 8
#define VERSION 2
#define NO_ID UINT32_MAX

static const struct {
    int archive;
    uint16_t linux_tag;
    bool has_id;
} tags[] = {
    {ARCHIVE_ENTRY_ACL_USER_OBJ, 0x01, false}, {ARCHIVE_ENTRY_ACL_USER, 0x02, true},
    {ARCHIVE_ENTRY_ACL_GROUP_OBJ, 0x04, false}, {ARCHIVE_ENTRY_ACL_GROUP, 0x08, true},
    {ARCHIVE_ENTRY_ACL_MASK, 0x10, false},     {ARCHIVE_ENTRY_ACL_OTHER, 0x20, false},
};
#define TAGS (sizeof(tags) / sizeof(*tags))

void acl_value_begin(struct acl_value *v, uint8_t bytes[ACL_VALUE_MAX])
{
    *v = (struct acl_value){.bytes = bytes, .len = HEAD};
    put_le32(bytes, VERSION);
}

bool acl_value_add(struct acl_value *v, int tag, int permissions, int id)
{
    for (size_t i = 0; i < TAGS && v->len + ENTRY <= ACL_VALUE_MAX; i++) {
        uint8_t *entry = v->bytes + v->len;
        if (tags[i].archive != tag || (tags[i].has_id && id < 0)) {
            continue;
        }
        put_le16(entry, tags[i].linux_tag);
        put_le16(entry + 2, (uint16_t)(permissions & 7)); /* the bits are the same */
        put_le32(entry + 4, tags[i].has_id ? (uint32_t)id : NO_ID);
        v->len += ENTRY;
        return true;
    }
    return false;
}

static int compare(const void *a, const void *b)
{
    unsigned tag_a = get_le16(a), tag_b = get_le16(b);
    uint32_t id_a = get_le32((const uint8_t *)a + 4), id_b = get_le32((const uint8_t *)b + 4);
    return tag_a != tag_b ? (tag_a > tag_b) - (tag_a < tag_b) : (id_a > id_b) - (id_a < id_b);
}

size_t acl_value_end(struct acl_value *v)
{
    qsort(v->bytes + HEAD, (v->len - HEAD) / ENTRY, ENTRY, compare);
    return v->len == HEAD ? 0 : v->len;
}

bool acl_value_get(const void *value, size_t len, size_t index, int *ret_tag, int *ret_permissions,
                   int *ret_id)
{
    const uint8_t *entry = (const uint8_t *)value + HEAD + index * ENTRY;
    if (len < HEAD || get_le32(value) != VERSION || index >= (len - HEAD) / ENTRY) {
        return false;
    }
    for (size_t i = 0; i < TAGS; i++) {
        if (tags[i].linux_tag == get_le16(entry)) {
            *ret_tag = tags[i].archive;
            *ret_permissions = get_le16(entry + 2);
            *ret_id = tags[i].has_id ? (int)get_le32(entry + 4) : -1;
            return true;
        }
    }
    return false;
}
