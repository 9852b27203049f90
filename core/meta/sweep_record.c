// SPDX-License-Identifier: Apache-2.0
/* sweep_record: see the header. */
#include "sweep_record.h"
#include "bytes.h"
#include "record.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define FIELDS ((SWEEP_RECORD_HEAD - 16) / 8)

static void encode_lost(const struct sweep_lost *l, uint8_t *out)
{
    put_le64(out, l->number);
    memcpy(out + 8, l->id.b, ID_LEN);
    put_le64(out + 24, (uint64_t)l->since);
    put_le16(out + 32, l->shard);
    memset(out + 34, 0, SWEEP_LOST_LEN - 34);
}

size_t sweep_record_encode(const struct sweep_record *r, uint8_t out[SWEEP_RECORD_MAX])
{
    const struct ghost_report *a = &r->last, *b = &r->total;
    const uint64_t f[FIELDS] = {
        (uint64_t)r->ended, r->sweeps, r->purged,       r->lost_more, a->checked,
        a->purged,          a->kept,   a->inconclusive, a->lost,      b->checked,
        b->purged,          b->kept,   b->inconclusive, b->lost};
    size_t len = SWEEP_RECORD_HEAD + (size_t)r->lost_count * SWEEP_LOST_LEN;

    put_le32(out + 8, VERSION);
    put_le32(out + 12, r->lost_count);
    for (size_t i = 0; i < FIELDS; i++)
        put_le64(out + 16 + i * 8, f[i]);
    for (size_t i = 0; i < r->lost_count; i++)
        encode_lost(&r->lost[i], out + SWEEP_RECORD_HEAD + i * SWEEP_LOST_LEN);
    put_le64(out, id_checksum(out + 8, len - 8, SWEEP_RECORD_SEED));
    return len;
}

static int decode_lost(const uint8_t *v, struct sweep_lost *ret)
{
    ret->number = get_le64(v);
    memcpy(ret->id.b, v + 8, ID_LEN);
    ret->since = (int64_t)get_le64(v + 24);
    ret->shard = get_le16(v + 32);
    return ret->number && ret->shard && get_le16(v + 34) == 0 && get_le32(v + 36) == 0 ? 0
                                                                                       : -EUCLEAN;
}

/* Checks the checksum, the version and the length before any field is read. */
static bool is_sound(const uint8_t *v, size_t len)
{
    size_t count;

    if (len < SWEEP_RECORD_HEAD || get_le64(v) != id_checksum(v + 8, len - 8, SWEEP_RECORD_SEED))
        return false;
    count = get_le32(v + 12);
    return get_le32(v + 8) == VERSION && count <= SWEEP_LOST_MAX &&
           len == SWEEP_RECORD_HEAD + count * SWEEP_LOST_LEN;
}

int sweep_record_decode(const void *val, size_t len, struct sweep_record *ret)
{
    const uint8_t *v = val;
    uint64_t f[FIELDS];
    int err = 0;

    if (!is_sound(v, len))
        return -EUCLEAN;
    for (size_t i = 0; i < FIELDS; i++)
        f[i] = get_le64(v + 16 + i * 8);
    *ret = (struct sweep_record){.ended = (int64_t)f[0],
                                 .sweeps = f[1],
                                 .purged = f[2],
                                 .lost_more = f[3],
                                 .last = {f[4], f[5], f[6], f[7], f[8]},
                                 .total = {f[9], f[10], f[11], f[12], f[13]},
                                 .lost_count = get_le32(v + 12)};
    for (size_t i = 0; i < ret->lost_count && err == 0; i++)
        err = decode_lost(v + SWEEP_RECORD_HEAD + i * SWEEP_LOST_LEN, &ret->lost[i]);
    return err;
}

int sweep_record_load_snap(struct kv_snap *snap, struct sweep_record *ret)
{
    const void *val;
    size_t len;
    int err = kv_snap_get(snap, TABLE_META, "sweep", 5, &val, &len);

    *ret = (struct sweep_record){0};
    return err == 0 ? sweep_record_decode(val, len, ret) : err == -ENOENT ? 0 : err;
}

int sweep_record_load(struct kv *kv, struct sweep_record *ret)
{
    uint8_t *buf = malloc(SWEEP_RECORD_MAX);
    size_t len;
    int err = buf ? kv_get(kv, TABLE_META, "sweep", 5, buf, SWEEP_RECORD_MAX, &len) : -ENOMEM;

    *ret = (struct sweep_record){0};
    if (err == 0)
        err = sweep_record_decode(buf, len, ret);
    free(buf);
    return err == -ENOENT ? 0 : err == -ERANGE ? -EUCLEAN : err;
}

int sweep_record_save(struct kv *kv, const struct sweep_record *r)
{
    uint8_t *buf = malloc(SWEEP_RECORD_MAX);
    int err =
        buf ? kv_put_row(kv, TABLE_META, "sweep", 5, buf, sweep_record_encode(r, buf)) : -ENOMEM;

    free(buf);
    return err;
}
