// SPDX-License-Identifier: Apache-2.0
/* vfs_far: see the header. */
#include "vfs_far.h"
#include "shards.h"
#include "vfs_file_impl.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Two grains, each with the base or an extent, and patches. */
static_assert(FAR_PIECES >= 2 * (2 + PATCHES_MAX), "a write keeps all that it gathers");

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

static int gather(struct state *p, struct vnode *v, uint64_t off, size_t len, struct reader *r)
{
    uint64_t first = grain_start(off), last = grain_start(off + len - 1);
    int err;

    r->far->gathering = true;
    err = gather_grain(p, v, first, r);
    if (err == 0 && last != first)
        err = gather_grain(p, v, last, r);
    r->far->gathering = false;
    return err;
}

bool far_wait(struct state *p, uint16_t shard)
{
    const _Atomic int64_t *ns = &p->settings.value[SET_SHARD_WAIT];

    return *ns > 0 && shards_wait(p->shards, shard, ns, &p->closing) == 0;
}

int far_begin(struct state *p, struct vnode *v, uint64_t off, size_t len, struct far *ret)
{
    struct reader r = {.far = ret};
    int err;

    if (len == 0 || !file_is_away(p, v, grain_start(off), len + EXTENT_GRAIN))
        return 0;
    err = gather(p, v, off, len, &r);
    if (err != -EHOSTUNREACH || !far_wait(p, r.away))
        return err;
    far_end(ret);
    return gather(p, v, off, len, &r);
}
