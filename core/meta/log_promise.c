// SPDX-License-Identifier: Apache-2.0
/* log_promise: see the header. */
#include "log_promise.h"

#include "bytes.h"
#include "id.h"
#include "record.h"
#include <errno.h>

#define SUM_SEED 5
#define VERSION 1

bool log_promise_decode(const void *val, size_t len, uint64_t *ret_epoch)
{
    const uint8_t *v = val;

    if (len != LOG_PROMISE_LEN ||
        get_le64(v) != id_checksum(v + 8, LOG_PROMISE_LEN - 8, SUM_SEED) ||
        get_le64(v + 8) != VERSION)
        return false;
    *ret_epoch = get_le64(v + 16);
    return true;
}

int log_promise_load(struct kv *kv, uint64_t epoch, bool *ret)
{
    uint8_t buf[LOG_PROMISE_LEN];
    uint64_t promised;
    size_t len;
    int err = kv_get(kv, TABLE_META, "log", 3, buf, sizeof buf, &len);

    *ret = err == 0 && log_promise_decode(buf, len, &promised) && promised == epoch;
    return err == -ENOENT || err == -ERANGE ? 0 : err;
}

int log_promise_save(struct kv *kv, uint64_t epoch)
{
    uint8_t buf[LOG_PROMISE_LEN];

    put_le64(buf + 8, VERSION);
    put_le64(buf + 16, epoch);
    put_le64(buf, id_checksum(buf + 8, sizeof buf - 8, SUM_SEED));
    return kv_put_row(kv, TABLE_META, "log", 3, buf, sizeof buf);
}

int log_promise_clear(struct kv *kv)
{
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    return err < 0 ? err : kv_end(t, kv_del(t, TABLE_META, "log", 3));
}
