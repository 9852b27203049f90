// SPDX-License-Identifier: Apache-2.0
/* archive_catalogue: see the header. */
#include "archive_catalogue.h"

#include "archive_pins.h"
#include "archive_text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGUN_MAX 64

static int is_there(struct shard *s, const char *name)
{
    uint64_t size;
    int err = shard_stat(s, name, &size);

    return err == 0 ? 1 : err == -ENOENT ? 0 : err;
}

int archive_catalogue(struct shard *s, uint32_t lineage, uint32_t number, struct catalogue *ret)
{
    char name[ARCHIVE_NAME_MAX + 1];
    void *bytes;
    ssize_t n;
    int err;

    archive_kept_name(lineage, number, name);
    n = shard_range_alloc(s, name, CATALOGUE_MAX + 1, 0, &bytes);
    if (n < 0)
        return (int)n;
    err = catalogue_decode(bytes, (size_t)n, lineage, number, ret);
    free(bytes);
    return err;
}

static int is_catalogue_there(struct shard *s, uint32_t lineage, uint64_t number)
{
    char name[ARCHIVE_NAME_MAX + 1];

    if (number > UINT32_MAX)
        return 0;
    archive_kept_name(lineage, (uint32_t)number, name);
    return is_there(s, name);
}

/* The number of the last one from `low` on, which is there, or 0. Numbers only come: so doubling
 * the step and then bisecting finds one that was the last at a moment of the search. */
static int find_last(struct shard *s, uint32_t lineage, uint64_t low, uint32_t *ret)
{
    uint64_t step = 1, high;
    int there;

    while ((there = is_catalogue_there(s, lineage, low + step)) == 1) {
        low += step;
        step *= 2;
    }
    high = low + step;
    while (there >= 0 && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;

        there = is_catalogue_there(s, lineage, middle);
        if (there == 1)
            low = middle;
        else
            high = middle;
    }
    *ret = (uint32_t)low;
    return there < 0 ? there : 0;
}

int archive_last_catalogue(struct shard *s, uint32_t lineage, uint32_t hint, struct catalogue *ret)
{
    uint32_t last = 0;
    int err = find_last(s, lineage, hint, &last);

    *ret = (struct catalogue){.number = 0};
    if (err < 0 || last == 0)
        return err;
    err = archive_catalogue(s, lineage, last, ret);
    if (err < 0)
        ret->number = last;
    return err == -ENOENT ? -EIO : err;
}

int archive_catalogue_is_last(struct shard *s, uint32_t lineage, uint32_t number)
{
    int there = is_catalogue_there(s, lineage, (uint64_t)number + 1);

    return there < 0 ? there : !there;
}

/* Something has the name: is it these very bytes, whose answer was lost? */
static int compare(struct shard *s, const char *name, const struct strbuf *bytes)
{
    void *there;
    ssize_t n = shard_range_alloc(s, name, CATALOGUE_MAX + 1, 0, &there);
    bool same;

    if (n < 0)
        return (int)n;
    same = (size_t)n == bytes->len && memcmp(there, bytes->s, bytes->len) == 0;
    free(there);
    return same ? 0 : -EEXIST;
}

int archive_put_catalogue(struct shard *s, const struct catalogue *c)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    char name[ARCHIVE_NAME_MAX + 1];
    struct catalogue again;
    int err = catalogue_encode(c, &bytes);

    if (err == 0 && bytes.len > CATALOGUE_MAX)
        err = -EFBIG;
    if (err == 0) /* nothing could replace one that nobody can read */
        err = catalogue_decode(bytes.s, bytes.len, c->lineage, c->number, &again);
    if (err < 0)
        return err;
    catalogue_release(&again);
    archive_kept_name(c->lineage, c->number, name);
    err = shard_put_if_absent(s, name, bytes.s, bytes.len);
    return err == -EEXIST ? compare(s, name, &bytes) : err;
}

int archive_has_begun(struct shard *s, uint32_t lineage, uint32_t number)
{
    char name[ARCHIVE_NAME_MAX + 1];

    archive_begun_name(lineage, number, name);
    return is_there(s, name);
}

/* Is it ours, whose answer was lost? */
static int begun_by(struct shard *s, const char *name, const char *text, size_t len)
{
    char there[BEGUN_MAX];
    ssize_t n = shard_get(s, name, there, sizeof there);

    if (n < 0)
        return n == -EFBIG ? -EEXIST : (int)n;
    return (size_t)n == len && memcmp(there, text, len) == 0 ? 0 : -EEXIST;
}

int archive_begin_deleting(struct shard *s, uint32_t lineage, uint32_t number,
                           const uint8_t token[ARCHIVE_TOKEN_LEN])
{
    char name[ARCHIVE_NAME_MAX + 1], hex[2 * ARCHIVE_TOKEN_LEN + 1], text[BEGUN_MAX];
    size_t len;
    int err;

    archive_token_format(token, hex);
    len = (size_t)snprintf(text, sizeof text, "begun by %s\n", hex);
    archive_begun_name(lineage, number, name);
    err = shard_put_if_absent(s, name, text, len);
    return err == -EEXIST ? begun_by(s, name, text, len) : err;
}
