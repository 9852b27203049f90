// SPDX-License-Identifier: Apache-2.0
/* remote_bytes: see the header. */
#include "remote_bytes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int remote_bytes_keep(struct remote_bytes *f, uint64_t number, const void *buf, size_t want,
                      size_t len, uint64_t off)
{
    struct remote_piece *s = &f->v[f->count];

    if (!f->gathering)
        return 0;
    if (f->count == REMOTE_PIECES || !(s->data = malloc(len + 1)))
        return -ENOMEM;
    memcpy(s->data, buf, len);
    s->number = number;
    s->off = off;
    s->want = want;
    s->len = len;
    f->count++;
    return 0;
}

ssize_t remote_bytes_get(const struct remote_bytes *f, uint64_t number, void *buf, size_t len,
                         uint64_t off)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct remote_piece *s = &f->v[i];
        size_t at = (size_t)(off - s->off), have;
        if (s->number != number || off < s->off || off - s->off > s->len)
            continue;
        have = s->len - at;
        if (have < len && s->len == s->want)
            continue; /* the object has more bytes than were gathered */
        have = have < len ? have : len;
        memcpy(buf, s->data + at, have);
        return (ssize_t)have;
    }
    return -ENOENT;
}

void remote_bytes_end(struct remote_bytes *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->v[i].data);
    f->count = 0;
}
