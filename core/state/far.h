// SPDX-License-Identifier: Apache-2.0
/*
 * far: bytes of objects on other shards, gathered before a change that needs them. While it gathers,
 * content_read gives far_keep a copy of what came from another shard; what is asked for again,
 * before far_end, is found there. Objects do not change, so what was gathered is right, and what
 * was not is read where it is.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FAR_PIECES 64 /* more are not kept */

struct far {
    bool gathering;
    size_t count;
    struct far_piece {
        uint64_t number, off;
        size_t want, len; /* less came than was wanted: it ends there */
        uint8_t *data;
    } v[FAR_PIECES];
};
static inline void far_init(struct far *f)
{
    f->gathering = false;
    f->count = 0;
}
/* `want` bytes were asked for at `off`, and `len` came: less is the end of the object. Without
 * memory, or while nothing is gathered, nothing is kept. */
void far_keep(struct far *f, uint64_t number, const void *buf, size_t want, size_t len,
              uint64_t off);
/* What was gathered of it; -ENOENT: nothing. */
ssize_t far_get(const struct far *f, uint64_t number, void *buf, size_t len, uint64_t off);
void far_end(struct far *f); /* all of it is forgotten; also where nothing was gathered */
