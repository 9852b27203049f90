// SPDX-License-Identifier: Apache-2.0
/*
 * far: see far.h. While a thread gathers, content_read gives it a copy of what came from another
 * shard; what is asked for again, before far_end, is found there. Objects do not change, so what
 * was gathered is right, and what was not is read where it is.
 */
#include "far.h"
#include "shards.h"
#include "vfs_file_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two grains, each with the base or an extent, and patches. */
#define PIECES (2 * (2 + PATCHES_MAX))

static _Thread_local struct {
    bool gathering;
    size_t count;
    struct piece {
        uint64_t number, off;
        size_t want, len; /* less came than was wanted: it ends there */
        uint8_t *data;
    } v[PIECES];
} far;

void far_keep(uint64_t number, const void *buf, size_t want, size_t len, uint64_t off)
{
    struct piece *s = &far.v[far.count];

    if (!far.gathering || far.count == PIECES || !(s->data = malloc(len + 1)))
        return;
    memcpy(s->data, buf, len);
    s->number = number;
    s->off = off;
    s->want = want;
    s->len = len;
    far.count++;
}

ssize_t far_get(uint64_t number, void *buf, size_t len, uint64_t off)
{
    for (size_t i = 0; i < far.count; i++) {
        const struct piece *s = &far.v[i];
        size_t at = (size_t)(off - s->off), have;
        if (s->number != number || off < s->off || off - s->off > s->len)
            continue;
        have = s->len - at;
        if (have < len && s->len == s->want)
            continue; /* there is more */
        have = have < len ? have : len;
        memcpy(buf, s->data + at, have);
        return (ssize_t)have;
    }
    return -ENOENT;
}

static int gather_grain(struct project *p, struct vnode *v, uint64_t at)
{
    uint8_t *buf = malloc(EXTENT_GRAIN);
    ssize_t n;

    if (!buf)
        return -ENOMEM;
    {
        READ_GUARD(&v->io);
        n = file_read(p, v, buf, EXTENT_GRAIN, at);
    }
    free(buf);
    return n < 0 ? (int)n : 0;
}

static int gather(struct project *p, struct vnode *v, uint64_t off, size_t len)
{
    uint64_t first = grain_start(off), last = grain_start(off + len - 1);
    int err;

    far.gathering = true;
    err = gather_grain(p, v, first);
    if (err == 0 && last != first)
        err = gather_grain(p, v, last);
    far.gathering = false;
    return err;
}

bool far_wait(struct project *p)
{
    const _Atomic int64_t *ns = &p->settings.value[SET_SHARD_WAIT];

    return *ns > 0 && shards_wait(p->shards, content_away(), ns, &p->closing) == 0;
}

int far_begin(struct project *p, struct vnode *v, uint64_t off, size_t len)
{
    int err;

    if (len == 0 || !file_is_away(p, v, grain_start(off), len + EXTENT_GRAIN))
        return 0;
    err = gather(p, v, off, len);
    if (err != -EHOSTUNREACH || !far_wait(p))
        return err;
    far_end();
    return gather(p, v, off, len);
}

void far_end(void)
{
    for (size_t i = 0; i < far.count; i++)
        free(far.v[i].data);
    far.count = 0;
}
