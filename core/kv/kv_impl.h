// SPDX-License-Identifier: Apache-2.0
/*
 * kv_impl: what an implementation of kv provides. Private to this folder.
 *
 * Each implementation embeds these structs as the first member of its own. kv.c has checked every
 * argument (table number, key and value limits, read-only) before it calls through the table, so
 * the functions here trust them. Contracts are those of kv.h.
 *
 * A value is stored as its bytes and then its checksum. `put` gets both, and writes them one behind
 * the other; whatever reads a stored value passes it to kv_sum_check before it says anything of it.
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
               size_t vlen, const void *sum, size_t slen);
    int (*del)(struct kv_txn *t, unsigned table, const void *key, size_t klen);
    int (*commit)(struct kv_txn *t);
    void (*abort)(struct kv_txn *t);
};

struct kv {
    const struct kv_ops *ops;
    unsigned tables; /* how many; numbers are below it */
    bool readonly;
    bool summed[KV_TABLES_MAX];   /* by table: kv adds checksums to its values */
    uint64_t seed[KV_TABLES_MAX]; /* by table: seed of its checksums, made of its name */
};

struct kv_snap {
    struct kv *kv;
};

struct kv_txn {
    struct kv *kv;
};

/* ---- LMDB's own words (kv_lmdb.c) ---- */

/* The -errno for what a function of LMDB returned; 0 for MDB_SUCCESS. */
int lmdb_errno(int rc);

/* ---- whether LMDB's file need be walked (kv_verify.c); `at` is its directory ---- */

/* Notes that commits may follow: from now on the file is in doubt. */
int kv_note_opened(int at);
/* Notes that LMDB has closed the file well. If this fails, kv_verify_lmdb walks the file. */
void kv_note_closed(int at);

/* ---- checksums (kv_sum.c) ---- */

#define KV_SUM_LEN 8

void kv_sum_init(struct kv *kv, const struct kv_table *tables);
/* Makes the checksum of a value that is to be stored. Returns its length: KV_SUM_LEN, or 0 in a
 * table that checks itself. */
size_t kv_sum_make(const struct kv *kv, unsigned table, const void *key, size_t klen,
                   const void *val, size_t vlen, uint8_t out[KV_SUM_LEN]);
/* Checks a stored value of *len bytes, and takes the length of the checksum off *len. -EUCLEAN: the
 * value is damaged, and *len is as before. */
int kv_sum_check(const struct kv *kv, unsigned table, const void *key, size_t klen, const void *val,
                 size_t *len);
