// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a stream of an image has, each record is refused, or written again it is the same
 * bytes. Sums are made right, else nothing would pass them. Input: one byte (0: the stream as it
 * is; else: records), then for each record its type 1, its length 2 and its payload.
 */
#include "image.h"

#include "bytes.h"
#include "fuzz.h"
#include "id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 16

static void check_raw(const uint8_t *data, size_t len)
{
    struct image_stream s = {.sum = 1};
    struct image_record r;
    size_t used, at = IMAGE_HEAD;

    if (image_open(&s, data, len) < 0)
        return;
    while (image_next(&s, data + at, len - at, &used, &r) == 0) {
        MUST(used > 0 && used <= len - at);
        at += used;
    }
}

/* The bytes of a payload before those that are summed apart. */
static size_t before_data(unsigned type, const uint8_t *payload, size_t len)
{
    size_t n = type == IMAGE_CONTENT             ? 32
               : type == IMAGE_INODE             ? 48
               : type == IMAGE_XATTR && len >= 9 ? 9 + (size_t)payload[8]
               : type == IMAGE_PATCH             ? 16
               : type == IMAGE_BASE              ? SHA256_LEN
                                                 : len;

    return n < len ? n : len;
}

/* A record of that payload, with the sum that fits behind `sum`, in memory of just its length. */
static uint8_t *seal(unsigned type, const uint8_t *payload, size_t len, uint64_t sum)
{
    uint8_t *record = malloc(HEAD + len);
    size_t before = before_data(type, payload, len);

    MUST(record);
    put_le32(record, (uint32_t)len);
    put_le32(record + 4, type);
    if (len)
        memcpy(record + HEAD, payload, len);
    sum = id_checksum(record + HEAD, before, id_checksum(record, 8, sum));
    if (len > before)
        sum = id_checksum(record + HEAD + before, len - before, sum);
    put_le64(record + 8, sum);
    return record;
}

/* False: the record is refused, and the stream is as it was. */
static bool check_record(struct image_stream *s, const uint8_t *record, size_t len)
{
    const struct image_stream was = *s;
    struct image_stream twin = *s;
    uint8_t again[IMAGE_FIXED_MAX];
    struct image_record r;
    size_t used, n;

    MUST(len == 0 || was.ended || image_next(s, record, len - 1, &used, &r) < 0);
    if (image_next(s, record, len, &used, &r) < 0) {
        MUST(memcmp(s, &was, sizeof was) == 0);
        return false;
    }
    n = image_put(&twin, &r, again);
    MUST(used == len && n + r.len == len && memcmp(again, record, n) == 0);
    MUST(twin.sum == s->sum && twin.records == s->records && twin.inodes == s->inodes);
    MUST(twin.found == s->found && twin.sent == s->sent && twin.digested == s->digested);
    return true;
}

static void check_records(const uint8_t *data, size_t len)
{
    uint8_t head[IMAGE_HEAD], *record;
    struct image_stream s, t;
    bool taken = true;

    image_begin(&s, head);
    MUST(image_open(&t, head, sizeof head) == 0 && t.sum == s.sum);
    while (taken && len >= 3) {
        size_t n = get_le16(data + 1);

        n = n < len - 3 ? n : len - 3;
        record = seal(data[0], data + 3, n, t.sum);
        taken = check_record(&t, record, HEAD + n);
        free(record);
        data += 3 + n;
        len -= 3 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    MUST(copy);
    if (len > 0) {
        memcpy(copy, data + 1, len - 1);
        (data[0] ? check_records : check_raw)(copy, len - 1);
    }
    free(copy);
    return 0;
}
