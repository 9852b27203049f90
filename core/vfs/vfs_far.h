// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_far: bytes that a write keeps of what is on another shard, read before the write begins:
 * nobody waits for a shard with the gate held.
 *
 *     far_begin(p, v, off, len, &f)  holding nothing; -EHOSTUNREACH, -EUCLEAN: as reading would
 *     ... the change, with it as its `far`: content_read finds what was gathered (far.h)
 *     far_end(&f)
 */
#pragma once

#include "far.h"
#include "state.h"

int far_begin(struct state *p, struct vnode *v, uint64_t off, size_t len, struct far *ret);
/* A read said -EHOSTUNREACH: can that shard be asked now? Waits for shard_wait at most, holding
 * nothing. */
bool far_wait(struct state *p, uint16_t shard);
