// SPDX-License-Identifier: Apache-2.0
/*
 * gc_record: see the header. The table has three kinds of keys, which differ in their length: one
 * byte 0 is the head, 16 bytes are the id of a saved object, and a byte 1 with 8 bytes is the
 * number of a cycle.
 */
#include "gc_record.h"
#include "array.h"
#include "bytes.h"
#include "record.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_LEN 40
#define SAVED_LEN 24
/* before the ids of a cycle: its keys, and with FORM_WHOLE as many whole ids */
#define RECORD_LEN 56
#define FORM_KEYS 0
#define FORM_WHOLE 1
#define RECORD_KEY 9
#define VERSION 1

static const uint8_t head_key[1] = {0};

/* Writes the checksum of a value. Its seed is made of the key, so a value under a wrong key is
 * damaged. */
static void seal(const void *key, size_t klen, uint8_t *val, size_t len)
{
    put_le64(val, id_checksum(val + 8, len - 8, id_checksum(key, klen, 0)));
}

static bool is_sound(const void *key, size_t klen, const uint8_t *val, size_t len, size_t least)
{
    return len >= least &&
           get_le64(val) == id_checksum(val + 8, len - 8, id_checksum(key, klen, 0));
}

bool gc_record_is_sound(const void *key, size_t klen, const void *val, size_t len)
{
    return is_sound(key, klen, val, len, 8);
}

/* ---- reading ---- */

/* Reads one saved object. Its id is the key of the entry. */
static int load_saved(struct gc_memory *m, const uint8_t *key, const uint8_t *v, size_t len)
{
    struct gc_saved s = {.since = 0};

    if (len != SAVED_LEN || get_le32(v + 20) != 0)
        return -EUCLEAN;
    if (ARRAY_RESERVE(m->saved, m->saved_room, m->saved_count + 1) < 0)
        return -ENOMEM;
    memcpy(s.id.b, key, ID_LEN);
    s.since = (int64_t)get_le64(v + 8);
    s.mark = get_le32(v + 16);
    m->saved[m->saved_count++] = s;
    return 0;
}

/* Reads one cycle of the history. The ids stand behind the fixed part: `ids` keys, and with
 * FORM_WHOLE the whole ids of the same objects. */
static int load_history(struct gc_memory *m, const uint8_t *key, const uint8_t *v, size_t len)
{
    size_t ids = get_le32(v + 48), form = get_le32(v + 52);
    size_t rest = form == FORM_WHOLE ? 2 * ids : ids;
    struct gc_record r = {.cycle = get_be64(key + 1),
                          .time = (int64_t)get_le64(v + 8),
                          .eligible = get_le64(v + 16),
                          .collected = get_le64(v + 24),
                          .preserved = get_le64(v + 32),
                          .nodes = get_le64(v + 40),
                          .id_count = ids};

    if (ids > GC_HISTORY_IDS || form > FORM_WHOLE || len != RECORD_LEN + rest * ID_LEN)
        return -EUCLEAN;
    if (ARRAY_RESERVE(m->history, m->history_room, m->history_count + 1) < 0)
        return -ENOMEM;
    r.ids = calloc(rest + 1, sizeof *r.ids);
    if (!r.ids)
        return -ENOMEM;
    memcpy(r.ids, v + RECORD_LEN, rest * sizeof *r.ids);
    r.whole = form == FORM_WHOLE ? r.ids + ids : NULL;
    m->history[m->history_count++] = r;
    return 0;
}

static int load_head(struct gc_memory *m, const uint8_t *v, uint64_t *ret_count)
{
    m->serial = get_le64(v + 8);
    m->cycles = get_le64(v + 16);
    *ret_count = get_le32(v + 24);
    m->recount_due = get_le64(v + 32) == 1;
    return get_le32(v + 28) == VERSION && get_le64(v + 32) <= 1 ? 0 : -EUCLEAN;
}

/* Decodes one entry by the length of its key. An entry of any other length is damage. */
static int load_one(struct gc_memory *m, const void *key, size_t klen, const void *val, size_t len,
                    uint64_t *ret_count)
{
    if (klen == sizeof head_key && is_sound(key, klen, val, len, HEAD_LEN) && len == HEAD_LEN)
        return load_head(m, val, ret_count);
    if (klen == ID_LEN && is_sound(key, klen, val, len, SAVED_LEN))
        return load_saved(m, key, val, len);
    if (klen == RECORD_KEY && is_sound(key, klen, val, len, RECORD_LEN))
        return load_history(m, key, val, len);
    return -EUCLEAN;
}

static int wrong(char why[GC_RECORD_WHY], const char *what)
{
    snprintf(why, GC_RECORD_WHY, "%s", what);
    return -EUCLEAN;
}

int gc_record_load(struct kv_snap *snap, struct gc_memory *ret, char why[GC_RECORD_WHY])
{
    struct kv_each e = {.snap = snap, .table = TABLE_GC, .strict = true};
    uint64_t expected = 0;

    *ret = (struct gc_memory){0};
    while (kv_next(&e)) {
        e.err = load_one(ret, e.key, e.klen, e.val, e.len, &expected);
        if (e.err == -EUCLEAN)
            return wrong(why, "a record of it is damaged");
    }
    if (e.err < 0)
        return e.err == -EUCLEAN ? wrong(why, "its table cannot be read to its end") : e.err;
    if (ret->saved_count != expected)
        return wrong(why, "there are other records of it than its head says");
    for (size_t i = 0; i < ret->saved_count; i++)
        if (ret->saved[i].mark > ret->serial)
            return wrong(why, "a mark has a serial that was never given");
    return 0;
}

void gc_memory_release(struct gc_memory *m)
{
    for (size_t i = 0; i < m->history_count; i++)
        free(m->history[i].ids);
    free(m->history);
    free(m->saved);
    *m = (struct gc_memory){0};
}

/* ---- writing ---- */

/* Writes the head. `count` is the number of saved objects: a reader compares it, so a lost row is
 * noticed. */
static int put_head(struct kv_txn *t, uint64_t serial, uint64_t cycles, size_t count, bool due)
{
    uint8_t v[HEAD_LEN];

    put_le64(v + 8, serial);
    put_le64(v + 16, cycles);
    put_le32(v + 24, (uint32_t)count);
    put_le32(v + 28, VERSION);
    put_le64(v + 32, due);
    seal(head_key, sizeof head_key, v, sizeof v);
    return kv_put(t, TABLE_GC, head_key, sizeof head_key, v, sizeof v);
}

static int put_saved(struct kv_txn *t, const struct gc_saved *s)
{
    uint8_t v[SAVED_LEN] = {0};

    put_le64(v + 8, (uint64_t)s->since);
    put_le32(v + 16, s->mark);
    seal(s->id.b, ID_LEN, v, sizeof v);
    return kv_put(t, TABLE_GC, s->id.b, ID_LEN, v, sizeof v);
}

static void record_key(uint64_t cycle, uint8_t key[RECORD_KEY])
{
    key[0] = 1;
    put_be64(key + 1, cycle);
}

/* Writes one cycle of the history; load_history has the layout. */
static int put_record(struct kv_txn *t, const struct gc_record *r)
{
    size_t keys = r->id_count * ID_LEN, len = RECORD_LEN + (r->whole ? 2 * keys : keys);
    uint8_t key[RECORD_KEY], *v = malloc(len);
    int err;

    if (!v)
        return -ENOMEM;
    record_key(r->cycle, key);
    put_le64(v + 8, (uint64_t)r->time);
    put_le64(v + 16, r->eligible);
    put_le64(v + 24, r->collected);
    put_le64(v + 32, r->preserved);
    put_le64(v + 40, r->nodes);
    put_le32(v + 48, (uint32_t)r->id_count);
    put_le32(v + 52, r->whole ? FORM_WHOLE : FORM_KEYS);
    if (r->id_count)
        memcpy(v + RECORD_LEN, r->ids, keys);
    if (r->id_count && r->whole)
        memcpy(v + RECORD_LEN + keys, r->whole, keys);
    seal(key, sizeof key, v, len);
    err = kv_put(t, TABLE_GC, key, sizeof key, v, len);
    free(v);
    return err;
}

static bool is_saved(const struct gc_saved *v, size_t count, const struct id *id)
{
    size_t at = id_lower_bound(v, count, sizeof *v, id);

    return at < count && id_equal(&v[at].id, id);
}

/* Deletes the saved objects that are not in `v` any more, and the oldest cycles, so that
 * GC_HISTORY_MAX remain after one more is added (`one_more`). */
static int delete_old(struct kv_txn *t, const struct gc_memory *old, const struct gc_saved *v,
                      size_t count, bool one_more)
{
    uint8_t key[RECORD_KEY];
    int err = 0;

    for (size_t i = 0; i < old->saved_count && err == 0; i++)
        if (!is_saved(v, count, &old->saved[i].id))
            err = kv_del(t, TABLE_GC, old->saved[i].id.b, ID_LEN);
    for (size_t i = 0; i + GC_HISTORY_MAX < old->history_count + one_more && err == 0; i++) {
        record_key(old->history[i].cycle, key);
        err = kv_del(t, TABLE_GC, key, sizeof key);
    }
    return err;
}

/* Reads the table as it is. Damage is an error also before a write: the write would hide it. */
static int read_old(struct kv *kv, struct gc_memory *ret)
{
    char why[GC_RECORD_WHY];
    struct kv_snap *s;
    int err = kv_snap_begin(kv, &s);

    if (err < 0)
        return err;
    err = gc_record_load(s, ret, why);
    kv_snap_end(s);
    return err;
}

/* Rewrites the head alone. A NULL argument keeps the value that the head has. */
static int change_head(struct kv *kv, const uint64_t *serial, const bool *due)
{
    struct gc_memory old = {0};
    struct kv_txn *t;
    int err = read_old(kv, &old);

    if (err == 0)
        err = kv_txn_begin(kv, &t);
    if (err == 0)
        err = kv_end(t, put_head(t, serial ? *serial : old.serial, old.cycles, old.saved_count,
                                 due ? *due : old.recount_due));
    gc_memory_release(&old);
    return err;
}

int gc_record_serial(struct kv *kv, uint64_t serial)
{
    return change_head(kv, &serial, NULL);
}

int gc_record_due(struct kv *kv, bool due)
{
    return change_head(kv, NULL, &due);
}

/* Does the work of gc_record_save in one transaction, so a crash leaves the old set or the new
 * one. */
static int save(struct kv *kv, uint64_t serial, uint64_t cycles, const struct gc_saved *v,
                size_t count, const struct gc_record *record, const struct gc_memory *old)
{
    struct kv_txn *t;
    int err = kv_txn_begin(kv, &t);

    if (err < 0)
        return err;
    err = delete_old(t, old, v, count, record);
    for (size_t i = 0; i < count && err == 0; i++)
        err = put_saved(t, &v[i]);
    if (err == 0 && record)
        err = put_record(t, record);
    if (err == 0)
        err = put_head(t, serial, cycles, count, old->recount_due);
    return kv_end(t, err);
}

int gc_record_save(struct kv *kv, uint64_t serial, uint64_t cycles, const struct gc_saved *v,
                   size_t count, const struct gc_record *record)
{
    struct gc_memory old = {0};
    int err = read_old(kv, &old);

    if (count > UINT32_MAX)
        err = err < 0 ? err : -EOVERFLOW;
    if (err == 0 && (count || record || old.saved_count || old.serial != serial))
        err = save(kv, serial, cycles, v, count, record, &old);
    gc_memory_release(&old);
    return err;
}
