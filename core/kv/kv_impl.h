// SPDX-License-Identifier: Apache-2.0
/*
 * kv_impl: what an implementation of kv provides. Private to this folder.
 *
 * Each implementation embeds these structs as the first member of its own. kv.c has checked every
 * argument (table number, key and value limits, read-only) before it calls through the table, so
 * the functions here trust them. Contracts are those of kv.h.
 */
#pragma once

#include "kv.h"

struct kv_ops {
    void (*close)(struct kv *kv);
    int (*get)(struct kv *kv, unsigned table, const void *key, size_t klen, void *buf, size_t cap,
               size_t *ret_len);
    uint64_t (*disk_bytes)(struct kv *kv);

    int (*snap_begin)(struct kv *kv, struct kv_snap **ret_snap);
    void (*snap_end)(struct kv_snap *s);
    int (*snap_get)(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                    const void **ret_val, size_t *ret_len);
    int (*snap_seek)(struct kv_snap *s, unsigned table, const void *key, size_t klen, bool after,
                     const void **ret_key, size_t *ret_klen, const void **ret_val, size_t *ret_len);
    int (*snap_count)(struct kv_snap *s, unsigned table, uint64_t *ret_count);

    int (*txn_begin)(struct kv *kv, struct kv_txn **ret_txn);
    int (*put)(struct kv_txn *t, unsigned table, const void *key, size_t klen, const void *val,
               size_t vlen);
    int (*del)(struct kv_txn *t, unsigned table, const void *key, size_t klen);
    int (*commit)(struct kv_txn *t);
    void (*abort)(struct kv_txn *t);
};

struct kv {
    const struct kv_ops *ops;
    unsigned tables; /* how many; numbers are below it */
    bool readonly;
};

struct kv_snap {
    struct kv *kv;
};

struct kv_txn {
    struct kv *kv;
};
