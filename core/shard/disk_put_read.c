// SPDX-License-Identifier: Apache-2.0
/*
 * disk_put_read: reading a file that was put. A request costs milliseconds whatever it asks for, so
 * each asks for more than is wanted: DISK_PUT_AHEAD bytes at first, and twice as many each time
 * that a read goes on where the bytes known so far end, up to AHEAD_MAX. Those bytes are kept as
 * the window of the file, until others replace them.
 */
#include "disk_put_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD_MAX (512 * 1024) /* bytes */

/* ---- the window ---- */

/* Copies bytes that the window has, and returns how many: 0 also at the end of the file. *ret_all:
 * there are no more of those that were asked for. Needs the lock. */
static size_t take(const struct put_view *v, void *buf, size_t len, uint64_t off, bool *ret_all)
{
    uint64_t end = v->at + v->len;
    size_t n = 0;

    mutex_held(&v->lock);
    if (off >= v->at && off < end) {
        n = end - off < len ? (size_t)(end - off) : len;
        memcpy(buf, v->window + (off - v->at), n);
    }
    *ret_all = n == len || (v->sized && off + n >= v->size);
    return n;
}

/* How many bytes a request for `len` bytes at `off` asks for. Needs the lock. */
static size_t widen(struct put_view *v, size_t len, uint64_t off)
{
    mutex_held(&v->lock);
    if (v->len && off == v->at + v->len)
        v->ahead = v->ahead < AHEAD_MAX / 2 ? 2 * v->ahead : AHEAD_MAX;
    else
        v->ahead = DISK_PUT_AHEAD;
    return len > v->ahead ? len : v->ahead;
}

/* Makes the bytes that were read the window: `n` of `asked` at `off`. It takes `bytes` over. A file
 * has its end where a range is short. */
static void keep(struct put_view *v, uint8_t *bytes, size_t n, size_t asked, uint64_t off)
{
    mutex_held(&v->lock);
    v->found = true;
    if (n < asked && (n > 0 || off == 0)) {
        v->size = off + n;
        v->sized = true;
    }
    free(v->window);
    v->window = bytes;
    v->at = off;
    v->len = n;
}

/* ---- asking ---- */

/* A name that was there and is not any more has lost its file: -ESTALE. */
static int meaning(struct put_view *v, int err)
{
    if (err != -ENOENT)
        return err;
    MUTEX_GUARD(&v->lock);
    return v->found ? -ESTALE : -ENOENT;
}

/* Asks for bytes, and returns how many of `len` it copied to `buf`. */
static ssize_t ask(struct put_view *v, void *buf, size_t len, uint64_t off)
{
    uint8_t *bytes;
    size_t asked;
    ssize_t n;

    {
        MUTEX_GUARD(&v->lock);
        asked = widen(v, len, off);
    }
    bytes = malloc(asked);
    if (!bytes)
        return -ENOMEM;
    n = shard_range(v->shard, v->name, bytes, asked, off);
    if (n < 0) {
        free(bytes);
        return meaning(v, (int)n);
    }
    size_t got = (size_t)n < len ? (size_t)n : len;

    if (got)
        memcpy(buf, bytes, got);
    MUTEX_GUARD(&v->lock);
    keep(v, bytes, (size_t)n, asked, off);
    return (ssize_t)got;
}

ssize_t put_view_read(struct put_view *v, void *buf, size_t len, uint64_t off)
{
    bool all;
    size_t n;
    ssize_t more;

    {
        MUTEX_GUARD(&v->lock);
        n = take(v, buf, len, off, &all);
    }
    if (all)
        return (ssize_t)n;
    more = ask(v, (uint8_t *)buf + n, len - n, off + n);
    return more < 0 ? more : (ssize_t)n + more;
}

int put_view_size(struct put_view *v, uint64_t *ret_size)
{
    uint64_t size;
    int err;

    {
        MUTEX_GUARD(&v->lock);
        if (v->sized) {
            *ret_size = v->size;
            return 0;
        }
    }
    err = meaning(v, shard_stat(v->shard, v->name, &size));
    if (err < 0)
        return err;
    MUTEX_GUARD(&v->lock);
    v->found = v->sized = true;
    v->size = size;
    *ret_size = size;
    return 0;
}

/* ---- opening ---- */

int put_view_open(struct shard *shard, const char *name, bool later, struct put_view **ret_view)
{
    struct put_view *v = calloc(1, sizeof *v);
    uint8_t first;
    ssize_t n;

    if (!v)
        return -ENOMEM;
    v->shard = shard;
    memcpy(v->name, name, strlen(name) + 1);
    mutex_init(&v->lock, "put file");
    n = later ? 0 : ask(v, &first, 1, 0);
    if (n < 0) {
        put_view_close(v);
        return (int)n;
    }
    *ret_view = v;
    return 0;
}

void put_view_close(struct put_view *v)
{
    free(v->window);
    mutex_destroy(&v->lock);
    free(v);
}
