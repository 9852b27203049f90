// SPDX-License-Identifier: Apache-2.0
/*
 * Records of packs and of tables (FORMAT.md, "Packs", "Block checksums", "Meta", "GC cycles"): what
 * is read is in its bounds, and is written again as it was. Checksums are made right, else nothing
 * would pass them. Input: one byte (what it is), then its bytes.
 */
#include "bytes.h"
#include "disk_mem.h"
#include "drop.h"
#include "fuzz.h"
#include "gc_record.h"
#include "kv_mem.h"
#include "ns_setting.h"
#include "packs.h"
#include "record.h"
#include "scrub_record.h"
#include "sums.h"
#include "sweep_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PACK 7

/* A copy of exactly that length. */
static uint8_t *copy_of(const uint8_t *data, size_t len)
{
    uint8_t *b = malloc(len + !len);

    MUST(b);
    memcpy(b, data, len);
    return b;
}

/* A copy behind a sum with that seed. */
static uint8_t *with_sum(const uint8_t *data, size_t len, uint64_t seed)
{
    uint8_t *b = malloc(8 + len);

    MUST(b);
    memcpy(b + 8, data, len);
    put_le64(b, id_checksum(b + 8, len, seed));
    return b;
}

/* ---- files ---- */

/* A disk in memory with one file of these bytes. */
static struct disk *disk_with(const char *name, const uint8_t *bytes, size_t len)
{
    struct disk_file *f;
    struct disk *d;

    MUST(disk_mem_create(NULL, 0, &d) == 0);
    MUST(disk_open(d, name, DISK_WRITE | DISK_CREATE, &f) == 0);
    MUST(disk_pwrite(f, bytes, len, 0) == 0);
    disk_file_close(f);
    return d;
}

/* Makes the checksum right wherever a head leads to a payload that is there. */
static void seal_records(uint8_t *file, size_t len)
{
    for (size_t at = PACK_FILE_HEAD; at + PACK_RECORD_HEAD <= len; at += 8) {
        struct pack_place place = {.pack = PACK, .offset = (uint32_t)at};
        struct pack_record r;
        uint8_t head[PACK_RECORD_HEAD];

        if (pack_record_decode(file + at, &r) < 0)
            continue;
        MUST(r.size <= PACK_RECORD_MAX && r.size >= r.stored);
        if (r.stored > len - at - PACK_RECORD_HEAD)
            continue;
        pack_record_encode(&r, file + at + PACK_RECORD_HEAD, &place, head);
        MUST(memcmp(head, file + at, 24) == 0 && memcmp(head + 32, file + at + 32, 8) == 0);
        memcpy(file + at, head, sizeof head);
    }
}

struct scanned {
    const uint8_t *file;
    size_t len;
    uint64_t end; /* of the record before */
};

static int on_record(const struct id *id, const struct pack_place *place, const void *data,
                     uint32_t len, void *ctx)
{
    struct scanned *s = ctx;

    MUST(place->pack == PACK && place->offset % 8 == 0 && place->offset >= s->end);
    MUST(place->stored < len || len == 0);
    MUST(place->offset + PACK_RECORD_HEAD + (uint64_t)pack_payload(place, len) <= s->len);
    MUST(place->stored || memcmp(data, s->file + place->offset + PACK_RECORD_HEAD, len) == 0);
    MUST(memcmp(id->b, s->file + place->offset + 8, ID_LEN) == 0);
    s->end = place->offset + pack_record_size(pack_payload(place, len));
    return 0;
}

static void check_pack(const uint8_t *data, size_t len)
{
    static uint8_t buf[PACK_RECORD_MAX];
    uint8_t *file = copy_of(data, len);
    struct scanned s = {.file = file, .len = len, .end = PACK_FILE_HEAD};
    struct disk_file *f;
    struct disk *d;

    seal_records(file, len);
    d = disk_with("f", file, len);
    MUST(disk_open(d, "f", DISK_READ, &f) == 0);
    int r = packs_check_head(f, PACK);
    MUST(r == 0 || r == -EUCLEAN);
    MUST(packs_scan(f, PACK, buf, on_record, &s) == 0);
    disk_file_close(f);
    disk_close(d);
    free(file);
}

static void check_sums(const uint8_t *data, size_t len)
{
    uint8_t *file = copy_of(data, len), *again;
    struct sums s;
    struct disk *d;
    size_t n;

    if (len >= 8)
        put_le64(file + len - 8, id_checksum(file, len - 8, 0));
    d = disk_with("f.sums", file, len);
    int r = sums_load(d, "f", &s);
    MUST(r == 0 || r == -EUCLEAN);
    if (r == 0) {
        again = sums_encode(&s, &n);
        MUST(again && n == len && memcmp(again, file, n) == 0);
        free(again);
        sums_release(&s);
    }
    disk_close(d);
    free(file);
}

/* ---- records ---- */

static void check_sweep(const uint8_t *data, size_t len)
{
    static uint8_t again[SWEEP_RECORD_MAX];
    static struct sweep_record s;
    uint8_t *b = with_sum(data, len, SWEEP_RECORD_SEED);

    if (sweep_record_decode(b, 8 + len, &s) == 0) {
        MUST(sweep_record_encode(&s, again) == 8 + len);
        MUST(memcmp(b, again, 8 + len) == 0);
    }
    free(b);
}

static void check_scrub(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, 2), again[SCRUB_RECORD_LEN];
    struct scrub_record s;

    if (scrub_record_decode(b, 8 + len, &s) == 0) {
        scrub_record_encode(&s, again);
        MUST(8 + len == sizeof again && memcmp(b, again, sizeof again) == 0);
    }
    free(b);
}

static void check_pack_row(const uint8_t *data, size_t len)
{
    uint8_t *b = copy_of(data, len), again[PACK_ENTRY_LEN];
    struct pack_entry e;

    if (pack_entry_decode(b, len, &e) == 0) {
        pack_entry_encode(&e, again);
        MUST(len == sizeof again && memcmp(b, again, len) == 0);
        MUST(pack_entry_dead(&e) <= e.file_bytes);
    }
    free(b);
}

static void check_setting(const uint8_t *data, size_t len)
{
    uint8_t *b = copy_of(data, len), again[NS_SETTING_OP_MAX], key[NS_SETTING_KEY_MAX];
    size_t klen = len < 13 ? len : 13; /* as in the corpus */
    struct ns_setting s;
    uint32_t ns;

    if (ns_setting_decode(b, len, &s) == 0)
        MUST(ns_setting_encode(&s, again) == len && memcmp(b, again, len) == 0);
    if (ns_setting_row(b, klen, b + klen, len - klen, &ns, &s) == 0) {
        MUST(s.value && s.len == len - klen && ns_setting_is_name(s.name, strlen(s.name)));
        MUST(ns_setting_key(ns, s.name, key) == klen && memcmp(b, key, klen) == 0);
    }
    free(b);
}

/* ---- tables ---- */

/* Puts rows into a table: length of the key, 1, length of the value, 2, key, value. */
static void put_rows(struct kv *kv, unsigned table, bool sealed, const uint8_t *data, size_t len)
{
    struct kv_txn *t;

    MUST(kv_txn_begin(kv, &t) == 0);
    while (len >= 3) {
        size_t klen = data[0] % (KV_KEY_MAX + 1), vlen = get_le16(data + 1);

        data += 3;
        len -= 3;
        if (klen == 0 || klen > len || vlen > len - klen)
            break;
        uint8_t *val = copy_of(data + klen, vlen);
        if (sealed && vlen >= 8)
            put_le64(val, id_checksum(val + 8, vlen - 8, id_checksum(data, klen, 0)));
        MUST(kv_put(t, table, data, klen, val, vlen) == 0);
        free(val);
        data += klen + vlen;
        len -= klen + vlen;
    }
    MUST(kv_commit(t) == 0);
}

static void check_gc(struct kv *kv)
{
    char why[GC_RECORD_WHY] = "";
    struct gc_memory m;
    struct kv_snap *s;

    MUST(kv_snap_begin(kv, &s) == 0);
    int r = gc_record_load(s, &m, why);
    MUST(r == 0 || (r == -EUCLEAN && *why));
    for (size_t i = 0; r == 0 && i < m.saved_count; i++) {
        MUST(m.saved[i].mark <= m.serial);
        MUST(i == 0 || memcmp(m.saved[i - 1].id.b, m.saved[i].id.b, ID_LEN) < 0);
    }
    for (size_t i = 0; r == 0 && i < m.history_count; i++)
        MUST(m.history[i].id_count <= 1024);
    gc_memory_release(&m);
    kv_snap_end(s);
}

static void check_drops(struct kv *kv)
{
    struct drops *d;
    int r = drops_open(kv, TABLE_DROPS, NULL, NULL, &d);

    MUST(r == 0 || r == -EUCLEAN);
    if (r == 0)
        drops_close(d);
}

static void check_table(unsigned table, const uint8_t *data, size_t len)
{
    struct kv_mem *mem;
    struct kv *kv;

    MUST(kv_mem_create(NULL, &mem) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    put_rows(kv, table, table == TABLE_GC, data, len);
    if (table == TABLE_GC)
        check_gc(kv);
    else
        check_drops(kv);
    kv_close(kv);
    kv_mem_destroy(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    switch (data[0] % 8) {
    case 0:
        check_pack(data + 1, len - 1);
        break;
    case 1:
        check_sums(data + 1, len - 1);
        break;
    case 2:
        check_sweep(data + 1, len - 1);
        break;
    case 3:
        check_scrub(data + 1, len - 1);
        break;
    case 4:
        check_table(TABLE_GC, data + 1, len - 1);
        break;
    case 5:
        check_pack_row(data + 1, len - 1);
        break;
    case 6:
        check_table(TABLE_DROPS, data + 1, len - 1);
        break;
    default:
        check_setting(data + 1, len - 1);
        break;
    }
    return 0;
}
