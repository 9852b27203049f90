// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_remote: bytes on another shard that a change needs: those that a write keeps, because it
 * changes only a part of their block, and those at the edges of a hole. They are gathered before
 * the change begins, so that nobody waits for a shard with the freeze lock held, or with v->io, for
 * which changes wait.
 *
 *     remote_bytes_init(&r)
 *     do {
 *         err = remote_bytes_begin(p, v, off, len, true, &r)        the caller holds no lock
 *         ... the change, with &r as its `remote`; -EAGAIN if it needs bytes that &r lacks
 *     } while (remote_bytes_again(&turns, &err));
 *     remote_bytes_end(&r)
 *
 * Threads: any.
 */
#pragma once

#include "remote_bytes.h"
#include "state.h"
#include "vfs_ahead.h"

#define REMOTE_TURNS 8 /* times that a call begins anew because bytes that it needs have moved */

/* Gather what `remote` lacks of the old bytes of the blocks at both ends of [off, off+len) that are
 * on other shards. `write`: for a write of this range, also those of a small file that the write
 * copies as a whole. If the shard cannot be asked now, wait once for it. -EHOSTUNREACH: it still
 * cannot be asked. -ENOMEM; -EWOULDWAIT (nowait.h); other errors are those of a read. The caller
 * holds no lock, and calls remote_bytes_end in any case. */
int remote_bytes_begin(struct state *p, struct vnode *v, uint64_t off, uint64_t len, bool write,
                       struct remote_bytes *remote);
/* The same of all blocks of [off, off+len): for a write that leaves out parts of the range, and so
 * may keep bytes of any of these blocks. */
int remote_bytes_begin_all(struct state *p, struct vnode *v, uint64_t off, uint64_t len,
                           struct remote_bytes *remote);
/* Does `remote` have all that remote_bytes_begin would gather now? -EAGAIN: it does not. A change
 * that has more than one step asks before the first. The caller holds v->io. */
int remote_bytes_check(struct state *p, struct vnode *v, uint64_t off, uint64_t len, bool write,
                       const struct remote_bytes *remote);
/* Does the caller gather again, and begin its change anew? So it does after -EAGAIN: bytes that the
 * change needs have moved to another shard since they were looked for. *turns counts, and begins as
 * 0. After REMOTE_TURNS turns *err becomes -EIO, and the result is false. */
bool remote_bytes_again(unsigned *turns, int *err);
/* After a file_read that returned *n: if that is -EAGAIN, gather what it lacked. True: the caller
 * reads again. Otherwise *n is the result of the read; -EHOSTUNREACH as above. The caller holds no
 * lock. `ahead` as of file_fetch. */
bool remote_bytes_for_read(struct state *p, struct vnode *v, size_t len, uint64_t off,
                           struct ahead *ahead, struct remote_bytes *remote, unsigned *turns,
                           ssize_t *n);
/* After a read failed with -EHOSTUNREACH: wait until that shard can be asked, for shard_wait at
 * most. True if it can. The caller holds no lock. */
bool remote_bytes_wait(struct state *p, uint16_t shard);
