// SPDX-License-Identifier: Apache-2.0
/* entry: see the header. kind 1, count 4, then what the kind needs: FORMAT.md, "Refcount table". */
#include "entry.h"
#include "bytes.h"
#include <errno.h>

#define PACK_NUMBER_LEN 5 /* 40 bits of pack number, */
#define PACK_NUMBER_LONG 8 /* or all of it, where it has more: in a pool */
#define PACK_LONG_LEN (5 + ID_LEN + 4 + PACK_NUMBER_LONG + 4)

static const uint8_t lengths[] = {
    [ENTRY_NONE] = 5 + ID_LEN,
    [ENTRY_NEW] = 5,
    [ENTRY_SLOT] = 5 + 8,
    [ENTRY_PACK] = 5 + ID_LEN + 4 + PACK_NUMBER_LEN + 4,
    [ENTRY_FILE] = 5 + ID_LEN + 8 + 8,
    [ENTRY_ALIAS] = 5 + 8,
};

static size_t pack_number_len(uint64_t number)
{
    return number >> (8 * PACK_NUMBER_LEN) ? PACK_NUMBER_LONG : PACK_NUMBER_LEN;
}

static void encode_pack(const struct entry *e, uint8_t *p)
{
    size_t n = pack_number_len(e->where);
    uint8_t t[8];

    put_le32(p, (uint32_t)e->size);
    put_le64(t, e->where);
    memcpy(p + 4, t, n);
    put_le32(p + 4 + n, e->offset);
}

static void decode_pack(struct entry *e, const uint8_t *p, size_t n)
{
    uint8_t t[8] = {0};

    e->size = get_le32(p);
    memcpy(t, p + 4, n);
    e->where = get_le64(t);
    e->offset = get_le32(p + 4 + n);
}

static size_t length_of(const struct entry *e)
{
    bool is_long = e->kind == ENTRY_PACK && pack_number_len(e->where) == PACK_NUMBER_LONG;

    return is_long ? PACK_LONG_LEN : lengths[e->kind];
}

size_t entry_encode(const struct entry *e, uint8_t out[ENTRY_MAX])
{
    bool has_id = e->kind == ENTRY_NONE || entry_is_sealed(e);
    uint8_t *p = out + 5;

    out[0] = (uint8_t)e->kind;
    put_le32(out + 1, e->count);
    if (has_id) {
        memcpy(p, e->id.b, ID_LEN);
        p += ID_LEN;
    }
    if (e->kind == ENTRY_PACK)
        encode_pack(e, p);
    if (e->kind == ENTRY_SLOT || e->kind == ENTRY_FILE)
        put_le64(p, e->size);
    if (e->kind == ENTRY_FILE)
        put_le64(p + 8, e->where);
    if (e->kind == ENTRY_ALIAS)
        put_le64(p, e->where);
    return length_of(e);
}

int entry_decode(const void *val, size_t len, struct entry *ret)
{
    const uint8_t *v = val, *p = v + 5;
    struct entry e = {0};

    if (len < 5 || v[0] > ENTRY_ALIAS ||
        (len != lengths[v[0]] && !(v[0] == ENTRY_PACK && len == PACK_LONG_LEN)))
        return -EUCLEAN;
    e.kind = (enum entry_kind)v[0];
    e.count = get_le32(v + 1);
    if (e.kind == ENTRY_NONE || entry_is_sealed(&e)) {
        memcpy(e.id.b, p, ID_LEN);
        p += ID_LEN;
    }
    if (e.kind == ENTRY_PACK)
        decode_pack(&e, p, len == PACK_LONG_LEN ? PACK_NUMBER_LONG : PACK_NUMBER_LEN);
    if (e.kind == ENTRY_SLOT || e.kind == ENTRY_FILE)
        e.size = get_le64(p);
    if (e.kind == ENTRY_FILE)
        e.where = get_le64(p + 8);
    if (e.kind == ENTRY_ALIAS)
        e.where = get_le64(p);
    if ((entry_is_sealed(&e) || e.kind == ENTRY_ALIAS) && e.where == 0)
        return -EUCLEAN;
    if (len != length_of(&e)) /* one number is written in one way */
        return -EUCLEAN;
    *ret = e;
    return 0;
}
