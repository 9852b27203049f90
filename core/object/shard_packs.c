// SPDX-License-Identifier: Apache-2.0
/* shard_packs: see the header. A key is the shard (2 bytes) and the pack (8 bytes), big-endian, so
 * that rows are in that order. */
#include "shard_packs.h"
#include "bytes.h"
#include "layer.h"
#include "lock.h"
#include <errno.h>
#include <stdlib.h>

#define KEY_LEN 10 /* bytes */

/* See the header. */
struct shard_packs {
    struct mutex lock; /* "shard packs": guards `rows` */
    struct layer *rows;
};

static void make_key(uint8_t key[KEY_LEN], uint16_t shard, uint64_t pack)
{
    key[0] = (uint8_t)(shard >> 8);
    key[1] = (uint8_t)shard;
    put_be64(key + 2, pack);
}

static int load_pack(struct shard_packs *p, uint16_t shard, uint64_t pack, struct pack_entry *ret)
{
    uint8_t key[KEY_LEN], buf[PACK_ENTRY_LEN];
    size_t len;
    int err;

    mutex_held(&p->lock);
    make_key(key, shard, pack);
    err = layer_get(p->rows, key, buf, sizeof buf, &len);
    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    return pack_entry_decode(buf, len, ret);
}

static int save(struct shard_packs *p, uint16_t shard, uint64_t pack, const struct pack_entry *e)
{
    uint8_t key[KEY_LEN], buf[PACK_ENTRY_LEN];

    mutex_held(&p->lock);
    make_key(key, shard, pack);
    pack_entry_encode(e, buf);
    return layer_put(p->rows, key, buf, sizeof buf);
}

int shard_packs_add(struct shard_packs *p, uint16_t shard, uint64_t pack, uint32_t records,
                    uint64_t bytes, uint64_t file_bytes)
{
    struct pack_entry e = {.file_bytes = file_bytes};
    MUTEX_GUARD(&p->lock);
    int err = load_pack(p, shard, pack, &e);

    if (err < 0 && err != -ENOENT)
        return err;
    if (e.file_bytes != file_bytes || records > UINT32_MAX - e.live_records ||
        bytes > file_bytes - e.live_bytes)
        return -EUCLEAN;
    e.live_records += records;
    e.live_bytes += bytes;
    return save(p, shard, pack, &e);
}

int shard_packs_count_out(struct shard_packs *p, uint16_t shard, uint64_t pack, uint32_t records,
                          uint64_t bytes, struct pack_entry *ret_left)
{
    struct pack_entry e;
    MUTEX_GUARD(&p->lock);
    int err = load_pack(p, shard, pack, &e);

    if (err < 0)
        return err;
    if (records > e.live_records || bytes > e.live_bytes)
        return -EUCLEAN;
    e.live_records -= records;
    e.live_bytes -= bytes;
    err = save(p, shard, pack, &e);
    if (err == 0 && ret_left)
        *ret_left = e;
    return err;
}

int shard_packs_get(struct shard_packs *p, uint16_t shard, uint64_t pack, struct pack_entry *ret)
{
    MUTEX_GUARD(&p->lock);
    return load_pack(p, shard, pack, ret);
}

int shard_packs_forget(struct shard_packs *p, uint16_t shard, uint64_t pack)
{
    struct pack_entry e;
    uint8_t key[KEY_LEN];
    MUTEX_GUARD(&p->lock);
    int err = load_pack(p, shard, pack, &e);

    if (err < 0)
        return err;
    if (e.live_records > 0)
        return -EBUSY;
    make_key(key, shard, pack);
    return layer_del(p->rows, key);
}

int shard_packs_next(struct shard_packs *p, uint16_t *shard, uint64_t *pack, struct pack_entry *ret)
{
    uint8_t from[KEY_LEN], key[KEY_LEN], buf[PACK_ENTRY_LEN];
    size_t len;
    MUTEX_GUARD(&p->lock);
    int err;

    make_key(from, *shard, *pack);
    err = layer_next(p->rows, from, key, buf, sizeof buf, &len);
    if (err == 0)
        err = pack_entry_decode(buf, len, ret);
    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    *shard = (uint16_t)(key[0] << 8 | key[1]);
    *pack = get_be64(key + 2);
    return 0;
}

/* ---- opening, committing ---- */

int shard_packs_open(struct kv *kv, unsigned table, struct shard_packs **ret_packs)
{
    struct shard_packs *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return -ENOMEM;
    mutex_init(&p->lock, "shard packs");
    err = layer_create(kv, table, KEY_LEN, &p->rows);
    if (err < 0) {
        shard_packs_close(p);
        return err;
    }
    *ret_packs = p;
    return 0;
}

void shard_packs_close(struct shard_packs *p)
{
    if (!p)
        return;
    layer_destroy(p->rows);
    mutex_destroy(&p->lock);
    free(p);
}

int shard_packs_freeze(struct shard_packs *p)
{
    MUTEX_GUARD(&p->lock);
    return layer_freeze(p->rows);
}

int shard_packs_write(struct shard_packs *p, size_t n, struct kv_txn *t)
{
    return layer_write(p->rows, n, t);
}

void shard_packs_retire(struct shard_packs *p, size_t n)
{
    MUTEX_GUARD(&p->lock);
    layer_retire(p->rows, n);
}

size_t shard_packs_changes(struct shard_packs *p)
{
    return layer_pending(p->rows);
}
