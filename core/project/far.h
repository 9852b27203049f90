// SPDX-License-Identifier: Apache-2.0
/*
 * far: bytes that a write keeps of what is on another shard, read before the write begins: nobody
 * waits for a shard with the gate held.
 *
 *     far_begin(p, v, off, len)      holding nothing; -EHOSTUNREACH, -EUCLEAN, ...: as reading would
 *     ... the change, whose content_read finds what was gathered
 *     far_end()
 *
 * Threads: what is gathered is the calling thread's own.
 */
#pragma once

#include "project_impl.h"

int far_begin(struct project *p, struct vnode *v, uint64_t off, size_t len);
void far_end(void); /* also where nothing began */
/* Of a read that said -EHOSTUNREACH: can that shard be asked now? Waits for shard_wait at most,
 * holding nothing. */
bool far_wait(struct project *p);

/* For content_read: what came from a shard; what was gathered of it, -ENOENT: nothing. */
void far_keep(uint64_t number, const void *buf, size_t want, size_t len, uint64_t off);
ssize_t far_get(uint64_t number, void *buf, size_t len, uint64_t off);
