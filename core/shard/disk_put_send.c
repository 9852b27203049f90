// SPDX-License-Identifier: Apache-2.0
/*
 * disk_put_send: puts the bytes of a file, in the three ways in which files of a pool come to their
 * names: if nothing has the name, in place of what has it, and once, where an earlier attempt may
 * have been done although its answer was lost.
 */
#include "disk_put_impl.h"

#include "io.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMPARED (1024 * 1024) /* bytes that are compared at once */

/* shard_source.read. */
static int read_bytes(void *ctx, void *buf, size_t len, uint64_t off)
{
    const struct put_bytes *b = ctx;
    ssize_t n = b->draft ? draft_read(b->draft, buf, len, off) : disk_pread(b->file, buf, len, off);

    return n < 0 ? (int)n : (size_t)n == len ? 0 : -EIO;
}

/* Has the shard these very bytes under that name? 1, 0 or -errno. */
static int is_same(struct shard *s, const char *name, struct put_bytes *b)
{
    CLEANUP_FREE uint8_t *buf = malloc((size_t)2 * COMPARED);
    uint64_t size;
    int err = buf ? shard_stat(s, name, &size) : -ENOMEM;

    if (err < 0)
        return err;
    for (uint64_t off = 0; size == b->size && off < size; off += COMPARED) {
        size_t len = size - off < COMPARED ? (size_t)(size - off) : COMPARED;
        ssize_t n;

        err = read_bytes(b, buf, len, off);
        if (err < 0)
            return err;
        n = shard_range(s, name, buf + COMPARED, len, off);
        if (n < 0)
            return (int)n;
        if ((size_t)n != len || memcmp(buf, buf + COMPARED, len) != 0)
            return 0;
    }
    return size == b->size;
}

/* Puts them under a name that only this writer uses. */
static int put_own(struct shard *s, const char *name, struct put_bytes *b)
{
    const struct shard_source source = {.read = read_bytes, .ctx = b, .size = b->size};

    return shard_put_stream(s, name, &source);
}

/* Puts all bytes by one request, with which shard_put or shard_put_if_absent is called. */
static int put_whole(struct shard *s, const char *name, struct put_bytes *b,
                     int (*put)(struct shard *s, const char *name, const void *data, size_t len))
{
    CLEANUP_FREE uint8_t *all = malloc(b->size ? (size_t)b->size : 1);
    int err = all ? read_bytes(b, all, (size_t)b->size, 0) : -ENOMEM;

    return err < 0 ? err : put(s, name, all, (size_t)b->size);
}

int put_bytes_first(struct shard *s, const char *name, struct put_bytes *b)
{
    return put_whole(s, name, b, shard_put_if_absent);
}

int put_bytes_once(struct shard *s, const char *name, struct put_bytes *b)
{
    int err = put_own(s, name, b), same;

    if (err != -EEXIST)
        return err;
    same = is_same(s, name, b);
    if (same == -ENOENT) /* it has gone since: nobody knows what is there */
        return -EHOSTUNREACH;
    return same == 1 ? 0 : same < 0 ? same : -EEXIST;
}

int put_bytes_over(struct shard *s, const char *name, struct put_bytes *b)
{
    int err;

    if (b->size <= SHARD_PACK_MAX)
        return put_whole(s, name, b, shard_put);
    err = put_own(s, name, b);
    if (err != -EEXIST)
        return err;
    err = shard_delete(s, name);
    return err < 0 && err != -ENOENT ? err : put_own(s, name, b);
}
