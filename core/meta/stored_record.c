// SPDX-License-Identifier: Apache-2.0
/* stored_record: see the header. */
#include "stored_record.h"

#include "bytes.h"
#include "id.h"
#include <errno.h>

#define NAME "stored"
#define NAME_LEN (sizeof NAME - 1)

void stored_record_encode(const struct stored_record *s, uint8_t out[STORED_RECORD_LEN])
{
    put_le64(out + 8, s->state);
    put_le64(out + 16, s->bytes);
    put_le64(out, id_checksum(out + 8, STORED_RECORD_LEN - 8, STORED_RECORD_SEED));
}

int stored_record_decode(const void *val, size_t len, struct stored_record *ret)
{
    const uint8_t *v = val;

    if (len != STORED_RECORD_LEN ||
        get_le64(v) != id_checksum(v + 8, STORED_RECORD_LEN - 8, STORED_RECORD_SEED))
        return -EUCLEAN;
    *ret = (struct stored_record){get_le64(v + 8), get_le64(v + 16)};
    return 0;
}

uint64_t stored_record_tie(const uint8_t state[STORE_RECORD_LEN])
{
    return id_checksum(state, STORE_RECORD_LEN, 0);
}

int stored_record_put(const struct stored_record *s, struct kv_txn *t)
{
    uint8_t val[STORED_RECORD_LEN];

    if (!s)
        return kv_del(t, TABLE_META, NAME, NAME_LEN);
    stored_record_encode(s, val);
    return kv_put(t, TABLE_META, NAME, NAME_LEN, val, sizeof val);
}

int stored_record_load_snap(struct kv_snap *snap, uint64_t *ret)
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
    *ret = s.bytes;
    return 0;
}

int stored_record_load(struct kv *kv, uint64_t *ret)
{
    struct kv_snap *snap;
    int err = kv_snap_begin(kv, &snap);

    if (err < 0)
        return err;
    err = stored_record_load_snap(snap, ret);
    kv_snap_end(snap);
    return err == 0 || err == -EIO ? err : -ENOENT;
}
