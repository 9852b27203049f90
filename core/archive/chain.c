// SPDX-License-Identifier: Apache-2.0
/* chain: putting and reading segments; see chain.h. */
#include "chain_find.h"

#include "id.h"
#include "strbuf.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_FIRST ((size_t)256 << 10) /* bytes */

void chain_init(struct chain *c, struct shard *s, uint32_t lineage, const struct archive_claim *who,
                uint64_t hint)
{
    assert(text_is_printable(who->host) && text_is_printable(who->boot));
    *c = (struct chain){.shard = s, .lineage = lineage, .who = *who, .hint = hint};
}

/* ---- putting ---- */

/* Something has the name of our next segment. 0: it is the segment, whose answer was lost.
 * -EKEYREVOKED: it is anything else. */
static int compare(struct chain *c, const char *name, const void *bytes, size_t len)
{
    void *there = malloc(len);
    ssize_t n = there ? shard_get(c->shard, name, there, len) : -ENOMEM;
    bool same = n == (ssize_t)len && memcmp(there, bytes, len) == 0;

    free(there);
    if (n == -ENOENT)
        return -EIO;
    if (n < 0 && n != -EFBIG)
        return (int)n;
    return same ? 0 : -EKEYREVOKED;
}

/* Could these bytes be a segment, and are they those that were tried before? */
static int check(const struct chain *c, const void *bytes, size_t len, uint64_t sum)
{
    struct segment_pos pos = {c->epoch, c->serial + 1};
    enum chain_kind kind = CHAIN_END;

    assert(c->ready);
    if (len > SHARD_PACK_MAX)
        return -EFBIG;
    if (chain_kind_of(bytes, len, c->lineage, pos, &kind) < 0 || kind != CHAIN_SEGMENT)
        return -EINVAL;
    assert(!c->unknown || (c->unknown_len == len && c->unknown_sum == sum));
    return 0;
}

int chain_put(struct chain *c, const void *bytes, size_t len)
{
    struct segment_pos pos = {c->epoch, c->serial + 1};
    uint64_t sum = id_checksum(bytes, len, 0);
    char name[ARCHIVE_NAME_MAX + 1];
    int err;

    if (c->fenced)
        return -EKEYREVOKED;
    err = check(c, bytes, len, sum);
    if (err < 0)
        return err;
    archive_segment_name(c->lineage, pos, name);
    err = shard_put_if_absent(c->shard, name, bytes, len);
    if (err == -EEXIST)
        err = compare(c, name, bytes, len);
    c->fenced = err == -EKEYREVOKED;
    c->unknown = err < 0;
    c->unknown_len = len;
    c->unknown_sum = sum;
    c->serial += err == 0;
    return err;
}

/* ---- reading ---- */

/* Reads all of a segment or text. Few are longer than the first try. */
static ssize_t read_whole(struct shard *s, const char *name, void **ret_bytes)
{
    ssize_t n = shard_range_alloc(s, name, READ_FIRST, 0, ret_bytes);

    if (n < (ssize_t)READ_FIRST)
        return n;
    free(*ret_bytes);
    *ret_bytes = NULL;
    return shard_range_alloc(s, name, (size_t)SHARD_PACK_MAX + 1, 0, ret_bytes);
}

ssize_t chain_get(struct shard *s, uint32_t lineage, struct segment_pos pos, void **ret_bytes)
{
    enum chain_kind kind = CHAIN_SEGMENT;
    char name[ARCHIVE_NAME_MAX + 1];
    void *bytes = NULL, *less;

    archive_segment_name(lineage, pos, name);
    ssize_t n = read_whole(s, name, &bytes);
    int err = n < 0                ? (int)n
              : n > SHARD_PACK_MAX ? -EUCLEAN
                                   : chain_kind_of(bytes, (size_t)n, lineage, pos, &kind);

    if (err < 0 || kind == CHAIN_END) {
        free(bytes);
        return err < 0 ? err : -ENODATA;
    }
    less = realloc(bytes, (size_t)n);
    *ret_bytes = less ? less : bytes;
    return n;
}

ssize_t chain_next(struct shard *s, uint32_t lineage, struct segment_pos *pos, void **ret_bytes)
{
    struct segment_pos at = {pos->epoch ? pos->epoch : 1, pos->serial + 1};
    ssize_t n;

    while ((n = chain_get(s, lineage, at, ret_bytes)) == -ENODATA) {
        at = (struct segment_pos){at.epoch + 1, 1};
        *pos = (struct segment_pos){at.epoch, 0};
    }
    if (n > 0)
        *pos = at;
    return n;
}

int chain_last(struct shard *s, uint32_t lineage, struct segment_pos hint,
               struct segment_pos *ret_pos)
{
    struct chain_find f = {.shard = s, .lineage = lineage};
    struct segment_pos last = {0};
    uint64_t epoch, open;
    enum chain_kind kind;
    int err = chain_last_epoch(&f, hint.epoch, &epoch);

    if (err == 0)
        err = chain_last_begun(&f, epoch, &last.epoch, &open);
    if (err == 0 && last.epoch > 0) {
        uint64_t known = last.epoch == hint.epoch ? hint.serial : 0;

        err = chain_last_serial(&f, last.epoch, known, &last.serial);
        if (err == 0)
            err = chain_look(&f, last, &kind);
        if (err == 0 && kind == CHAIN_END)
            last.serial--;
    }
    if (err == 0)
        *ret_pos = last;
    return err == -ENOENT ? -EIO : err;
}
