// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_remote: bytes on another shard that a change needs: those that a write keeps, because it
 * changes only a part of their grain, and those at the edges of a hole. They are read before the
 * change begins, so that nobody waits for a shard with the freeze lock held.
 *
 *     remote_bytes_init(&r)
 *     remote_bytes_begin(p, v, off, len, &r)   the caller holds no lock; errors are those of a read
 *     ... the change, with &r as its `remote`; content_read takes the gathered bytes from there
 *     remote_bytes_end(&r)
 *
 * Threads: any.
 */
#pragma once

#include "remote_bytes.h"
#include "state.h"

/* Gather the old bytes of the grains at both ends of [off, off+len), if a part of them is on
 * another shard; otherwise nothing is gathered. If the shard cannot be asked now, wait once for
 * it. -EHOSTUNREACH: it still cannot be asked. -ENOMEM, -EIO. The caller calls remote_bytes_end in
 * any case. */
int remote_bytes_begin(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                       struct remote_bytes *ret);
/* After a read failed with -EHOSTUNREACH: wait until that shard can be asked, for shard_wait at
 * most. True if it can. The caller holds no lock. */
bool remote_bytes_wait(struct state *p, uint16_t shard);
