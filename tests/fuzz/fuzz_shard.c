// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever a shard or the table of shards says, it is refused, or written again it is the same.
 * Checksums are made right, else nothing would pass them. Input: one byte (what it is), then its
 * bytes.
 */
#include "shard_format.h"

#include "bytes.h"
#include "fuzz.h"
#include "id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER 513
#define SUM_LINE 21 /* "sum=0123456789abcdef\n" */

/* A copy of exactly that length behind a sum, or before one. */
static uint8_t *with_sum(const uint8_t *data, size_t len, uint64_t seed)
{
    uint8_t *b = calloc(1, 8 + len);

    MUST(b);
    if (len)
        memcpy(b + 8, data, len);
    put_le64(b, id_checksum(b + 8, len, seed));
    return b;
}

static void check_record(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, NUMBER), again[SHARD_RECORD_MAX];
    struct shard_record r;

    if (shard_record_decode(b, 8 + len, NUMBER, &r) == 0) {
        MUST(shard_record_encode(&r, NUMBER, again) == 8 + len);
        MUST(memcmp(b, again, 8 + len) == 0);
        MUST(strlen(r.url) > 0 && strlen(r.url) <= SHARD_RECORD_URL);
    }
    free(b);
}

static void check_floor(const uint8_t *data, size_t len)
{
    uint8_t *b = with_sum(data, len, 0), again[SHARD_FLOOR_LEN];
    uint32_t incarnation;

    if (shard_floor_decode(b, 8 + len, &incarnation) == 0) {
        shard_floor_encode(incarnation, again);
        MUST(8 + len == SHARD_FLOOR_LEN && memcmp(b, again, SHARD_FLOOR_LEN) == 0);
    }
    free(b);
}

static void check_texts(const uint8_t *data, size_t len)
{
    char again[SHARD_TEXT_MAX], *text = malloc(len + SUM_LINE + 1);
    size_t n = len + SUM_LINE;
    struct shard_identity i;
    uint8_t token[SHARD_TOKEN_LEN];

    MUST(text);
    if (len)
        memcpy(text, data, len);
    snprintf(text + len, SUM_LINE + 1, "sum=%016" PRIx64 "\n", id_checksum(text, len, 0));
    if (shard_identity_decode(text, n, &i) == 0) {
        MUST(i.number > 0);
        MUST(shard_identity_encode(&i, again) == n && memcmp(again, text, n) == 0);
    }
    if (shard_token_decode(text, n, token) == 0)
        MUST(shard_token_encode(token, again) == n && memcmp(again, text, n) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const checks[])(const uint8_t *, size_t) = {check_record, check_floor,
                                                              check_texts};

    if (len > 0)
        checks[data[0] % 3](data + 1, len - 1);
    return 0;
}
