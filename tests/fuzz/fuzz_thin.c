// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever the head of a thinned pack says, it is refused, or its parts are those of a pack, and
 * written again it is the same. Checksums are made right, else nothing would pass them.
 */
#include "thin_pack.h"

#include "bytes.h"
#include "fuzz.h"
#include "id.h"

#include <stdlib.h>
#include <string.h>

#define SUM 16u

static void look_at(const uint8_t *head, size_t len)
{
    struct thin_part *parts = calloc(len / 8 + 1, sizeof *parts);
    struct thin_head h;
    uint64_t end = 0;

    MUST(parts);
    if (thin_head_decode(head, len, parts, &h) == 0) {
        uint8_t *again = malloc(len);

        MUST(again && thin_head_len(h.count) == len && h.parts == parts);
        for (uint32_t i = 0; i < h.count; i++) {
            MUST(parts[i].len > 0 && parts[i].offset >= end);
            end = (uint64_t)parts[i].offset + parts[i].len;
        }
        MUST(end <= h.size);
        thin_head_encode(&h, again);
        MUST(memcmp(again, head, len) == 0);
        free(again);
    }
    free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *b = malloc(size + SUM);
    uint64_t sum[2];
    size_t len = 0;

    MUST(b);
    if (size)
        memcpy(b, data, size);
    look_at(b, size);
    id_checksum_128(b, size, sum);
    put_le64(b + size, sum[0]);
    put_le64(b + size + 8, sum[1]);
    if (thin_head_peek(b, size + SUM, &len) == 0)
        MUST(len >= thin_head_len(1) && len <= thin_head_len(THIN_PARTS));
    look_at(b, size + SUM);
    free(b);
    return 0;
}
