// SPDX-License-Identifier: Apache-2.0
/* shard_thin: see the header. */
#include "shard_thin.h"

#include "shard_impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_READ ((size_t)32 << 10) /* most heads are no longer */

/* The head of "thin/X". */
struct thin {
    struct thin_head head;
    struct thin_part *parts; /* owned */
    size_t len;              /* of the head */
    void *first;             /* what was read with it, owned */
    size_t first_len;
};

bool shard_thin_name(const char *name, char out[DISK_NAME_MAX + 1])
{
    const size_t len = strlen(SHARD_PACK_DIR "/");

    if (strncmp(name, SHARD_PACK_DIR "/", len) != 0 || strlen(name) > DISK_NAME_MAX)
        return false;
    snprintf(out, DISK_NAME_MAX + 1, SHARD_THIN_DIR "/%.*s", DISK_NAME_MAX - 8, name + len);
    return true;
}

/* ---- reading ---- */

static void release(struct thin *t)
{
    free(t->parts);
    free(t->first);
    *t = (struct thin){.len = 0};
}

/* Reads `len` bytes from the front, in the place of what was read so far. */
static int read_front(struct shard *s, const char *thin, size_t len, struct thin *t)
{
    void *data = NULL;
    ssize_t n = shard_range_alloc(s, thin, len, 0, &data);

    if (n < 0)
        return (int)n;
    free(t->first);
    t->first = data;
    t->first_len = (size_t)n;
    return 0;
}

static int read_head(struct shard *s, const char *thin, struct thin *t)
{
    int err = read_front(s, thin, FIRST_READ, t);

    if (err == 0)
        err = thin_head_peek(t->first, t->first_len, &t->len);
    if (err == 0 && t->first_len < t->len)
        err = read_front(s, thin, t->len, t);
    if (err == 0 && t->first_len < t->len)
        err = -EUCLEAN;
    if (err < 0)
        return err;
    t->parts = calloc(t->len / sizeof *t->parts, sizeof *t->parts);
    return t->parts ? thin_head_decode(t->first, t->len, t->parts, &t->head) : -ENOMEM;
}

/* After an error nothing is to be released. -ENOENT: there is no such file. */
static int open_thin(struct shard *s, const char *thin, struct thin *ret)
{
    struct thin t = {.len = 0};
    int err = read_head(s, thin, &t);

    if (err < 0)
        release(&t);
    else
        *ret = t;
    return err;
}

/* Reads bytes of the parts, which lie one behind the other. */
static int read_bytes(struct shard *s, const char *thin, const struct thin *t, uint8_t *buf,
                      size_t len, uint64_t at)
{
    const uint64_t off = t->len + at;
    ssize_t n;

    if (len == 0)
        return 0;
    if (off + len <= t->first_len) {
        memcpy(buf, (const uint8_t *)t->first + off, len);
        return 0;
    }
    n = shard_range(s, thin, buf, len, off);
    return n < 0 ? (int)n : (size_t)n == len ? 0 : -EUCLEAN;
}

/* What a range of the pack has of its parts: bytes that lie side by side in the file. */
struct touched {
    uint32_t first, end; /* the parts' indices */
    uint64_t at;         /* where these bytes begin among those of all parts */
    size_t len;
};

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The bytes that a part has of the range off … end. It touches it. */
static size_t overlap(const struct thin_part *part, uint64_t off, uint64_t end, uint64_t *ret_from)
{
    *ret_from = part->offset > off ? part->offset : off;
    return (size_t)(lower((uint64_t)part->offset + part->len, end) - *ret_from);
}

static struct touched find_touched(const struct thin *t, uint64_t off, uint64_t end)
{
    struct touched r = {.first = 0};
    uint64_t from;

    while (r.first < t->head.count &&
           (uint64_t)t->parts[r.first].offset + t->parts[r.first].len <= off)
        r.at += t->parts[r.first++].len;
    if (r.first < t->head.count && t->parts[r.first].offset < off)
        r.at += off - t->parts[r.first].offset;
    for (r.end = r.first; r.end < t->head.count && t->parts[r.end].offset < end; r.end++)
        r.len += overlap(&t->parts[r.end], off, end, &from);
    return r;
}

/* Puts the bytes to their places in the range. */
static void lay(const struct thin *t, const struct touched *r, const uint8_t *bytes, uint8_t *buf,
                uint64_t off, uint64_t end)
{
    for (uint32_t i = r->first; i < r->end; i++) {
        uint64_t from;
        const size_t len = overlap(&t->parts[i], off, end, &from);

        memcpy(buf + (from - off), bytes, len);
        bytes += len;
    }
}

static ssize_t range_of(struct shard *s, const char *thin, const struct thin *t, uint8_t *buf,
                        size_t len, uint64_t off)
{
    struct touched r;
    uint8_t *bytes;
    uint64_t end;
    int err;

    if (off >= t->head.size)
        return 0;
    end = off + lower(len, t->head.size - off);
    memset(buf, 0, (size_t)(end - off));
    r = find_touched(t, off, end);
    bytes = malloc(r.len + 1);
    err = bytes ? read_bytes(s, thin, t, bytes, r.len, r.at) : -ENOMEM;
    if (err == 0)
        lay(t, &r, bytes, buf, off, end);
    free(bytes);
    return err < 0 ? err : (ssize_t)(end - off);
}

ssize_t thin_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off)
{
    char thin[DISK_NAME_MAX + 1];
    struct thin t;
    ssize_t n;

    if (!shard_thin_name(name, thin))
        return -ENOENT;
    n = open_thin(s, thin, &t);
    if (n < 0)
        return n;
    n = range_of(s, thin, &t, buf, len, off);
    release(&t);
    return n;
}

ssize_t thin_range_alloc(struct shard *s, const char *name, size_t len, uint64_t off,
                         void **ret_data)
{
    char thin[DISK_NAME_MAX + 1];
    struct thin t;
    void *data;
    ssize_t n = shard_thin_name(name, thin) ? open_thin(s, thin, &t) : -ENOENT;

    if (n < 0)
        return n;
    len = len < t.head.size ? len : (size_t)t.head.size;
    data = malloc(len + 1);
    n = data ? range_of(s, thin, &t, data, len, off) : -ENOMEM;
    release(&t);
    if (n < 0)
        free(data);
    else
        *ret_data = data;
    return n;
}

int thin_stat(struct shard *s, const char *name, uint64_t *ret_size)
{
    char thin[DISK_NAME_MAX + 1];
    struct thin t;
    int err = shard_thin_name(name, thin) ? open_thin(s, thin, &t) : -ENOENT;

    if (err < 0)
        return err;
    *ret_size = t.head.size;
    release(&t);
    return 0;
}

int shard_thin_head(struct shard *s, const char *name, struct thin_head *ret,
                    struct thin_part **ret_parts)
{
    char thin[DISK_NAME_MAX + 1];
    struct thin t;
    int err = shard_thin_name(name, thin) ? open_thin(s, thin, &t) : -ENOENT;

    if (err < 0)
        return err;
    *ret = t.head;
    *ret_parts = t.parts;
    t.parts = NULL;
    release(&t);
    return 0;
}

/* ---- making one ---- */

/* Does what is there read as that? */
static int read_back(struct shard *s, const char *thin, const uint8_t *bytes, size_t len)
{
    void *is = NULL;
    ssize_t n = shard_range_alloc(s, thin, len + 1, 0, &is);
    int err = n < 0 ? (int)n : (size_t)n == len && memcmp(is, bytes, len) == 0 ? 0 : -EEXIST;

    free(is);
    return err;
}

/* Has another file that is there the very bytes of all these parts? 0 or -EEXIST. */
static int covers(struct shard *s, const char *thin, const struct thin_head *h, const uint8_t *pack)
{
    uint8_t *is = malloc((size_t)h->size + 1);
    struct thin t;
    int err = is ? open_thin(s, thin, &t) : -ENOMEM;
    bool all;

    if (err < 0) {
        free(is);
        return err == -EUCLEAN || err == -EPROTO ? -EEXIST : err;
    }
    all = t.head.size == h->size;
    err = all && range_of(s, thin, &t, is, h->size, 0) < 0 ? -EEXIST : 0;
    for (uint32_t i = 0; err == 0 && i < h->count && all; i++)
        all = thin_head_has(&t.head, h->parts[i].offset, h->parts[i].len) &&
              memcmp(is + h->parts[i].offset, pack + h->parts[i].offset, h->parts[i].len) == 0;
    release(&t);
    free(is);
    return err < 0 ? err : all ? 0 : -EEXIST;
}

static void copy_parts(const struct thin_head *h, const uint8_t *pack, uint8_t *to)
{
    for (uint32_t i = 0; i < h->count; i++) {
        memcpy(to, pack + h->parts[i].offset, h->parts[i].len);
        to += h->parts[i].len;
    }
}

int shard_thin_put(struct shard *s, const char *name, const void *pack, uint64_t size,
                   const struct thin_part *parts, uint32_t count, uint64_t *ret_size)
{
    struct thin_head h = {.size = (uint32_t)size, .count = count, .parts = parts};
    char thin[DISK_NAME_MAX + 1];
    uint8_t *bytes;
    size_t len;
    int err;

    if (!shard_thin_name(name, thin) || size > SHARD_PACK_MAX || !thin_head_is_sound(&h))
        return -EINVAL;
    len = thin_head_len(count) + (size_t)h.bytes;
    bytes = len <= SHARD_PACK_MAX ? malloc(len) : NULL;
    if (!bytes)
        return len <= SHARD_PACK_MAX ? -ENOMEM : -EINVAL;
    thin_head_encode(&h, bytes);
    copy_parts(&h, pack, bytes + thin_head_len(count));
    err = shard_put_if_absent(s, thin, bytes, len);
    if (err == 0)
        err = read_back(s, thin, bytes, len);
    else if (err == -EEXIST)
        err = covers(s, thin, &h, pack);
    free(bytes);
    if (err == 0 && ret_size)
        *ret_size = len;
    return err;
}
