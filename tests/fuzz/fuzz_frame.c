// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a frame, a segment's head or a payload has, it is refused, or written again it is
 * the same bytes; a payload is read to its end or refused on the way. Checksums are made right,
 * else nothing would pass them. Input: one byte (0 operations, 1 a frame, 2 a head), then its
 * bytes.
 */
#include "frame.h"

#include "fuzz.h"
#include "id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEED 5
#define PLACE 4096

/* A copy of exactly that length, so that reading beyond it is seen. */
static uint8_t *copy_of(const uint8_t *data, size_t len)
{
    uint8_t *copy = aligned_alloc(8, (len + 8) & ~(size_t)7);

    MUST(copy);
    if (len)
        memcpy(copy, data, len);
    return copy;
}

static void check_operations(const uint8_t *payload, size_t len)
{
    size_t at = 0, before = 0;
    struct op op;
    int r;

    while ((r = op_next(payload, len, &at, &op)) == 0) {
        uint8_t again[OP_HEAD_MAX];
        size_t head = op_encode(&op, again);

        MUST(op_kind_name(op.kind) && head <= OP_HEAD_MAX && at == before + head + op.len);
        MUST(memcmp(again, payload + before, head) == 0);
        MUST(op.len == 0 || op.data == payload + before + head);
        before = at;
    }
    MUST(r == -EUCLEAN || (r == -ENOENT && at == len));
    MUST(at == before);
}

/* The sum as frame_seal has it: of a frame that says it is as long as it is. */
static void make_sum_right(uint8_t *frame, size_t len)
{
    uint64_t seed = SEED + PLACE * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t sum = id_checksum(frame + 8, FRAME_HEAD - 8, seed);

    if (len > FRAME_HEAD)
        sum = id_checksum(frame + FRAME_HEAD, len - FRAME_HEAD, sum);
    put_le64(frame, sum);
}

static void check_frame(uint8_t *frame, size_t len)
{
    struct frame_head h;

    (void)frame_decode(frame, len, SEED, PLACE, &h);
    if (len < FRAME_HEAD)
        return;
    put_le32(frame + 8, (uint32_t)(len - FRAME_HEAD));
    make_sum_right(frame, len);
    if (frame_decode(frame, (len + 7) & ~(size_t)7, SEED, PLACE, &h))
        return;
    MUST(h.len == len - FRAME_HEAD && h.kind >= FRAME_CHANGE && h.kind < FRAME_KIND_END);
    uint8_t *again = aligned_alloc(8, frame_size(h.len));

    MUST(again);
    memcpy(again + FRAME_HEAD, frame + FRAME_HEAD, h.len);
    frame_seal(again, &h, SEED, PLACE);
    MUST(memcmp(again, frame, len) == 0);
    free(again);
}

static void check_head(const uint8_t *data, size_t len)
{
    uint8_t bytes[SEGMENT_HEAD] = {0}, again[SEGMENT_HEAD];
    struct segment_head h;

    memcpy(bytes, data, len < 88 ? len : 88);
    put_le64(bytes + 88, id_checksum(bytes, 88, 0));
    if (segment_head_decode(bytes, &h))
        return;
    segment_head_encode(&h, again);
    MUST(memcmp(again, bytes, 96) == 0 && memcmp(again + 2048, bytes, 96) == 0);
    (void)segment_seed(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *copy = copy_of(data + 1, len - 1);

    if (data[0] % 3 == 0)
        check_operations(copy, len - 1);
    else if (data[0] % 3 == 1)
        check_frame(copy, len - 1);
    else
        check_head(copy, len - 1);
    free(copy);
    return 0;
}
