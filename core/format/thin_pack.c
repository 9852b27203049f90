// SPDX-License-Identifier: Apache-2.0
/* thin_pack: see the header. */
#include "thin_pack.h"

#include "bytes.h"
#include "id.h"
#include <errno.h>
#include <string.h>

#define MAGIC "TLYSTHIN"
#define VERSION 1u
#define PART 8u
#define SUM 16u /* of all before it */

size_t thin_head_len(uint32_t count)
{
    return THIN_PEEK + (size_t)count * PART + SUM;
}

bool thin_head_is_sound(struct thin_head *h)
{
    uint64_t end = 0, bytes = 0;

    if (h->count == 0 || h->count > THIN_PARTS)
        return false;
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->parts[i].len == 0 || h->parts[i].offset < end)
            return false;
        end = (uint64_t)h->parts[i].offset + h->parts[i].len;
        bytes += h->parts[i].len;
    }
    h->bytes = bytes;
    return end <= h->size;
}

bool thin_head_has(const struct thin_head *h, uint64_t offset, uint64_t len)
{
    uint32_t low = 0, high = h->count;

    while (low < high) { /* the last part that does not begin behind the offset is low - 1 */
        const uint32_t mid = low + (high - low) / 2;

        if (h->parts[mid].offset <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && h->parts[low - 1].len >= len &&
           offset - h->parts[low - 1].offset <= h->parts[low - 1].len - len;
}

static void put_sum(const uint8_t *head, size_t len, uint8_t *out)
{
    uint64_t sum[2];

    id_checksum_128(head, len, sum);
    put_le64(out, sum[0]);
    put_le64(out + 8, sum[1]);
}

void thin_head_encode(const struct thin_head *h, uint8_t *out)
{
    const size_t len = thin_head_len(h->count);

    memcpy(out, MAGIC, 8);
    put_le32(out + 8, VERSION);
    put_le32(out + 12, h->count);
    put_le32(out + 16, h->size);
    put_le32(out + 20, 0);
    for (uint32_t i = 0; i < h->count; i++) {
        put_le32(out + THIN_PEEK + i * PART, h->parts[i].offset);
        put_le32(out + THIN_PEEK + i * PART + 4, h->parts[i].len);
    }
    put_sum(out, len - SUM, out + len - SUM);
}

int thin_head_peek(const void *bytes, size_t len, size_t *ret_len)
{
    const uint8_t *p = bytes;
    uint32_t count;

    if (len < THIN_PEEK || memcmp(p, MAGIC, 8) != 0)
        return -EUCLEAN;
    if (get_le32(p + 8) != VERSION)
        return get_le32(p + 8) > VERSION ? -EPROTO : -EUCLEAN;
    count = get_le32(p + 12);
    if (count == 0 || count > THIN_PARTS)
        return -EUCLEAN;
    *ret_len = thin_head_len(count);
    return 0;
}

int thin_head_decode(const void *bytes, size_t len, struct thin_part *parts, struct thin_head *ret)
{
    const uint8_t *p = bytes;
    struct thin_head h = {.parts = parts};
    uint8_t sum[SUM];
    size_t need = 0;
    int err = thin_head_peek(bytes, len, &need);

    if (err < 0)
        return err;
    if (len != need)
        return -EUCLEAN;
    put_sum(p, len - SUM, sum);
    if (memcmp(sum, p + len - SUM, SUM) != 0 || get_le32(p + 20) != 0)
        return -EUCLEAN;
    h.count = get_le32(p + 12);
    h.size = get_le32(p + 16);
    for (uint32_t i = 0; i < h.count; i++)
        parts[i] = (struct thin_part){get_le32(p + THIN_PEEK + i * PART),
                                      get_le32(p + THIN_PEEK + i * PART + 4)};
    if (!thin_head_is_sound(&h))
        return -EUCLEAN;
    *ret = h;
    return 0;
}
