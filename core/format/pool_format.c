// SPDX-License-Identifier: Apache-2.0
/* pool_format: see the header. */
#include "pool_format.h"
#include <errno.h>

struct id pool_key(const struct entry *e)
{
    (void)e;
    return (struct id){0};
}

void pool_record_make(const struct entry *e, bool pinned, struct pool_record *ret)
{
    (void)e;
    (void)pinned;
    (void)ret;
}

void pool_record_entry(const struct pool_record *r, struct entry *ret)
{
    (void)r;
    (void)ret;
}

void pool_record_encode(const struct pool_record *r, uint8_t out[POOL_RECORD_LEN])
{
    (void)r;
    (void)out;
}

int pool_record_decode(const uint8_t in[POOL_RECORD_LEN], struct pool_record *ret)
{
    (void)in;
    (void)ret;
    return -ENOSYS;
}

void pool_mark_encode(const struct pool_mark *m, uint8_t out[POOL_MARK_LEN])
{
    (void)m;
    (void)out;
}

int pool_mark_decode(const uint8_t in[POOL_MARK_LEN], struct pool_mark *ret)
{
    (void)in;
    (void)ret;
    return -ENOSYS;
}

void pool_indexed_encode(const struct pool_indexed *x, uint8_t out[POOL_INDEXED_LEN])
{
    (void)x;
    (void)out;
}

int pool_indexed_decode(const uint8_t in[POOL_INDEXED_LEN], struct pool_indexed *ret)
{
    (void)in;
    (void)ret;
    return -ENOSYS;
}

size_t pool_body_record_len(enum pool_body_kind kind)
{
    (void)kind;
    return 0;
}

size_t pool_body_per_block(enum pool_body_kind kind)
{
    (void)kind;
    return 0;
}

uint64_t pool_body_blocks(const struct pool_body *b)
{
    (void)b;
    return 0;
}

uint64_t pool_body_size(const struct pool_body *b)
{
    (void)b;
    return 0;
}

void pool_body_encode(struct pool_body *b, uint8_t out[POOL_BLOCK])
{
    (void)b;
    (void)out;
}

int pool_body_decode(const uint8_t in[POOL_BLOCK], enum pool_body_kind kind, uint64_t owner,
                     struct pool_body *ret)
{
    (void)in;
    (void)kind;
    (void)owner;
    (void)ret;
    return -ENOSYS;
}

uint64_t pool_block_seal(uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                         size_t count)
{
    (void)block;
    (void)b;
    (void)index;
    (void)count;
    return 0;
}

int pool_block_check(const uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                     uint64_t *ret_sum)
{
    (void)block;
    (void)b;
    (void)index;
    (void)ret_sum;
    return -ENOSYS;
}

size_t pool_block_count(const struct pool_body *b, uint64_t index)
{
    (void)b;
    (void)index;
    return 0;
}

uint64_t pool_chain(uint64_t chain, uint64_t block_sum)
{
    (void)chain;
    (void)block_sum;
    return 0;
}

void pool_head_encode(const struct pool_head *h, uint8_t out[POOL_HEAD_LEN])
{
    (void)h;
    (void)out;
}

int pool_head_decode(const void *in, size_t len, unsigned node, struct pool_head *ret)
{
    (void)in;
    (void)len;
    (void)node;
    (void)ret;
    return -ENOSYS;
}

size_t pool_identity_encode(const struct pool_identity *i, char out[POOL_TEXT_MAX])
{
    (void)i;
    (void)out;
    return 0;
}

int pool_identity_decode(const char *text, size_t len, struct pool_identity *ret)
{
    (void)text;
    (void)len;
    (void)ret;
    return -ENOSYS;
}

size_t pool_who_encode(const struct pool_who *w, char out[POOL_TEXT_MAX])
{
    (void)w;
    (void)out;
    return 0;
}

int pool_who_decode(const char *text, size_t len, unsigned node, struct pool_who *ret)
{
    (void)text;
    (void)len;
    (void)node;
    (void)ret;
    return -ENOSYS;
}

size_t pool_term_encode(const struct pool_term *t, char out[POOL_TEXT_MAX])
{
    (void)t;
    (void)out;
    return 0;
}

int pool_term_decode(const char *text, size_t len, uint64_t term, struct pool_term *ret)
{
    (void)text;
    (void)len;
    (void)term;
    (void)ret;
    return -ENOSYS;
}
