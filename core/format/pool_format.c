// SPDX-License-Identifier: Apache-2.0
/*
 * pool_format: records, bodies and heads; texts are in pool_text.c. A head or a body is valid if
 * and only if what was read from it encodes to the same bytes. So its decoder ends with that.
 */
#include "pool_format.h"

#include "bytes.h"
#include <errno.h>
#include <string.h>

#define VERSION 1
#define HEAD_MAGIC 0x68507954u /* "TyPh" */
#define BODY_MAGIC 0x62507954u /* "TyPb" */
#define PRIME UINT64_C(0x9e3779b97f4a7c15)
#define COUNT_MAX (UINT64_C(1) << 40) /* records of one body */
#define PREFIX 8                      /* bytes of a key that are those of the id */
#define PLACE_LEN (ID_LEN + 1 + 8 + 4)

/* ---- records ---- */

struct id pool_key(const struct entry *e)
{
    uint8_t place[PLACE_LEN];
    struct id key;

    memcpy(place, e->id.b, ID_LEN);
    place[ID_LEN] = (uint8_t)e->kind;
    put_le64(place + ID_LEN + 1, e->where);
    put_le32(place + ID_LEN + 9, e->kind == ENTRY_PACK ? e->offset : 0);
    memcpy(key.b, e->id.b, PREFIX);
    put_le64(key.b + PREFIX, id_checksum(place, sizeof place, 0));
    return key;
}

void pool_record_make(const struct entry *e, bool pinned, struct pool_record *ret)
{
    *ret = (struct pool_record){
        .key = pool_key(e),
        .where = e->where,
        .size = e->size,
        .offset = e->kind == ENTRY_PACK ? e->offset : 0,
        .flags = (e->kind == ENTRY_FILE ? (uint32_t)POOL_FILE : 0) |
                 (pinned ? (uint32_t)POOL_PINNED : 0),
    };
    memcpy(ret->id_rest, e->id.b + PREFIX, ID_LEN - PREFIX);
}

void pool_record_entry(const struct pool_record *r, struct entry *ret)
{
    *ret = (struct entry){
        .kind = r->flags & POOL_FILE ? ENTRY_FILE : ENTRY_PACK,
        .size = r->size,
        .where = r->where,
        .offset = r->offset,
    };
    memcpy(ret->id.b, r->key.b, PREFIX);
    memcpy(ret->id.b + PREFIX, r->id_rest, ID_LEN - PREFIX);
}

void pool_record_encode(const struct pool_record *r, uint8_t out[POOL_RECORD_LEN])
{
    memcpy(out, r->key.b, ID_LEN);
    memcpy(out + 16, r->id_rest, sizeof r->id_rest);
    put_le64(out + 24, r->where);
    put_le64(out + 32, r->size);
    put_le32(out + 40, r->offset);
    put_le32(out + 44, r->flags);
}

/* Is it a record that pool_record_make can have made, or its removal in a delta? */
static bool record_ok(const struct pool_record *r)
{
    struct entry e;
    struct id key;

    if (r->flags & ~(uint32_t)(POOL_FILE | POOL_PINNED | POOL_GONE) || r->where == 0)
        return false;
    /* The length of a record in a pack has 32 bits. */
    if (r->flags & POOL_FILE ? r->offset != 0 : r->size > UINT32_MAX)
        return false;
    pool_record_entry(r, &e);
    key = pool_key(&e);
    return id_equal(&key, &r->key);
}

int pool_record_decode(const uint8_t in[POOL_RECORD_LEN], struct pool_record *ret)
{
    struct pool_record r;

    memcpy(r.key.b, in, ID_LEN);
    memcpy(r.id_rest, in + 16, sizeof r.id_rest);
    r.where = get_le64(in + 24);
    r.size = get_le64(in + 32);
    r.offset = get_le32(in + 40);
    r.flags = get_le32(in + 44);
    if (!record_ok(&r))
        return -EUCLEAN;
    *ret = r;
    return 0;
}

void pool_mark_encode(const struct pool_mark *m, uint8_t out[POOL_MARK_LEN])
{
    memcpy(out, m->key.b, ID_LEN);
    put_le64(out + 16, (uint64_t)m->since);
    put_le32(out + 24, m->mark);
    put_le32(out + 28, 0);
}

int pool_mark_decode(const uint8_t in[POOL_MARK_LEN], struct pool_mark *ret)
{
    if (get_le32(in + 28) != 0)
        return -EUCLEAN;
    memcpy(ret->key.b, in, ID_LEN);
    ret->since = (int64_t)get_le64(in + 16);
    ret->mark = get_le32(in + 24);
    return 0;
}

void pool_indexed_encode(const struct pool_indexed *x, uint8_t out[POOL_INDEXED_LEN])
{
    memcpy(out, x->id.b, ID_LEN);
    put_le32(out + 16, x->offset);
    put_le32(out + 20, x->len);
}

int pool_indexed_decode(const uint8_t in[POOL_INDEXED_LEN], struct pool_indexed *ret)
{
    if (get_le32(in + 16) % 8 != 0)
        return -EUCLEAN;
    memcpy(ret->id.b, in, ID_LEN);
    ret->offset = get_le32(in + 16);
    ret->len = get_le32(in + 20);
    return 0;
}

/* ---- bodies ---- */

static const uint8_t record_lens[POOL_BODY_KINDS] = {
    [POOL_BODY_BASE] = POOL_RECORD_LEN, [POOL_BODY_DELTA] = POOL_RECORD_LEN,
    [POOL_BODY_MARKS] = POOL_MARK_LEN,  [POOL_BODY_INDEX] = POOL_INDEXED_LEN,
    [POOL_BODY_DEAD] = POOL_DEAD_LEN,
};

size_t pool_body_record_len(enum pool_body_kind kind)
{
    return record_lens[kind];
}

size_t pool_body_per_block(enum pool_body_kind kind)
{
    return (POOL_BLOCK - POOL_BLOCK_HEAD) / record_lens[kind];
}

uint64_t pool_body_blocks(const struct pool_body *b)
{
    size_t n = pool_body_per_block(b->kind);

    return (b->count + n - 1) / n;
}

uint64_t pool_body_size(const struct pool_body *b)
{
    return (1 + pool_body_blocks(b)) * POOL_BLOCK;
}

void pool_body_encode(struct pool_body *b, uint8_t out[POOL_BLOCK])
{
    memset(out, 0, POOL_BLOCK);
    put_le32(out + 8, BODY_MAGIC);
    put_le32(out + 12, VERSION);
    put_le32(out + 16, b->kind);
    put_le32(out + 20, record_lens[b->kind]);
    put_le64(out + 24, b->owner);
    put_le64(out + 32, b->serial);
    put_le64(out + 40, b->extra);
    put_le64(out + 48, b->count);
    put_le64(out + 56, b->chain);
    b->sum = id_checksum(out + 8, POOL_BLOCK - 8, b->kind);
    put_le64(out, b->sum);
}

int pool_body_decode(const uint8_t in[POOL_BLOCK], enum pool_body_kind kind, uint64_t owner,
                     struct pool_body *ret)
{
    struct pool_body b = {.kind = kind,
                          .owner = owner,
                          .serial = get_le64(in + 32),
                          .extra = get_le64(in + 40),
                          .count = get_le64(in + 48),
                          .chain = get_le64(in + 56)};
    uint8_t again[POOL_BLOCK];

    if (get_le32(in + 8) != BODY_MAGIC || get_le64(in) != id_checksum(in + 8, POOL_BLOCK - 8, kind))
        return -EUCLEAN;
    if (get_le32(in + 12) > VERSION)
        return -EPROTO;
    pool_body_encode(&b, again);
    if (memcmp(in, again, POOL_BLOCK) != 0 || b.count > COUNT_MAX)
        return -EUCLEAN;
    *ret = b;
    return 0;
}

/* The checksum of a block. The seed says which block of which body it is, so that no other block
 * passes for it. */
static uint64_t block_sum(const uint8_t *block, const struct pool_body *b, uint64_t index)
{
    uint64_t seed = (((b->owner * PRIME) ^ b->serial) * PRIME + (uint64_t)b->kind) * PRIME + index;

    return id_checksum(block + 8, POOL_BLOCK - 8, seed);
}

uint64_t pool_block_seal(uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                         size_t count)
{
    size_t used = POOL_BLOCK_HEAD + count * record_lens[b->kind];

    put_le32(block + 8, (uint32_t)count);
    put_le32(block + 12, 0);
    memset(block + used, 0, POOL_BLOCK - used);
    uint64_t sum = block_sum(block, b, index);

    put_le64(block, sum);
    return sum;
}

size_t pool_block_count(const struct pool_body *b, uint64_t index)
{
    size_t n = pool_body_per_block(b->kind);
    uint64_t before = index * n;

    return before >= b->count ? 0 : b->count - before < n ? (size_t)(b->count - before) : n;
}

int pool_block_check(const uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                     uint64_t *ret_sum)
{
    uint64_t sum = get_le64(block);

    if (sum != block_sum(block, b, index) || get_le32(block + 8) != pool_block_count(b, index) ||
        get_le32(block + 12) != 0)
        return -EUCLEAN;
    if (ret_sum)
        *ret_sum = sum;
    return 0;
}

uint64_t pool_chain(uint64_t chain, uint64_t sum)
{
    uint8_t b[8];

    put_le64(b, sum);
    return id_checksum(b, sizeof b, chain);
}

/* ---- heads ---- */

static void part_encode(const struct pool_part *p, uint8_t *out)
{
    put_le64(out, p->serial);
    put_le64(out + 8, p->count);
    put_le64(out + 16, p->sum);
}

static struct pool_part part_decode(const uint8_t *in)
{
    return (struct pool_part){get_le64(in), get_le64(in + 8), get_le64(in + 16)};
}

void pool_head_encode(const struct pool_head *h, uint8_t out[POOL_HEAD_LEN])
{
    memset(out, 0, POOL_HEAD_LEN);
    put_le32(out + 8, HEAD_MAGIC);
    put_le32(out + 12, VERSION);
    put_le32(out + 16, h->node);
    put_le32(out + 20, h->incarnation);
    put_le64(out + 24, h->serial);
    put_le64(out + 32, h->ack);
    put_le64(out + 40, (uint64_t)h->time);
    put_le64(out + 48, h->active);
    put_le64(out + 56, h->pinned);
    part_encode(&h->base, out + 64);
    part_encode(&h->delta, out + 88);
    put_le64(out, id_checksum(out + 8, POOL_HEAD_LEN - 8, h->node));
}

static bool part_ok(const struct pool_part *p, uint64_t serial)
{
    return p->serial ? p->serial <= serial && p->count <= COUNT_MAX : p->count == 0 && p->sum == 0;
}

/* Do the fields of a head agree with one another? */
static bool head_ok(const struct pool_head *h)
{
    return h->serial > 0 && h->serial >> 32 <= h->incarnation &&
           h->incarnation <= POOL_INCARNATION_MAX && part_ok(&h->base, h->serial) &&
           part_ok(&h->delta, h->serial) &&
           (h->delta.serial == 0 || (h->base.serial && h->base.serial < h->delta.serial)) &&
           h->active <= h->base.count + h->delta.count &&
           h->pinned <= h->base.count + h->delta.count - h->active;
}

int pool_head_decode(const void *in, size_t len, unsigned node, struct pool_head *ret)
{
    const uint8_t *v = in;
    uint8_t again[POOL_HEAD_LEN];

    if (len < POOL_HEAD_LEN || get_le32(v + 8) != HEAD_MAGIC ||
        get_le64(v) != id_checksum(v + 8, len - 8, node))
        return -EUCLEAN;
    if (get_le32(v + 12) > VERSION)
        return -EPROTO;
    struct pool_head h = {.node = node,
                          .incarnation = get_le32(v + 20),
                          .serial = get_le64(v + 24),
                          .ack = get_le64(v + 32),
                          .time = (int64_t)get_le64(v + 40),
                          .active = get_le64(v + 48),
                          .pinned = get_le64(v + 56),
                          .base = part_decode(v + 64),
                          .delta = part_decode(v + 88)};

    pool_head_encode(&h, again);
    if (len != POOL_HEAD_LEN || memcmp(v, again, POOL_HEAD_LEN) != 0 || !head_ok(&h))
        return -EUCLEAN;
    *ret = h;
    return 0;
}
