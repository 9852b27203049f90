// SPDX-License-Identifier: Apache-2.0
/* record: see the header. */
#include "record.h"
#include "bytes.h"
#include "id.h"
#include <errno.h>
#include <string.h>

/* A table `checks_itself` where FORMAT.md puts a checksum into each of its values; kv adds one to
 * the values of all others. */
const struct kv_table store_tables[TABLE_COUNT] = {
    [TABLE_META] = {.name = "meta", .checks_itself = true},
    [TABLE_PAGES] = {.name = "pages", .checks_itself = true},
    [TABLE_PAGE_COUNTS] = {.name = "page_counts"},
    [TABLE_OBJECTS] = {.name = "objects"},
    [TABLE_IDS] = {.name = "ids"},
    [TABLE_DYING] = {.name = "dying"},
    [TABLE_PACKS] = {.name = "packs"},
    [TABLE_NAMESPACES] = {.name = "namespaces", .checks_itself = true},
    [TABLE_PINS] = {.name = "pins"},
    [TABLE_DROPS] = {.name = "drops"},
    [TABLE_SETTINGS] = {.name = "settings"},
    [TABLE_GC] = {.name = "gc", .checks_itself = true},
    [TABLE_GHOSTS] = {.name = "ghosts"},
    [TABLE_SHARDS] = {.name = "shards", .checks_itself = true},
    [TABLE_SHARD_PACKS] = {.name = "shard_packs"},
    [TABLE_UNSEALED] = {.name = "unsealed"},
    [TABLE_NS_SETTINGS] = {.name = "ns_settings"},
    [TABLE_HISTORY] = {.name = "history"},
    [TABLE_ARCHIVED] = {.name = "archived"},
    [TABLE_GROWTH] = {.name = "growth"},
};
const unsigned store_table_count = TABLE_COUNT;

void store_record_encode(const struct store_record *s, uint8_t out[STORE_RECORD_LEN])
{
    const uint64_t f[] = {s->seq,         s->next_page,   s->next_number, s->next_pack,
                          s->next_ns,     s->orphan_root, s->orphan_next, s->epoch,
                          s->log_segment, s->log_offset,  s->next_ino};

    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        put_le64(out + 8 + i * 8, f[i]);
    put_le64(out, id_checksum(out + 8, STORE_RECORD_LEN - 8, 1));
}

#define LEN_5 88 /* length before version 6, without next_ino */

int store_record_decode(const void *val, size_t len, struct store_record *ret)
{
    const uint8_t *v = val;

    if ((len != STORE_RECORD_LEN && len != LEN_5) || get_le64(v) != id_checksum(v + 8, len - 8, 1))
        return -EUCLEAN;
    *ret = (struct store_record){get_le64(v + 8),
                                 get_le64(v + 16),
                                 get_le64(v + 24),
                                 get_le64(v + 32),
                                 get_le64(v + 40),
                                 get_le64(v + 48),
                                 get_le64(v + 56),
                                 get_le64(v + 64),
                                 get_le64(v + 72),
                                 get_le64(v + 80),
                                 len == LEN_5 ? 0 : get_le64(v + 88)};
    return 0;
}

int store_page_read(struct kv_snap *s, uint64_t no, uint8_t page[PAGE_SIZE_BYTES],
                    const char **ret_why)
{
    const void *p;
    size_t len;
    int err = kv_snap_get_number(s, TABLE_PAGES, no, &p, &len);

    if (err == -ENOENT || err == -EUCLEAN) {
        *ret_why = err == -ENOENT ? "it does not exist" : "it cannot be read";
        return -EUCLEAN;
    }
    if (err < 0)
        return err;
    *ret_why = "wrong length";
    err = len == PAGE_SIZE_BYTES ? kv_snap_copy(page, p, len) : -EUCLEAN;
    return err < 0 ? err : page_check(page, no, ret_why);
}

void store_id_of(const uint8_t secret[ID_SECRET_LEN], int64_t created, unsigned node,
                 uint8_t ret[16])
{
    uint8_t text[ID_SECRET_LEN + 16] = {0};

    memcpy(text, secret, ID_SECRET_LEN);
    put_le64(text + ID_SECRET_LEN, (uint64_t)created);
    put_le64(text + ID_SECRET_LEN + 8, node);
    put_le64(ret, id_checksum(text, sizeof text, 2));
    put_le64(ret + 8, id_checksum(text, sizeof text, 3));
}
