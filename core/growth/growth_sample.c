// SPDX-License-Identifier: Apache-2.0
/* growth_sample: see the header. */
#include "growth_sample.h"

#include "bytes.h"
#include <errno.h>

void growth_sample_encode(const struct growth_sample *s, uint8_t out[GROWTH_SAMPLE_LEN])
{
    const uint64_t f[] = {s->inodes,     s->logical,   s->objects, s->stored,
                          s->namespaces, s->disk_free, s->seq};

    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        put_le64(out + i * 8, f[i]);
}

int growth_sample_decode(const void *val, size_t len, struct growth_sample *ret)
{
    const uint8_t *v = val;

    if (len < GROWTH_SAMPLE_LEN)
        return -EUCLEAN;
    ret->inodes = get_le64(v);
    ret->logical = get_le64(v + 8);
    ret->objects = get_le64(v + 16);
    ret->stored = get_le64(v + 24);
    ret->namespaces = get_le64(v + 32);
    ret->disk_free = get_le64(v + 40);
    ret->seq = get_le64(v + 48);
    return 0;
}

bool growth_is_kept(int64_t time, int64_t before, int64_t now)
{
    int64_t age = time > now ? 0 : now - time;
    int64_t every = age <= GROWTH_FINE ? GROWTH_EVERY : age <= GROWTH_HOURLY ? 3600 : 86400;

    return age <= GROWTH_DAILY && (before == 0 || time / every != before / every);
}
