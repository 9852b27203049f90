// SPDX-License-Identifier: Apache-2.0
/* stored_record: see the header. */
#include "stored_record.h"

#include "bytes.h"
#include "id.h"
#include <errno.h>

#define NAME "stored"
#define NAME_LEN (sizeof NAME - 1)

size_t stored_record_encode(const struct stored_record *s, uint8_t out[STORED_RECORD_MAX])
{
    size_t len = s->saved ? STORED_RECORD_MAX : STORED_RECORD_LEN;

    put_le64(out + 8, s->state);
    put_le64(out + 16, s->bytes);
    if (s->saved)
        put_le64(out + STORED_RECORD_LEN, s->saved);
    put_le64(out, id_checksum(out + 8, len - 8, STORED_RECORD_SEED));
    return len;
}

int stored_record_decode(const void *val, size_t len, struct stored_record *ret)
{
    const uint8_t *v = val;

    if ((len != STORED_RECORD_LEN && len != STORED_RECORD_MAX) ||
        get_le64(v) != id_checksum(v + 8, len - 8, STORED_RECORD_SEED))
        return -EUCLEAN;
    struct stored_record s = {.state = get_le64(v + 8), .bytes = get_le64(v + 16)};

    if (len == STORED_RECORD_MAX)
        s.saved = get_le64(v + STORED_RECORD_LEN);
    if (len == STORED_RECORD_MAX && s.saved == 0) /* it has one form only */
        return -EUCLEAN;
    *ret = s;
    return 0;
}

uint64_t stored_record_tie(const uint8_t state[STORE_RECORD_LEN])
{
    return id_checksum(state, STORE_RECORD_LEN, 0);
}

int stored_record_put(const struct stored_record *s, struct kv_txn *t)
{
    uint8_t val[STORED_RECORD_MAX];

    if (!s)
        return kv_del(t, TABLE_META, NAME, NAME_LEN);
    return kv_put(t, TABLE_META, NAME, NAME_LEN, val, stored_record_encode(s, val));
}

int stored_record_load_snap(struct kv_snap *snap, struct stored_record *ret)
{
    struct stored_record s;
    const void *val;
    size_t len;
    int err = kv_snap_get(snap, TABLE_META, NAME, NAME_LEN, &val, &len);

    if (err == 0)
        err = stored_record_decode(val, len, &s);
    if (err < 0)
        return err;
    err = kv_snap_get(snap, TABLE_META, "state", 5, &val, &len);
    if (err < 0)
        return err == -EIO ? err : -ENOENT;
    if (len != STORE_RECORD_LEN || s.state != stored_record_tie(val))
        return -ENOENT;
    *ret = s;
    return 0;
}

int stored_record_load(struct kv *kv, struct stored_record *ret)
{
    struct kv_snap *snap;
    int err = kv_snap_begin(kv, &snap);

    if (err < 0)
        return err;
    err = stored_record_load_snap(snap, ret);
    kv_snap_end(snap);
    return err == 0 || err == -EIO ? err : -ENOENT;
}
