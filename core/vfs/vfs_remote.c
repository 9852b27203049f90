// SPDX-License-Identifier: Apache-2.0
/* vfs_remote: see the header. */
#include "vfs_remote.h"
#include "shards.h"
#include "vfs_file_impl.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A write needs old bytes of two grains at most. Each reads the base or an extent, and patches. */
static_assert(REMOTE_PIECES >= 2 * (2 + PATCHES_MAX), "a write keeps all that it gathers");

/* Read one grain of the file, so that the reader keeps in r->remote what comes from another shard.
 * The bytes in `buf` themselves are not used. */
static int gather_grain(struct state *p, struct vnode *v, uint64_t at, struct reader *r)
{
    uint8_t *buf = malloc(EXTENT_GRAIN);
    ssize_t n;

    if (!buf)
        return -ENOMEM;
    {
        READ_GUARD(&v->io);
        n = file_read(p, v, buf, EXTENT_GRAIN, at, r);
    }
    free(buf);
    return n < 0 ? (int)n : 0;
}

/* Gather the first and the last grain of the range. A grain between them is overwritten
 * completely, so its old bytes are not needed. */
static int gather_bytes(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                        struct reader *r)
{
    uint64_t first = grain_start(off), last = grain_start(off + len - 1);
    int err;

    r->remote->gathering = true;
    err = gather_grain(p, v, first, r);
    if (err == 0 && last != first)
        err = gather_grain(p, v, last, r);
    r->remote->gathering = false;
    return err;
}

bool remote_bytes_wait(struct state *p, uint16_t shard)
{
    const _Atomic int64_t *duration_ns = &p->settings.value[SET_SHARD_WAIT];

    return *duration_ns > 0 && shards_wait(p->shards, shard, duration_ns, &p->closing) == 0;
}

/* Is a part of the first or the last grain of the range on another shard? Of no other a change
 * keeps bytes. */
static bool needs_remote(struct state *p, struct vnode *v, uint64_t off, uint64_t len)
{
    uint64_t first = grain_start(off), last = grain_start(off + len - 1);

    return file_is_unreachable(p, v, first, EXTENT_GRAIN) ||
           (last != first && file_is_unreachable(p, v, last, EXTENT_GRAIN));
}

int remote_bytes_begin(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                       struct remote_bytes *ret)
{
    struct reader r = {.remote = ret};
    int err;

    if (len == 0 || !needs_remote(p, v, off, len))
        return 0;
    err = gather_bytes(p, v, off, len, &r);
    if (err != -EHOSTUNREACH || !remote_bytes_wait(p, r.unreachable))
        return err;
    remote_bytes_end(ret);
    return gather_bytes(p, v, off, len, &r);
}
