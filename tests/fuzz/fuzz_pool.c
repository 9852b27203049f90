// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a file of a pool has, they are refused, or written again they are the same.
 * Checksums are made right, else nothing would pass them. Input: one byte (what it is), then its
 * bytes.
 */
#include "pool_format.h"

#include "bytes.h"
#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE 3
#define SUM_LINE 21 /* "sum=0123456789abcdef\n" */

/* The input as the first bytes of a record, a head or a block; the rest is zeros. */
static void fill(uint8_t *out, size_t room, const uint8_t *data, size_t len)
{
    memset(out, 0, room);
    memcpy(out, data, len < room ? len : room);
}

static void check_record(const uint8_t *data, size_t len)
{
    uint8_t in[POOL_RECORD_LEN], again[POOL_RECORD_LEN];
    struct pool_record r;
    struct entry e;

    fill(in, sizeof in, data, len);
    if (pool_record_decode(in, &r) == 0) {
        pool_record_encode(&r, again);
        MUST(memcmp(in, again, sizeof in) == 0);
    }
    memset(&r, 0, sizeof r);
    memcpy(r.key.b, in, ID_LEN); /* and once with the key that it should have */
    memcpy(r.id_rest, in + 16, sizeof r.id_rest);
    r.where = get_le64(in + 24);
    r.size = get_le64(in + 32);
    r.offset = get_le32(in + 40);
    r.flags = get_le32(in + 44);
    pool_record_entry(&r, &e);
    r.key = pool_key(&e);
    pool_record_encode(&r, in);
    if (pool_record_decode(in, &r) < 0)
        return;
    pool_record_entry(&r, &e);
    MUST(entry_is_sealed(&e) && e.where != 0 && (e.kind == ENTRY_PACK || e.offset == 0));
}

static void check_small(const uint8_t *data, size_t len)
{
    uint8_t in[POOL_MARK_LEN], again[POOL_MARK_LEN];
    struct pool_mark m;
    struct pool_indexed x;

    fill(in, sizeof in, data, len);
    if (pool_mark_decode(in, &m) == 0) {
        pool_mark_encode(&m, again);
        MUST(memcmp(in, again, POOL_MARK_LEN) == 0);
    }
    if (pool_indexed_decode(in, &x) == 0) {
        pool_indexed_encode(&x, again);
        MUST(memcmp(in, again, POOL_INDEXED_LEN) == 0);
    }
}

static void check_head(const uint8_t *data, size_t len)
{
    uint8_t in[POOL_HEAD_LEN], again[POOL_HEAD_LEN];
    struct pool_head h;

    fill(in, sizeof in, data, len);
    put_le64(in, id_checksum(in + 8, sizeof in - 8, NODE));
    if (pool_head_decode(in, sizeof in, NODE, &h) < 0)
        return;
    pool_head_encode(&h, again);
    MUST(memcmp(in, again, sizeof in) == 0);
    MUST(h.node == NODE && h.active <= UINT64_MAX - h.pinned);
    for (size_t n = 0; n < sizeof in; n++)
        MUST(pool_head_decode(in, n, NODE, &h) < 0);
}

static void check_body(const uint8_t *data, size_t len)
{
    enum pool_body_kind kind = 1 + (len ? data[0] % (POOL_BODY_KINDS - 1) : 0);
    uint8_t in[POOL_BLOCK], again[POOL_BLOCK];
    struct pool_body b;

    fill(in, sizeof in, data, len);
    put_le32(in + 16, kind);
    put_le64(in + 24, NODE);
    put_le64(in, id_checksum(in + 8, POOL_BLOCK - 8, kind));
    if (pool_body_decode(in, kind, NODE, &b) < 0)
        return;
    pool_body_encode(&b, again);
    MUST(memcmp(in, again, POOL_BLOCK) == 0);
    MUST(pool_body_size(&b) / POOL_BLOCK == 1 + pool_body_blocks(&b));
    MUST(pool_block_count(&b, pool_body_blocks(&b)) == 0);
    size_t n = pool_block_count(&b, 0);

    MUST(n <= pool_body_per_block(kind) && (n > 0) == (b.count > 0));
    uint64_t sum = pool_block_seal(in, &b, 0, n), read;

    MUST(pool_block_check(in, &b, 0, &read) == 0 && read == sum);
    MUST(pool_block_check(in, &b, 1, NULL) < 0);
}

/* A copy of exactly that length whose last line is the checksum of all before it. */
static char *summed(const uint8_t *data, size_t len, uint64_t seed, size_t *ret_len)
{
    char *text = malloc(len + SUM_LINE + 1);

    MUST(text);
    if (len)
        memcpy(text, data, len);
    snprintf(text + len, SUM_LINE + 1, "sum=%016" PRIx64 "\n", id_checksum(text, len, seed));
    *ret_len = len + SUM_LINE;
    return text;
}

static void check_texts(const uint8_t *data, size_t len)
{
    char again[POOL_TEXT_MAX];
    struct pool_identity i;
    struct store_text s;
    struct pool_who w;
    struct pool_term t;
    struct pool_home h;
    struct pool_floor f;
    size_t n;
    char *text = summed(data, len, 0, &n);

    if (pool_identity_decode(text, n, &i) == 0)
        MUST(pool_identity_encode(&i, again) == n && memcmp(again, text, n) == 0);
    if (store_text_decode(text, n, &s) == 0 && s.version == STORE_VERSION)
        MUST(store_text_encode(&s, again) == n && memcmp(again, text, n) == 0);
    if (pool_home_decode(text, n, &h) == 0)
        MUST(pool_home_encode(&h, again) == n && memcmp(again, text, n) == 0);
    if (pool_floor_decode(text, n, &f) == 0)
        MUST(pool_floor_encode(&f, again) == n && memcmp(again, text, n) == 0);
    free(text);
    text = summed(data, len, NODE, &n);
    if (pool_who_decode(text, n, NODE, &w) == 0)
        MUST(pool_who_encode(&w, again) == n && memcmp(again, text, n) == 0);
    if (pool_term_decode(text, n, NODE, &t) == 0)
        MUST(pool_term_encode(&t, again) == n && memcmp(again, text, n) == 0);
    MUST(pool_who_decode((const char *)data, len, NODE, &w) < 0 || len > SUM_LINE);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const checks[])(const uint8_t *, size_t) = {check_record, check_small, check_head,
                                                              check_body, check_texts};

    if (len > 0)
        checks[data[0] % 5](data + 1, len - 1);
    return 0;
}
