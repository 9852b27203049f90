// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_shards_fix: is a leak on another shard needed after all, and away with it. As leaks_fix.c; what
 * is deleted was seen to be nobody's by the search, and asking again is the second rope.
 *
 * Right before a deletion the shard is asked afresh whether it is the right one: names on two shards of
 * a store may be equal, and disks are swapped.
 */
#include "leaks_impl.h"
#include "move.h"
#include "shard_packs.h"
#include "shards.h"
#include <errno.h>
#include <stdio.h>

/* ---- asking ---- */

static bool is_file(const struct leak *l, const struct entry *e)
{
    return e->kind == ENTRY_FILE && e->shard == leak_shard(&l->key) &&
           e->where == leak_number(&l->key);
}

static int named_now(struct state *p, const struct leak *l)
{
    uint64_t number;
    struct entry e;
    bool pending;
    int err = refs_find(p->refs, &l->id, &number, &e, &pending);

    if (err < 0)
        return err == -ENOENT || err == -EAGAIN ? 0 : err;
    refs_unhold(p->refs, number);
    return is_file(l, &e);
}

static int named_by_the_commit(struct state *p, const struct leak *l)
{
    uint8_t key[8], buf[ENTRY_MAX];
    struct entry e;
    size_t len;
    int err = kv_get(p->config.kv, TABLE_IDS, l->id.b, ID_LEN, key, sizeof key, &len);

    if (err == 0 && len == sizeof key)
        err = kv_get(p->config.kv, TABLE_OBJECTS, key, sizeof key, buf, sizeof buf, &len);
    if (err == -ENOENT)
        return 0;
    if (err == 0)
        err = entry_decode(buf, len, &e);
    return err == -ERANGE ? -EUCLEAN : err < 0 ? err : is_file(l, &e);
}

static int committed_row(struct state *p, uint16_t shard, uint64_t pack, struct pack_entry *ret)
{
    uint8_t key[10] = {(uint8_t)(shard >> 8), (uint8_t)shard}, buf[PACK_ENTRY_LEN];
    size_t len;
    int err;

    put_be64(key + 2, pack);
    err = kv_get(p->config.kv, TABLE_SHARD_PACKS, key, sizeof key, buf, sizeof buf, &len);
    if (err == 0)
        err = pack_entry_decode(buf, len, ret);
    return err == -ERANGE ? -EUCLEAN : err;
}

static int pack_is_needed(struct state *p, const struct leak *l)
{
    uint16_t shard = leak_shard(&l->key);
    uint64_t pack = leak_number(&l->key);
    struct pack_entry e;
    int err = shard_packs_get(p->shard_packs, shard, pack, &e);

    if (err == 0 && e.live_records == 0)
        err = -ENOENT;
    if (err == -ENOENT)
        err = committed_row(p, shard, pack, &e);
    return err == -ENOENT ? 0 : err < 0 ? err : e.live_records > 0;
}

int leak_shard_is_needed(struct state *p, const struct leak *l)
{
    int r;

    if (l->unknown || leak_number(&l->key) >= move_in_flight(p, leak_shard(&l->key)))
        return 1;
    switch (leak_kind(&l->key)) {
    case LEAK_SHARD_FILE:
        r = named_now(p, l);
        return r ? r : named_by_the_commit(p, l);
    case LEAK_SHARD_PACK:
        return pack_is_needed(p, l);
    default:
        return 0; /* it is only a count */
    }
}

/* ---- removing ---- */

static int delete_name(struct state *p, uint16_t number, struct shard *s, const char *name)
{
    int err = shard_delete(s, name);

    return err < 0 ? shards_said(p->shards, number, err) : 0;
}

/* The sums last, as a release does. */
static int delete_file(struct state *p, struct shard *s, const struct leak *l)
{
    uint16_t number = leak_shard(&l->key);
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 1 + 5];
    int err;

    blob_object_name(&l->id, leak_number(&l->key), name);
    snprintf(sums, sizeof sums, "%s.sums", name);
    err = delete_name(p, number, s, name);
    if (err < 0 && err != -ENOENT)
        return err;
    err = delete_name(p, number, s, sums);
    return err == -ENOENT ? 0 : err;
}

static int forget_row(struct state *p, const struct leak *l)
{
    int err;
    INSTANT_TXN(t, p);

    err = shard_packs_forget(p->shard_packs, leak_shard(&l->key), leak_number(&l->key));
    if (err == 0)
        state_changed(&t, NULL);
    return err == -ENOENT ? 0 : err;
}

static int delete_pack(struct state *p, struct shard *s, const struct leak *l)
{
    char name[DISK_NAME_MAX + 1];
    int err;

    pack_name(leak_number(&l->key), name);
    err = delete_name(p, leak_shard(&l->key), s, name);
    return err < 0 && err != -ENOENT ? err : forget_row(p, l);
}

/* Nobody may say anything else between the look and the end: nobody can come to need it. */
static int delete_there(struct state *p, struct shard *s, const struct leak *l)
{
    int err = shards_said(p->shards, leak_shard(&l->key), -ENOENT);

    if (err != -ENOENT)
        return err;
    {
        WRITE_GUARD(&p->gate);
        err = leak_shard_is_needed(p, l);
    }
    if (err)
        return err < 0 ? err : -EBUSY;
    return leak_kind(&l->key) == LEAK_SHARD_FILE ? delete_file(p, s, l) : delete_pack(p, s, l);
}

static int count_out(struct state *p, const struct leak *l)
{
    struct pack_entry left;
    int err;
    INSTANT_TXN(t, p);

    err = leak_shard_is_needed(p, l);
    if (err)
        return err < 0 ? err : -EBUSY;
    err = shard_packs_count_out(p->shard_packs, leak_shard(&l->key), leak_number(&l->key),
                                l->records, l->bytes, &left);
    if (err == 0)
        state_changed(&t, NULL);
    return err;
}

int leak_shard_remove(struct state *p, const struct leak *l)
{
    uint16_t number = leak_shard(&l->key);
    struct shard *s;
    int err;

    if (leak_kind(&l->key) == LEAK_SHARD_RECORDS)
        return count_out(p, l);
    err = shards_get(p->shards, number, SHARDS_WRITE, &s, NULL);
    if (err < 0)
        return err;
    err = delete_there(p, s, l);
    shards_put_back(p->shards, number);
    return err;
}
