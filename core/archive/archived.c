// SPDX-License-Identifier: Apache-2.0
/* archived: see the header. A key is the number of the archive, 2, and that of the object, 8. */
#include "archived.h"

#include "bytes.h"
#include "layer.h"
#include "lock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LEN_ARCHIVED 10
#define VALUE_LEN 13
#define AT_ONCE 256 /* rows that are removed under one hold of the lock */
#define ARCHIVES_MAX 65536

struct archived {
    struct mutex lock; /* "archived" */
    struct layer *rows;
    uint8_t used[ARCHIVES_MAX / 8]; /* a bit for each archive that may have rows */
    uint16_t lowest;                /* no lower one has any; 0: none has */
};

static void make_key(uint16_t archive, uint64_t number, uint8_t key[KEY_LEN_ARCHIVED])
{
    key[0] = (uint8_t)(archive >> 8);
    key[1] = (uint8_t)archive;
    put_be64(key + 2, number);
}

static uint16_t archive_of(const uint8_t *key)
{
    return (uint16_t)(key[0] << 8 | key[1]);
}

static void note_used(struct archived *a, uint16_t archive)
{
    a->used[archive / 8] |= (uint8_t)(1u << archive % 8);
    if (!a->lowest || archive < a->lowest)
        a->lowest = archive;
}

static bool is_used(const struct archived *a, unsigned archive)
{
    return a->used[archive / 8] & 1u << archive % 8;
}

/* Finds the first key of each archive that has rows. */
static int find_used(struct archived *a)
{
    uint8_t after[KEY_LEN_ARCHIVED], key[KEY_LEN_ARCHIVED];
    size_t count = 0;
    int err = layer_keys(a->rows, NULL, key, 1, &count);

    while (err == 0 && count == 1) {
        note_used(a, archive_of(key));
        make_key(archive_of(key), UINT64_MAX, after);
        err = layer_keys(a->rows, after, key, 1, &count);
    }
    return err;
}

int archived_open(struct kv *kv, unsigned table, struct archived **ret)
{
    struct archived *a = calloc(1, sizeof *a);
    int err = a ? layer_create(kv, table, KEY_LEN_ARCHIVED, &a->rows) : -ENOMEM;

    if (err < 0) {
        free(a);
        return err;
    }
    mutex_init(&a->lock, "archived");
    {
        MUTEX_GUARD(&a->lock);
        err = find_used(a);
    }
    if (err < 0)
        archived_close(a);
    else
        *ret = a;
    return err;
}

void archived_close(struct archived *a)
{
    if (!a)
        return;
    layer_destroy(a->rows);
    mutex_destroy(&a->lock);
    free(a);
}

static int decode(const uint8_t value[VALUE_LEN], size_t len, struct archived_place *ret)
{
    if (len != VALUE_LEN || value[0] > 1)
        return -EUCLEAN;
    *ret = (struct archived_place){
        .in_pack = value[0], .where = get_le64(value + 1), .offset = get_le32(value + 9)};
    return 0;
}

int archived_get(struct archived *a, uint16_t archive, uint64_t number, struct archived_place *ret)
{
    uint8_t key[KEY_LEN_ARCHIVED], value[VALUE_LEN];
    size_t len;
    int err;

    make_key(archive, number, key);
    {
        MUTEX_GUARD(&a->lock);
        err = is_used(a, archive) ? layer_get(a->rows, key, value, sizeof value, &len) : -ENOENT;
    }
    if (err < 0)
        return err == -ERANGE ? -EUCLEAN : err;
    return decode(value, len, ret);
}

int archived_put(struct archived *a, uint16_t archive, uint64_t number,
                 const struct archived_place *place)
{
    uint8_t key[KEY_LEN_ARCHIVED], value[VALUE_LEN];
    int err;

    make_key(archive, number, key);
    value[0] = place->in_pack;
    put_le64(value + 1, place->where);
    put_le32(value + 9, place->offset);
    MUTEX_GUARD(&a->lock);
    err = layer_put(a->rows, key, value, sizeof value);
    if (err == 0)
        note_used(a, archive);
    return err;
}

/* Removes the row of one archive, if there is one: else a removal would be written for nothing. */
static void forget_one(struct archived *a, uint16_t archive, uint64_t number)
{
    uint8_t key[KEY_LEN_ARCHIVED], value[VALUE_LEN];
    size_t len;

    make_key(archive, number, key);
    if (layer_get(a->rows, key, value, sizeof value, &len) != -ENOENT)
        (void)layer_del(a->rows, key);
}

void archived_forget(struct archived *a, uint64_t number)
{
    MUTEX_GUARD(&a->lock);

    for (unsigned archive = a->lowest; archive && archive < ARCHIVES_MAX; archive++)
        if (is_used(a, archive))
            forget_one(a, (uint16_t)archive, number);
}

/* Removes some rows. -ENOENT: there are no more. */
static int drop_some(struct archived *a, uint16_t archive)
{
    uint8_t keys[AT_ONCE][KEY_LEN_ARCHIVED], after[KEY_LEN_ARCHIVED];
    size_t count;
    int err;
    MUTEX_GUARD(&a->lock);

    make_key(archive, 0, after); /* no object has the number 0 */
    err = layer_keys(a->rows, after, keys, AT_ONCE, &count);
    for (size_t i = 0; err == 0 && i < count; i++)
        err = archive_of(keys[i]) == archive ? layer_del(a->rows, keys[i]) : -ENOENT;
    return err == 0 && count < AT_ONCE ? -ENOENT : err;
}

int archived_drop(struct archived *a, uint16_t archive)
{
    int err;

    do
        err = drop_some(a, archive);
    while (err == 0);
    return err == -ENOENT ? 0 : err;
}

/* Looks at some rows behind `after`, which becomes the key of the last one of them. -ENOENT: there
 * are no more. */
static int drop_some_places(struct archived *a, uint16_t archive, archived_gone_fn *gone, void *ctx,
                            uint8_t after[KEY_LEN_ARCHIVED])
{
    uint8_t keys[AT_ONCE][KEY_LEN_ARCHIVED], value[VALUE_LEN];
    size_t count, len;
    int err;
    MUTEX_GUARD(&a->lock);

    err = layer_keys(a->rows, after, keys, AT_ONCE, &count);
    for (size_t i = 0; err == 0 && i < count; i++) {
        struct archived_place place;

        if (archive_of(keys[i]) != archive)
            return -ENOENT;
        err = layer_get(a->rows, keys[i], value, sizeof value, &len);
        if (err == 0)
            err = decode(value, len, &place);
        if (err == 0 && gone(&place, ctx))
            err = layer_del(a->rows, keys[i]);
    }
    if (err == 0 && count)
        memcpy(after, keys[count - 1], KEY_LEN_ARCHIVED);
    return err == 0 && count < AT_ONCE ? -ENOENT : err == -ERANGE ? -EUCLEAN : err;
}

int archived_drop_places(struct archived *a, uint16_t archive, archived_gone_fn *gone, void *ctx)
{
    uint8_t after[KEY_LEN_ARCHIVED];
    int err;

    make_key(archive, 0, after);
    do
        err = drop_some_places(a, archive, gone, ctx, after);
    while (err == 0);
    return err == -ENOENT ? 0 : err;
}

struct asked {
    archived_gone_fn *is;
    void *ctx;
    bool any;
};

/* It drops nothing. */
static bool look_at(const struct archived_place *place, void *ctx)
{
    struct asked *q = ctx;

    q->any = q->any || q->is(place, q->ctx);
    return false;
}

int archived_any(struct archived *a, uint16_t archive, archived_gone_fn *is, void *ctx)
{
    struct asked q = {.is = is, .ctx = ctx};
    uint8_t after[KEY_LEN_ARCHIVED];
    int err;

    make_key(archive, 0, after);
    do
        err = drop_some_places(a, archive, look_at, &q, after);
    while (err == 0 && !q.any);
    return q.any ? 1 : err == -ENOENT ? 0 : err;
}

int archived_freeze(struct archived *a)
{
    MUTEX_GUARD(&a->lock);

    return layer_freeze(a->rows);
}

int archived_write(struct archived *a, size_t n, struct kv_txn *t)
{
    return layer_write(a->rows, n, t);
}

void archived_retire(struct archived *a, size_t n)
{
    MUTEX_GUARD(&a->lock);

    layer_retire(a->rows, n);
}
