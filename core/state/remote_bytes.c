// SPDX-License-Identifier: Apache-2.0
/* remote_bytes: see the header. */
#include "remote_bytes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int remote_bytes_keep(struct remote_bytes *f, uint64_t number, const void *buf, size_t want,
                      size_t len, uint64_t off)
{
    struct remote_piece *v = realloc(f->v, (f->count + 1) * sizeof *v), *s;

    if (!v)
        return -ENOMEM;
    f->v = v;
    s = &v[f->count];
    s->data = malloc(len + 1);
    if (!s->data)
        return -ENOMEM;
    memcpy(s->data, buf, len);
    s->number = number;
    s->off = off;
    s->want = want;
    s->len = len;
    f->count++;
    return 0;
}

/* The piece that answers for these bytes; *ret_have: how many of them the object has. NULL: none
 * does. */
static const struct remote_piece *find_piece(const struct remote_bytes *f, uint64_t number,
                                             size_t len, uint64_t off, size_t *ret_have)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct remote_piece *s = &f->v[i];
        size_t have;
        if (s->number != number || off < s->off || off - s->off > s->len)
            continue;
        have = s->len - (size_t)(off - s->off);
        if (have < len && s->len == s->want)
            continue; /* the object has more bytes than were gathered */
        *ret_have = have < len ? have : len;
        return s;
    }
    return NULL;
}

ssize_t remote_bytes_get(const struct remote_bytes *f, uint64_t number, void *buf, size_t len,
                         uint64_t off)
{
    size_t have;
    const struct remote_piece *s = find_piece(f, number, len, off, &have);

    if (!s)
        return -ENOENT;
    memcpy(buf, s->data + (off - s->off), have);
    return (ssize_t)have;
}

bool remote_bytes_has(const struct remote_bytes *f, uint64_t number, size_t len, uint64_t off)
{
    size_t have;

    return find_piece(f, number, len, off, &have);
}

void remote_bytes_end(struct remote_bytes *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->v[i].data);
    free(f->v);
    remote_bytes_init(f);
}
