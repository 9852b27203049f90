// SPDX-License-Identifier: Apache-2.0
/*
 * record: the kv tables of a store, and the record "state" of the table meta, which has what every
 * commit says of the store as a whole (FORMAT.md, "Meta").
 */
#pragma once

#include "id.h"
#include "kv.h"
#include "page.h"
#include <stddef.h>
#include <stdint.h>

enum {
    TABLE_META,
    TABLE_PAGES,
    TABLE_PAGE_COUNTS,
    TABLE_OBJECTS,
    TABLE_IDS,
    TABLE_DYING,
    TABLE_PACKS,
    TABLE_NAMESPACES,
    TABLE_PINS,
    TABLE_DROPS,
    TABLE_SETTINGS,
    TABLE_GC,
    TABLE_GHOSTS,
    TABLE_SHARDS,
    TABLE_SHARD_PACKS,
    TABLE_UNSEALED,
    TABLE_NS_SETTINGS,
    TABLE_HISTORY,
    TABLE_ARCHIVED,
    TABLE_GROWTH,
    TABLE_COUNT,
};

extern const struct kv_table store_tables[];
extern const unsigned store_table_count;

/* Makes the id by which shards know a store. It reveals nothing of the secret. It differs for the
 * members of one pool, which share the secret: `node` is the number of the member, 0 outside of a
 * pool. */
void store_id_of(const uint8_t secret[ID_SECRET_LEN], int64_t created, unsigned node,
                 uint8_t ret[16]);

/* The record "state". The next_ fields are the lowest numbers that were never given. */
struct store_record {
    uint64_t seq, next_page, next_number, next_pack, next_ns, orphan_root, orphan_next;
    uint64_t epoch, log_segment, log_offset; /* where the log goes on after this commit */
    /* above all reserved inode numbers; 0: not known, the record is older than version 6 */
    uint64_t next_ino;
};
#define STORE_RECORD_LEN 96
void store_record_encode(const struct store_record *s, uint8_t out[STORE_RECORD_LEN]);
int store_record_decode(const void *val, size_t len, struct store_record *ret); /* -EUCLEAN */

/* Copies the page `no` of a snapshot to `page`, so that a failing disk cannot take it away
 * meanwhile, and checks it. -EUCLEAN: it is not there or damaged, and *ret_why says how; -EIO. */
int store_page_read(struct kv_snap *s, uint64_t no, uint8_t page[PAGE_SIZE_BYTES],
                    const char **ret_why);
