// SPDX-License-Identifier: Apache-2.0
/*
 * kv: checks the arguments once, for every implementation, and calls through its functions.
 */
#include "kv_impl.h"

#include "yield_cpu.h"
#include "bytes.h"
#include "mapped.h"

#include <errno.h>
#include <string.h>

static bool key_ok(const struct kv *kv, unsigned table, size_t klen)
{
    return table < kv->tables && klen >= 1 && klen <= KV_KEY_MAX;
}

void kv_close(struct kv *kv)
{
    if (kv)
        kv->ops->close(kv);
}

int kv_get(struct kv *kv, unsigned table, const void *key, size_t klen, void *buf, size_t cap,
           size_t *ret_len)
{
    if (!key_ok(kv, table, klen))
        return -EINVAL;
    return kv->ops->get(kv, table, key, klen, buf, cap, ret_len);
}

uint64_t kv_disk_bytes(struct kv *kv)
{
    return kv->ops->disk_bytes(kv);
}

int kv_snap_begin(struct kv *kv, struct kv_snap **ret_snap)
{
    return kv->ops->snap_begin(kv, ret_snap);
}

void kv_snap_end(struct kv_snap *s)
{
    if (s)
        s->kv->ops->snap_end(s);
}

int kv_snap_get(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                const void **ret_val, size_t *ret_len)
{
    if (!key_ok(s->kv, table, klen))
        return -EINVAL;
    return s->kv->ops->snap_get(s, table, key, klen, ret_val, ret_len);
}

int kv_snap_get_number(struct kv_snap *s, unsigned table, uint64_t number, const void **ret_val,
                       size_t *ret_len)
{
    uint8_t key[8];

    put_be64(key, number);
    return kv_snap_get(s, table, key, sizeof key, ret_val, ret_len);
}

struct copying {
    void *to;
    const void *from;
    size_t len;
};

static int copy_guarded(void *arg)
{
    const struct copying *c = arg;
    if (c->len > 0)
        memcpy(c->to, c->from, c->len);
    return 0;
}

int kv_snap_copy(void *to, const void *from, size_t len)
{
    struct copying c = {to, from, len};
    return mapped_guard(copy_guarded, &c);
}

int kv_snap_seek(struct kv_snap *s, unsigned table, const void *key, size_t klen, bool after,
                 const void **ret_key, size_t *ret_klen, const void **ret_val, size_t *ret_len)
{
    if (table >= s->kv->tables || klen > KV_KEY_MAX)
        return -EINVAL;
    yield_cpu();
    return s->kv->ops->snap_seek(s, table, key, klen, after, ret_key, ret_klen, ret_val, ret_len);
}

static int seek_row(struct kv_each *e)
{
    uint8_t first[8];
    bool is_first = e->klen == 0 && (e->from > 0 || e->after);

    put_be64(first, e->from);
    return kv_snap_seek(e->snap, e->table, is_first ? first : e->key,
                        is_first ? sizeof first : e->klen, e->after, &e->key, &e->klen, &e->val,
                        &e->len);
}

bool kv_next(struct kv_each *e)
{
    static const uint64_t nothing;
    int err;

    if (e->err != 0)
        return false;
    err = seek_row(e);
    e->after = true;
    e->cut = err == -EUCLEAN && !e->key;
    if (err == -EUCLEAN && !e->cut && !e->strict) {
        e->val = &nothing;
        e->len = KV_DAMAGED;
        err = 0;
    }
    e->number = err == 0 && e->klen == 8 ? get_be64(e->key) : 0;
    e->err = err == -ENOENT ? 0 : err;
    return err == 0;
}

int kv_each_number(struct kv_snap *s, unsigned table,
                   int (*fn)(void *ctx, uint64_t number, const void *val, size_t len), void *ctx)
{
    struct kv_each e = {.snap = s, .table = table};

    while (kv_next(&e))
        e.err = e.klen == 8 ? fn(ctx, e.number, e.val, e.len) : 0;
    return e.err;
}

int kv_get_numbers(struct kv *kv, unsigned table, uint64_t from, uint64_t *v, size_t most,
                   size_t *ret_count)
{
    struct kv_each e = {.table = table, .from = from};
    size_t n = 0;
    int err = kv_snap_begin(kv, &e.snap);

    if (err < 0)
        return err;
    while (n < most && kv_next(&e))
        if (e.klen != 8)
            e.err = -EUCLEAN;
        else
            v[n++] = e.number;
    kv_snap_end(e.snap);
    *ret_count = n;
    return n ? 0 : e.err;
}

int kv_snap_count(struct kv_snap *s, unsigned table, uint64_t *ret_count)
{
    if (table >= s->kv->tables)
        return -EINVAL;
    return s->kv->ops->snap_count(s, table, ret_count);
}

int kv_txn_begin(struct kv *kv, struct kv_txn **ret_txn)
{
    return kv->readonly ? -EROFS : kv->ops->txn_begin(kv, ret_txn);
}

int kv_put(struct kv_txn *t, unsigned table, const void *key, size_t klen, const void *val,
           size_t vlen)
{
    uint8_t sum[KV_SUM_LEN];
    if (!key_ok(t->kv, table, klen) || vlen > KV_VALUE_MAX)
        return -EINVAL;
    yield_cpu(); /* a commit has very many */
    size_t slen = kv_sum_make(t->kv, table, key, klen, val, vlen, sum);
    return t->kv->ops->put(t, table, key, klen, val, vlen, sum, slen);
}

int kv_del(struct kv_txn *t, unsigned table, const void *key, size_t klen)
{
    if (!key_ok(t->kv, table, klen))
        return -EINVAL;
    yield_cpu();
    return t->kv->ops->del(t, table, key, klen);
}

int kv_commit(struct kv_txn *t)
{
    return t->kv->ops->commit(t);
}

void kv_abort(struct kv_txn *t)
{
    if (t)
        t->kv->ops->abort(t);
}

int kv_end(struct kv_txn *t, int err)
{
    if (err == 0)
        return kv_commit(t);
    kv_abort(t);
    return err;
}

int kv_put_row(struct kv *kv, unsigned table, const void *key, size_t klen, const void *val,
               size_t vlen)
{
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    return err < 0 ? err : kv_end(t, kv_put(t, table, key, klen, val, vlen));
}
