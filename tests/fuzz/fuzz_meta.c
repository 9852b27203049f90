// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever the records have that say what a store is (FORMAT.md, "Meta" and "Namespaces"), they are
 * refused, or written again they say the same. Checksums are made right, else nothing would pass
 * them. Input: one byte (what it is), then its bytes behind the sum.
 */
#include "bytes.h"
#include "flush_names.h"
#include "fuzz.h"
#include "identity.h"
#include "kv_mem.h"
#include "store_impl.h"
#include "stored_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER 7

/* A copy of exactly that length behind a sum. */
static uint8_t *with_sum(const uint8_t *data, size_t len, uint64_t seed)
{
    uint8_t *b = malloc(8 + len);

    MUST(b);
    memcpy(b + 8, data, len);
    put_le64(b, id_checksum(b + 8, len, seed));
    return b;
}

static void check_identity(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, 0), again[IDENTITY_LEN];
    struct identity id, same;

    if (identity_decode(b, 8 + len, &id) == 0) {
        identity_encode(&id, again);
        MUST(identity_decode(again, sizeof again, &same) == 0 && same.complete);
        MUST(strcmp(id.label, same.label) == 0 && id.created == same.created);
        MUST(id_key_equal(&id.key, &same.key) && id.names.old == same.names.old);
        MUST(strlen(id.label) <= STORE_LABEL_MAX);
    }
    free(b);
}

static void check_state(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, 1), again[STORE_RECORD_LEN];
    struct store_record s;

    if (store_record_decode(b, 8 + len, &s) == 0) {
        store_record_encode(&s, again);
        /* One of before version 6 says less. */
        MUST(8 + len == STORE_RECORD_LEN ? memcmp(b, again, STORE_RECORD_LEN) == 0
                                         : memcmp(b + 8, again + 8, len) == 0);
    }
    free(b);
}

static void check_ns(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, NUMBER), again[NS_RECORD_MAX];
    struct ns_fields f = {.target = NULL};

    if (ns_record_check(NUMBER, b, 8 + len) == 0 && ns_decode(b, 8 + len, &f) == 0) {
        MUST(f.name[0] && strlen(f.name) <= VFS_NAME_MAX && !strchr(f.name, '/'));
        MUST(strlen(f.name) == get_le16(b + 10));
        MUST(!f.target || strlen(f.target) < 4096);
        /* One of before version 3 says less. */
        size_t n = ns_record_encode(NUMBER, &f, again);
        MUST(n <= NS_RECORD_MAX && (b[8] < 3 || (n == 8 + len && memcmp(b, again, n) == 0)));
        ns_fields_release(&f);
    }
    free(b);
}

static void check_stored(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, STORED_RECORD_SEED), again[STORED_RECORD_MAX];
    struct stored_record s;
    int err = stored_record_decode(b, 8 + len, &s);

    MUST(err == 0 || 8 + len != STORED_RECORD_LEN);
    if (err == 0) {
        MUST(stored_record_encode(&s, again) == 8 + len);
        MUST(memcmp(b, again, 8 + len) == 0);
    }
    free(b);
}

/* As the table has it. */
static void check_flushes(const uint8_t *data, size_t len)
{
    static struct flush_names names;
    struct fault fault = {0};
    uint8_t *b = with_sum(data, len, 4);
    struct kv_mem *mem;
    struct kv_txn *t;
    struct kv *kv;

    MUST(kv_mem_create(&fault, &mem) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    MUST(kv_txn_begin(kv, &t) == 0);
    MUST(kv_put(t, TABLE_META, "flushes", 7, b, 8 + len) == 0 && kv_commit(t) == 0);
    if (flush_names_load(kv, &names) == 0) {
        MUST(names.count <= FLUSH_NAMES_MAX);
        for (size_t i = 0; i < names.count; i++)
            MUST(names.v[i].name[0] && strlen(names.v[i].name) <= FLUSH_LABEL_MAX);
    } else {
        MUST(names.count == 0);
    }
    kv_close(kv);
    kv_mem_destroy(mem);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    switch (data[0] % 5) {
    case 0:
        check_identity(data + 1, len - 1);
        break;
    case 1:
        check_state(data + 1, len - 1);
        break;
    case 2:
        check_ns(data + 1, len - 1);
        break;
    case 3:
        check_flushes(data + 1, len - 1);
        break;
    default:
        check_stored(data + 1, len - 1);
        break;
    }
    return 0;
}
