// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_remote: bytes that a write keeps of what is on another shard, read before the write begins:
 * nobody waits for a shard with the freeze lock held.
 *
 *     remote_bytes_begin(p, v, off, len, &r)  holding nothing; errors as reading has them
 *     ... the change, with it as its `remote`: content_read finds what was gathered (remote_bytes.h)
 *     remote_bytes_end(&r)
 */
#pragma once

#include "remote_bytes.h"
#include "state.h"

int remote_bytes_begin(struct state *p, struct vnode *v, uint64_t off, size_t len,
                       struct remote_bytes *ret);
/* After a read failed with -EHOSTUNREACH: wait until that shard can be asked, for shard_wait at
 * most. True if it can. The caller holds no lock. */
bool remote_bytes_wait(struct state *p, uint16_t shard);
