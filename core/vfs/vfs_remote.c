// SPDX-License-Identifier: Apache-2.0
/* vfs_remote: see the header. */
#include "vfs_remote.h"
#include "shards.h"
#include "vfs_file_impl.h"
#include <errno.h>

#define BLOCKS_KEPT 3 /* blocks whose old bytes a change needs at most */

/* The blocks of which a change keeps old bytes. */
struct kept {
    uint64_t at[BLOCKS_KEPT];
    unsigned count;
};

bool remote_bytes_wait(struct state *p, uint16_t shard)
{
    const _Atomic int64_t *duration_ns = &p->settings.value[SET_SHARD_WAIT];

    return *duration_ns > 0 && shards_wait(p->shards, shard, duration_ns, &p->closing) == 0;
}

/* file_fetch, and once more if an unreachable shard answers after a wait. */
static int fetch(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                 struct ahead *ahead, struct remote_bytes *remote)
{
    struct reader r = {.remote = remote};
    int err = file_fetch(p, v, off, len, ahead, &r);

    if (err == -EHOSTUNREACH && remote_bytes_wait(p, r.unreachable))
        err = file_fetch(p, v, off, len, ahead, &r);
    return err;
}

/* The first and the last block of the range: a block between them is overwritten completely, so its
 * old bytes are not needed. And the first block of a small file that a write behind it copies: such
 * a file has bytes in no other, since `pack_limit` is a block at most. */
static struct kept blocks_kept(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                               bool write)
{
    uint64_t first = block_start(off), last = block_start(off + len - 1);
    struct kept kept = {.at = {first}, .count = 1};

    if (last != first)
        kept.at[kept.count++] = last;
    if (write && first > 0 && file_is_copied(p, v, off))
        kept.at[kept.count++] = 0;
    return kept;
}

static bool may_be_remote(struct state *p, uint64_t len)
{
    return len > 0 && atomic_load_explicit(&p->has_ghosts, memory_order_relaxed);
}

int remote_bytes_begin(struct state *p, struct vnode *v, uint64_t off, uint64_t len, bool write,
                       struct remote_bytes *remote)
{
    struct kept kept;
    int err = 0;

    if (!may_be_remote(p, len))
        return 0;
    kept = blocks_kept(p, v, off, len, write);
    for (unsigned i = 0; i < kept.count && err == 0; i++)
        err = fetch(p, v, kept.at[i], EXTENT_BLOCK, NULL, remote);
    return err;
}

int remote_bytes_begin_all(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                           struct remote_bytes *remote)
{
    uint64_t first = block_start(off);

    if (!may_be_remote(p, len))
        return 0;
    return fetch(p, v, first, block_start(off + len - 1) + EXTENT_BLOCK - first, NULL, remote);
}

int remote_bytes_check(struct state *p, struct vnode *v, uint64_t off, uint64_t len, bool write,
                       const struct remote_bytes *remote)
{
    struct kept kept;

    if (!may_be_remote(p, len))
        return 0;
    kept = blocks_kept(p, v, off, len, write);
    for (unsigned i = 0; i < kept.count; i++)
        if (!file_is_fetched(p, v, kept.at[i], EXTENT_BLOCK, remote))
            return -EAGAIN;
    return 0;
}

bool remote_bytes_again(unsigned *turns, int *err)
{
    if (*err != -EAGAIN)
        return false;
    if (++*turns < REMOTE_TURNS)
        return true;
    *err = -EIO;
    return false;
}

bool remote_bytes_for_read(struct state *p, struct vnode *v, size_t len, uint64_t off,
                           struct ahead *ahead, struct remote_bytes *remote, unsigned *turns,
                           ssize_t *n)
{
    int err = *n < 0 ? (int)*n : 0;

    if (remote_bytes_again(turns, &err)) {
        err = fetch(p, v, off, len, ahead, remote);
        if (err == 0)
            return true;
    }
    if (err < 0)
        *n = err;
    return false;
}
