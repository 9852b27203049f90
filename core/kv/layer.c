// SPDX-License-Identifier: Apache-2.0
/*
 * layer: uncommitted changes in front of a kv table, as two maps.
 *
 *     index: [ ][tag,at][ ][tag,at] ...      at -> slots: [change][change][change] ...
 *
 * A miss is the usual answer, and it reads eight bytes of the index and no slot. Slots lie dense in
 * the order of arrival; a deletion is a slot like any other, so nothing is ever taken out of a map:
 * it only grows until it is thawed as a whole.
 */
#include "layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 16
#define SLOTS_MIN 64
#define SLOTS_MAX ((size_t)1 << 31)

struct slot {
    uint8_t key[KEY_MAX]; /* zero beyond the layer's key length */
    uint32_t hash;
    uint8_t vlen;
    bool deleted;
    uint8_t val[LAYER_VALUE_MAX];
};

struct cell {
    uint32_t tag; /* hash of the key */
    uint32_t at;  /* 1 + number of the slot; 0: empty */
};

/* Invariant: size is 0 or a power of two; index has 2 * size cells, so at most half are in use. */
struct map {
    struct cell *index;
    struct slot *slots;
    size_t size;  /* slots there is room for */
    size_t count; /* slots in use */
};

struct layer {
    struct kv *kv;
    unsigned table;
    size_t klen;
    bool frozen_now; /* between freeze and thaw, even when nothing was pending */
    struct map active;
    struct map frozen;
};

struct key {
    uint8_t bytes[KEY_MAX];
    uint32_t hash;
};

/* ---- map ---- */

static struct key key_of(const struct layer *l, const void *bytes)
{
    struct key k = {0};
    uint64_t a, b;
    memcpy(k.bytes, bytes, l->klen);
    memcpy(&a, k.bytes, 8);
    memcpy(&b, k.bytes + 8, 8);
    a = (a ^ (b << 32 | b >> 32) * UINT64_C(0xC2B2AE3D27D4EB4F)) * UINT64_C(0x9E3779B97F4A7C15);
    a ^= a >> 32;
    a *= UINT64_C(0x9FB21C651E98DF25); /* finish as in splitmix64: all bits reach the low ones */
    k.hash = (uint32_t)(a >> 32 ^ a);
    return k;
}

static struct slot *map_find(const struct map *m, const struct key *k)
{
    size_t mask = m->size * 2 - 1;
    if (m->count == 0)
        return NULL;
    for (size_t i = k->hash & mask; m->index[i].at != 0; i = (i + 1) & mask) {
        if (m->index[i].tag != k->hash)
            continue;
        struct slot *s = &m->slots[m->index[i].at - 1];
        if (memcmp(s->key, k->bytes, KEY_MAX) == 0)
            return s;
    }
    return NULL;
}

static void map_link(struct map *m, size_t slot)
{
    size_t mask = m->size * 2 - 1;
    size_t i = m->slots[slot].hash & mask;
    while (m->index[i].at != 0)
        i = (i + 1) & mask;
    m->index[i] = (struct cell){m->slots[slot].hash, (uint32_t)slot + 1};
}

static int map_grow(struct map *m)
{
    size_t size = m->size == 0 ? SLOTS_MIN : m->size * 2;
    if (size > SLOTS_MAX)
        return -ENOMEM;
    struct cell *index = calloc(size * 2, sizeof *index);
    struct slot *slots = index == NULL ? NULL : reallocarray(m->slots, size, sizeof *slots);
    if (slots == NULL) {
        free(index);
        return -ENOMEM;
    }
    free(m->index);
    m->index = index;
    m->slots = slots;
    m->size = size;
    for (size_t i = 0; i < m->count; i++)
        map_link(m, i);
    return 0;
}

/* The slot of that key, made if it is not there. */
static int map_at(struct map *m, const struct key *k, struct slot **ret_slot)
{
    struct slot *s = map_find(m, k);
    if (s == NULL) {
        int r = m->count < m->size ? 0 : map_grow(m);
        if (r < 0)
            return r;
        s = &m->slots[m->count];
        memcpy(s->key, k->bytes, KEY_MAX);
        s->hash = k->hash;
        map_link(m, m->count++);
    }
    *ret_slot = s;
    return 0;
}

static void map_release(struct map *m)
{
    free(m->index);
    free(m->slots);
    *m = (struct map){0};
}

/* ---- layer ---- */

int layer_create(struct kv *kv, unsigned table, size_t klen, struct layer **ret_layer)
{
    if (klen < 1 || klen > KEY_MAX)
        return -EINVAL;
    struct layer *l = calloc(1, sizeof *l);
    if (l == NULL)
        return -ENOMEM;
    l->kv = kv;
    l->table = table;
    l->klen = klen;
    *ret_layer = l;
    return 0;
}

void layer_destroy(struct layer *l)
{
    if (l == NULL)
        return;
    map_release(&l->active);
    map_release(&l->frozen);
    free(l);
}

static int copy_out(const void *val, size_t len, void *buf, size_t cap, size_t *ret_len)
{
    *ret_len = len;
    if (len > cap)
        return -ERANGE;
    if (len > 0)
        memcpy(buf, val, len);
    return 0;
}

static const struct slot *change_of(const struct layer *l, const struct key *k)
{
    const struct slot *s = map_find(&l->active, k);
    return s != NULL ? s : map_find(&l->frozen, k);
}

int layer_get(struct layer *l, const void *key, void *buf, size_t cap, size_t *ret_len)
{
    struct key k = key_of(l, key);
    const struct slot *s = change_of(l, &k);
    if (s == NULL)
        return kv_get(l->kv, l->table, key, l->klen, buf, cap, ret_len);
    return s->deleted ? -ENOENT : copy_out(s->val, s->vlen, buf, cap, ret_len);
}

int layer_put(struct layer *l, const void *key, const void *val, size_t vlen)
{
    struct key k = key_of(l, key);
    struct slot *s;
    if (vlen > LAYER_VALUE_MAX)
        return -ERANGE;
    int r = map_at(&l->active, &k, &s);
    if (r < 0)
        return r;
    s->deleted = false;
    s->vlen = (uint8_t)vlen;
    if (vlen > 0)
        memcpy(s->val, val, vlen);
    return 0;
}

int layer_del(struct layer *l, const void *key)
{
    struct key k = key_of(l, key);
    struct slot *s;
    int r = map_at(&l->active, &k, &s);
    if (r < 0)
        return r;
    s->deleted = true;
    s->vlen = 0;
    return 0;
}

/* ---- flush ---- */

int layer_freeze(struct layer *l)
{
    if (l->frozen_now)
        return -EBUSY;
    l->frozen = l->active;
    l->active = (struct map){0};
    l->frozen_now = true;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct slot *const *x = a, *const *y = b;
    return memcmp((*x)->key, (*y)->key, KEY_MAX);
}

static int write_one(struct layer *l, struct kv_txn *t, const struct slot *s)
{
    if (s->deleted)
        return kv_del(t, l->table, s->key, l->klen);
    return kv_put(t, l->table, s->key, l->klen, s->val, s->vlen);
}

/* In key order: neighbours land on the same LMDB page, and appending splits no page in half. */
int layer_write(struct layer *l, struct kv_txn *t)
{
    size_t count = l->frozen.count;
    if (count == 0)
        return 0;
    const struct slot **sorted = calloc(count, sizeof *sorted);
    if (sorted == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &l->frozen.slots[i];
    qsort(sorted, count, sizeof *sorted, by_key);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = write_one(l, t, sorted[i]);
    free(sorted);
    return r;
}

void layer_thaw(struct layer *l)
{
    map_release(&l->frozen);
    l->frozen_now = false;
}

size_t layer_pending(const struct layer *l)
{
    return l->active.count + l->frozen.count;
}

/* ---- listing ---- */

static bool overridden(const struct layer *l, const struct slot *s)
{
    struct key k;
    memcpy(k.bytes, s->key, KEY_MAX);
    k.hash = s->hash;
    return map_find(&l->active, &k) != NULL;
}

/* The smaller of `best` (or NULL) and the smallest live change of `m` beyond `key`. */
static const struct slot *smallest(const struct layer *l, const struct map *m, const void *key,
                                   const struct slot *best)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct slot *s = &m->slots[i];
        if (s->deleted || (key != NULL && memcmp(s->key, key, l->klen) <= 0))
            continue;
        if (best != NULL && memcmp(s->key, best->key, l->klen) >= 0)
            continue;
        if (m == &l->active || !overridden(l, s))
            best = s;
    }
    return best;
}

/* First committed key beyond `key` that no change speaks of; pointers into the snapshot. */
static int next_committed(struct layer *l, struct kv_snap *snap, const void *key,
                          const void **ret_key, const void **ret_val, size_t *ret_len)
{
    size_t klen = key == NULL ? 0 : l->klen;
    for (;;) {
        size_t found;
        int r = kv_snap_seek(snap, l->table, key, klen, true, &key, &found, ret_val, ret_len);
        if (r < 0)
            return r;
        if (found != l->klen)
            return -EUCLEAN;
        klen = found;
        struct key k = key_of(l, key);
        if (change_of(l, &k) == NULL)
            break;
    }
    *ret_key = key;
    return 0;
}

static int next_in(struct layer *l, struct kv_snap *snap, const void *key, void *ret_key, void *buf,
                   size_t cap, size_t *ret_len)
{
    const void *next, *val;
    size_t len;
    const struct slot *s = smallest(l, &l->active, key, NULL);
    s = smallest(l, &l->frozen, key, s);
    int r = next_committed(l, snap, key, &next, &val, &len);
    if (r < 0 && (r != -ENOENT || s == NULL))
        return r;
    if (r < 0 || (s != NULL && memcmp(s->key, next, l->klen) < 0)) {
        next = s->key;
        val = s->val;
        len = s->vlen;
    }
    r = copy_out(val, len, buf, cap, ret_len);
    if (r == 0)
        memcpy(ret_key, next, l->klen);
    return r;
}

int layer_next(struct layer *l, const void *key, void *ret_key, void *buf, size_t cap,
               size_t *ret_len)
{
    struct kv_snap *snap;
    int r = kv_snap_begin(l->kv, &snap);
    if (r < 0)
        return r;
    r = next_in(l, snap, key, ret_key, buf, cap, ret_len);
    kv_snap_end(snap);
    return r;
}

static int visit(const struct slot *s, layer_visit_fn *fn, void *ctx)
{
    return fn(s->key, s->deleted ? NULL : s->val, s->vlen, ctx);
}

int layer_visit_frozen(struct layer *l, layer_visit_fn *fn, void *ctx)
{
    int r = 0;
    for (size_t i = 0; i < l->frozen.count && r == 0; i++)
        r = visit(&l->frozen.slots[i], fn, ctx);
    return r;
}

int layer_visit_changes(struct layer *l, layer_visit_fn *fn, void *ctx)
{
    int r = 0;
    for (size_t i = 0; i < l->active.count && r == 0; i++)
        r = visit(&l->active.slots[i], fn, ctx);
    for (size_t i = 0; i < l->frozen.count && r == 0; i++)
        if (!overridden(l, &l->frozen.slots[i]))
            r = visit(&l->frozen.slots[i], fn, ctx);
    return r;
}
