// SPDX-License-Identifier: Apache-2.0
/* entry: see the header. Bytes: kind 1, count 4, then what the kind needs (FORMAT.md, "Refcount
 * table"). */
#include "entry.h"
#include "bytes.h"
#include <errno.h>
#include <stdio.h>

#define PACK_NUMBER_LEN 5  /* bytes of a pack number of at most 40 bits */
#define PACK_NUMBER_LONG 8 /* bytes of a larger one, as packs of a pool have */
#define PACK_LONG_LEN (5 + ID_LEN + 4 + PACK_NUMBER_LONG + 4)
#define DAY_LEN 2
#define GHOST_LEN 10 /* shard 2, created 8 */
#define STORED_LEN 4

enum kind_flags { /* in the byte of the kind; the last two of sealed objects only */
                  HAS_STORED = 0x10, /* of a PACK only */
                  IS_PINNED = 0x20,
                  HAS_DAY = 0x40,
                  IS_GHOST = 0x80,
};

static const uint8_t lengths[] = {
    [ENTRY_NONE] = 5 + ID_LEN,
    [ENTRY_NEW] = 5,
    [ENTRY_SLOT] = 5 + 8,
    [ENTRY_PACK] = 5 + ID_LEN + 4 + PACK_NUMBER_LEN + 4,
    [ENTRY_FILE] = 5 + ID_LEN + 8 + 8,
    [ENTRY_ALIAS] = 5 + 8,
    [ENTRY_HELD] = 5 + 8,
    [ENTRY_ABSENT] = 5 + 8 + SHA256_LEN + 2,
};

static size_t pack_number_len(uint64_t number)
{
    return number >> (8 * PACK_NUMBER_LEN) ? PACK_NUMBER_LONG : PACK_NUMBER_LEN;
}

static bool has_size(const struct entry *e)
{
    return e->kind == ENTRY_SLOT || e->kind == ENTRY_FILE || e->kind == ENTRY_HELD ||
           e->kind == ENTRY_ABSENT;
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

static void encode_absent(const struct entry *e, uint8_t *p)
{
    memcpy(p, e->sha256, SHA256_LEN);
    put_le16(p + SHA256_LEN, e->archive);
}

static void decode_absent(struct entry *e, const uint8_t *p)
{
    memcpy(e->sha256, p, SHA256_LEN);
    e->archive = get_le16(p + SHA256_LEN);
}

/* The length of the encoding without the tail, which follows the place. */
static size_t length_of(const struct entry *e)
{
    bool is_long = e->kind == ENTRY_PACK && pack_number_len(e->where) == PACK_NUMBER_LONG;

    return is_long ? PACK_LONG_LEN : lengths[e->kind];
}

/* ---- the tail: day, shard, length of the payload ---- */

static uint8_t flags_of(const struct entry *e)
{
    uint8_t pinned = e->pinned ? IS_PINNED : 0;

    if (!entry_is_sealed(e))
        return pinned;
    return (uint8_t)(pinned | (e->day ? HAS_DAY : 0) | (e->shard ? IS_GHOST : 0) |
                     (e->kind == ENTRY_PACK && e->stored ? HAS_STORED : 0));
}

static size_t tail_len(uint8_t flags)
{
    return (flags & HAS_DAY ? DAY_LEN : 0U) + (flags & IS_GHOST ? GHOST_LEN : 0U) +
           (flags & HAS_STORED ? STORED_LEN : 0U);
}

static void encode_tail(const struct entry *e, uint8_t flags, uint8_t *p)
{
    if (flags & HAS_DAY) {
        put_le16(p, e->day);
        p += DAY_LEN;
    }
    if (flags & IS_GHOST) {
        put_le16(p, e->shard);
        put_le64(p + 2, e->created);
        p += GHOST_LEN;
    }
    if (flags & HAS_STORED)
        put_le32(p, e->stored);
}

static void decode_tail(struct entry *e, uint8_t flags, const uint8_t *p)
{
    if (flags & HAS_DAY) {
        e->day = get_le16(p);
        p += DAY_LEN;
    }
    if (flags & IS_GHOST) {
        e->shard = get_le16(p);
        e->created = get_le64(p + 2);
        p += GHOST_LEN;
    }
    if (flags & HAS_STORED)
        e->stored = get_le32(p);
}

/* ---- entries ---- */

size_t entry_encode(const struct entry *e, uint8_t out[ENTRY_MAX])
{
    bool has_id = e->kind == ENTRY_NONE || entry_is_sealed(e);
    uint8_t *p = out + 5, flags = flags_of(e);
    size_t len = length_of(e);

    out[0] = (uint8_t)(e->kind | flags);
    put_le32(out + 1, e->count);
    if (has_id) {
        memcpy(p, e->id.b, ID_LEN);
        p += ID_LEN;
    }
    if (e->kind == ENTRY_PACK)
        encode_pack(e, p);
    if (has_size(e))
        put_le64(p, e->size);
    if (e->kind == ENTRY_FILE)
        put_le64(p + 8, e->where);
    if (e->kind == ENTRY_ABSENT)
        encode_absent(e, p + 8);
    if (e->kind == ENTRY_ALIAS)
        put_le64(p, e->where);
    encode_tail(e, flags, out + len);
    return len + tail_len(flags);
}

/* Reads the kind, and splits `len` bytes into those before the tail (*ret_len) and the tail. */
static int split(const uint8_t *v, size_t len, struct entry *e, uint8_t *ret_flags, size_t *ret_len)
{
    uint8_t flags = len ? v[0] & (HAS_STORED | IS_PINNED | HAS_DAY | IS_GHOST) : 0;
    size_t tail = tail_len(flags);

    if (len < 5 + tail || (v[0] ^ flags) > ENTRY_ABSENT)
        return -EUCLEAN;
    e->kind = (enum entry_kind)(v[0] ^ flags);
    len -= tail;
    if (len != lengths[e->kind] && !(e->kind == ENTRY_PACK && len == PACK_LONG_LEN))
        return -EUCLEAN;
    *ret_flags = flags;
    *ret_len = len;
    return 0;
}

int entry_decode(const void *val, size_t len, struct entry *ret)
{
    const uint8_t *v = val, *p = v + 5;
    struct entry e = {0};
    uint8_t flags;
    int err = split(v, len, &e, &flags, &len);

    if (err < 0)
        return err;
    e.count = get_le32(v + 1);
    e.pinned = flags & IS_PINNED;
    if (e.kind == ENTRY_NONE || entry_is_sealed(&e)) {
        memcpy(e.id.b, p, ID_LEN);
        p += ID_LEN;
    }
    if (e.kind == ENTRY_PACK)
        decode_pack(&e, p, len == PACK_LONG_LEN ? PACK_NUMBER_LONG : PACK_NUMBER_LEN);
    if (has_size(&e))
        e.size = get_le64(p);
    if (e.kind == ENTRY_FILE)
        e.where = get_le64(p + 8);
    if (e.kind == ENTRY_ABSENT)
        decode_absent(&e, p + 8);
    if (e.kind == ENTRY_ALIAS)
        e.where = get_le64(p);
    decode_tail(&e, flags, v + len);
    if ((entry_is_sealed(&e) || e.kind == ENTRY_ALIAS) && e.where == 0)
        return -EUCLEAN;
    if (e.stored > e.size && e.stored != ENTRY_AT_REST)
        return -EUCLEAN;
    if (len != length_of(&e) || flags != flags_of(&e)) /* each entry has one encoding only */
        return -EUCLEAN;
    *ret = e;
    return 0;
}

bool entry_same_place(const struct entry *a, const struct entry *b)
{
    return a->kind == b->kind && a->shard == b->shard && a->where == b->where &&
           a->offset == b->offset && a->size == b->size && entry_payload(a) == entry_payload(b) &&
           id_equal(&a->id, &b->id) && a->archive == b->archive &&
           memcmp(a->sha256, b->sha256, SHA256_LEN) == 0;
}

void entry_sha256_text(const struct entry *e, char out[ENTRY_SHA256_TEXT])
{
    char *p = out + snprintf(out, ENTRY_SHA256_TEXT, "sha256:");

    for (size_t i = 0; i < SHA256_LEN; i++)
        p += snprintf(p, 3, "%02x", e->sha256[i]);
}

/* ---- rows of the table `ghosts` ---- */

void ghost_row_encode(const struct ghost_row *row, uint8_t out[GHOST_ROW_LEN])
{
    put_le16(out, row->shard);
    put_le64(out + 2, row->size);
}

int ghost_row_decode(const void *val, size_t len, struct ghost_row *ret)
{
    const uint8_t *v = val;

    if (len != GHOST_ROW_LEN || get_le16(v) == 0)
        return -EUCLEAN;
    *ret = (struct ghost_row){get_le16(v), get_le64(v + 2)};
    return 0;
}
