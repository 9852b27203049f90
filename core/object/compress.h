// SPDX-License-Identifier: Apache-2.0
/*
 * compress: contents of records as frames of zstd (FORMAT.md, "Packs").
 *
 * Each thread has a context of its own from its first use until it ends: for reading about 160 KiB
 * and the longest payload that it read, for compressing 1 to 3 MiB, by the level.
 *
 * Errors: 0 or -errno: -ENOMEM. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum compress_how {
    COMPRESS_NOT,   /* it is stored as it is, and nothing is said of it */
    COMPRESS_NEVER, /* likewise, and it stays so */
    COMPRESS_LATER, /* likewise, and it is to be compressed once the store is idle */
    COMPRESS_WRITE, /* now, at a level that does not hold up writers */
    COMPRESS_REST,  /* now, at a level for those that have time */
};

/* Compresses `len` bytes. *ret_len is 0 if that does not make them shorter by an eighth; else
 * *ret_bytes is one frame, which says how long the content is. It is good until the next call of
 * this thread here, or for compress_scratch. -ENOMEM: nothing is known of the bytes. */
int compress_bytes(const void *data, uint32_t len, enum compress_how how, const void **ret_bytes,
                   uint32_t *ret_len);
/* Makes the content of exactly `size` bytes of a frame. -EUCLEAN: it is not just one frame of so
 * many. */
int compress_expand(const void *frame, uint32_t len, void *buf, uint32_t size);
/* A buffer of `len` bytes for one use of this thread. NULL: there is no memory. */
void *compress_scratch(size_t len);
