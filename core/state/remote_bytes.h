// SPDX-License-Identifier: Apache-2.0
/*
 * remote_bytes: bytes of objects on other shards, gathered before the locks are taken under which
 * they are needed. content_read gives remote_bytes_keep a copy of what came from another shard.
 * What is asked for again before remote_bytes_end is found there. Objects do not change, so what
 * was gathered stays right. A reader under the locks is `near`: it asks no shard for other bytes.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct remote_bytes {
    size_t count;
    struct remote_piece {
        uint64_t number, off;
        size_t want, len; /* len < want: the object ends there */
        uint8_t *data;
    } * v; /* `count` pieces; NULL: none */
};
static inline void remote_bytes_init(struct remote_bytes *f)
{
    f->count = 0;
    f->v = NULL;
}
/* Keeps a piece: `want` bytes were asked for at `off`, and `len` came; fewer mean the end of the
 * object. -ENOMEM. */
int remote_bytes_keep(struct remote_bytes *f, uint64_t number, const void *buf, size_t want,
                      size_t len, uint64_t off);
/* Copies what was gathered of it, and returns how many bytes. -ENOENT: nothing was gathered. */
ssize_t remote_bytes_get(const struct remote_bytes *f, uint64_t number, void *buf, size_t len,
                         uint64_t off);
/* Would remote_bytes_get find all of these bytes? */
bool remote_bytes_has(const struct remote_bytes *f, uint64_t number, size_t len, uint64_t off);
/* Forgets all of it; also fine if nothing was gathered. */
void remote_bytes_end(
    struct remote_bytes *f);
