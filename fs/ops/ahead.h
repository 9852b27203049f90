// SPDX-License-Identifier: Apache-2.0
/*
 * ahead: may this request be served by a thread that must not wait? Asked before a request begins,
 * by a ring's thread, since other requests of its CPU come to nobody else, and by those that read
 * from the device, since they are few (serve.h).
 *
 *     if (ahead_begin(fs, msg, len))  serve it, ahead_end()
 *     else                            have another thread serve it
 *
 * Changes wait (vfs_ahead says for what), and what reads from another shard or has to seal; all
 * else is always served. `msg` is as the kernel sent it, before translate.h.
 */
#pragma once

#include "mount.h"

bool ahead_begin(struct fs *fs, const void *msg, size_t len);
void ahead_end(void);
