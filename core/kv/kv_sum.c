// SPDX-License-Identifier: Apache-2.0
/*
 * kv_sum: the checksum behind each value, one code for every implementation.
 *
 * XXH3-64, all 8 bytes of it also behind the smallest values: of 8 bytes and less it is one to
 * one, so that no change of a count or of a number that leaves the length can pass, however many
 * bits it has; half of it would let one of 2^32 through. The seed has the table and the key: a
 * value that a damaged tree of keys leads to under another key does not pass either.
 */
#include "bytes.h"
#include "id.h"
#include "kv_impl.h"

#include <errno.h>
#include <string.h>

void kv_sum_init(struct kv *kv, const struct kv_table *tables)
{
    for (unsigned i = 0; i < kv->tables; i++) {
        kv->summed[i] = !tables[i].checks_itself;
        kv->seed[i] = id_checksum(tables[i].name, strlen(tables[i].name), 0);
    }
}

static uint64_t sum_of(const struct kv *kv, unsigned table, const void *key, size_t klen,
                       const void *val, size_t vlen)
{
    return id_checksum(val, vlen, id_checksum(key, klen, kv->seed[table]));
}

size_t kv_sum_make(const struct kv *kv, unsigned table, const void *key, size_t klen,
                   const void *val, size_t vlen, uint8_t out[KV_SUM_LEN])
{
    if (!kv->summed[table])
        return 0;
    put_le64(out, sum_of(kv, table, key, klen, val, vlen));
    return KV_SUM_LEN;
}

int kv_sum_check(const struct kv *kv, unsigned table, const void *key, size_t klen, const void *val,
                 size_t *len)
{
    size_t vlen = *len - KV_SUM_LEN;

    if (!kv->summed[table])
        return 0;
    if (*len < KV_SUM_LEN || vlen > KV_VALUE_MAX || /* a length is not trusted either */
        get_le64((const uint8_t *)val + vlen) != sum_of(kv, table, key, klen, val, vlen))
        return -EUCLEAN;
    *len = vlen;
    return 0;
}
