// SPDX-License-Identifier: Apache-2.0
/*
 * layer: uncommitted changes in front of a kv table, as maps, the newest first.
 *
 *     index: [ ][tag,at][ ][tag,at] ...      at -> slots: [change][change][change] ...
 *
 * A miss is the usual answer, and it reads eight bytes of the index and no slot. Slots lie dense in
 * the order of arrival; a deletion is a slot like any other, so nothing is ever taken out of a map:
 * it only grows until it is retired as a whole.
 */
#include "layer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
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
    uint8_t val[]; /* as many as fit into the map's stride */
};

struct cell {
    uint32_t tag; /* hash of the key */
    uint32_t at;  /* 1 + number of the slot; 0: empty */
};

/* Invariant: size is 0 or a power of two; index has 2 * size cells, so at most half are in use. */
struct map {
    struct cell *index;
    uint8_t *slots; /* one every `stride` bytes: most tables have short values of one length */
    size_t stride;
    size_t size;  /* slots there is room for */
    size_t count; /* slots in use */
};

struct layer {
    struct kv *kv;
    unsigned table;
    size_t klen;
    struct map active;
    struct map batch[LAYER_BATCHES_MAX]; /* the oldest first */
    size_t batches;
    _Atomic size_t pending; /* slots of all maps */
    bool gets;              /* between layer_gets_begin and layer_gets_end */
    struct kv_snap *snap;   /* while `gets`: made by the first get that reads the table; or NULL */
};

struct key {
    uint8_t bytes[KEY_MAX];
    uint32_t hash;
};

/* ---- map ---- */

static struct slot *slot_at(const struct map *m, size_t i)
{
    return (struct slot *)(void *)(m->slots + i * m->stride);
}

/* Pads a key with zeros and hashes it. The constants are PRIME64_2 of XXH64, 2^64 divided by the
 * golden ratio, and the multiplier of rrmxmx in XXH3. */
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

/* The slot of a key, or NULL. Linear probing; where the tag differs the slot is not read. */
static struct slot *map_find(const struct map *m, const struct key *k)
{
    size_t mask = m->size * 2 - 1;
    if (m->count == 0)
        return NULL;
    for (size_t i = k->hash & mask; m->index[i].at != 0; i = (i + 1) & mask) {
        if (m->index[i].tag != k->hash)
            continue;
        struct slot *s = slot_at(m, m->index[i].at - 1);
        if (memcmp(s->key, k->bytes, KEY_MAX) == 0)
            return s;
    }
    return NULL;
}

/* Enters a slot, whose key is not in the index yet, into the index. */
static void map_link(struct map *m, size_t slot)
{
    size_t mask = m->size * 2 - 1;
    uint32_t hash = slot_at(m, slot)->hash;
    size_t i = hash & mask;
    while (m->index[i].at != 0)
        i = (i + 1) & mask;
    m->index[i] = (struct cell){hash, (uint32_t)slot + 1};
}

/* Doubles the room of a map, and builds its index anew. -ENOMEM: nothing changed. */
static int map_grow(struct map *m)
{
    size_t size = m->size == 0 ? SLOTS_MIN : m->size * 2;
    if (size > SLOTS_MAX)
        return -ENOMEM;
    struct cell *index = calloc(size * 2, sizeof *index);
    uint8_t *slots = !index ? NULL : reallocarray(m->slots, size, m->stride);
    if (!slots) {
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

/* Makes the slots wide enough for values of `vlen` bytes. Pointers to slots become invalid. */
static int map_widen(struct map *m, size_t vlen)
{
    const size_t align = _Alignof(struct slot), old = m->stride;
    const size_t stride = (offsetof(struct slot, val) + vlen + align - 1) / align * align;
    if (stride <= old)
        return 0;
    if (m->size > 0) {
        uint8_t *slots = reallocarray(m->slots, m->size, stride);
        if (!slots)
            return -ENOMEM;
        m->slots = slots;
    }
    for (size_t i = m->count; i-- > 0;)
        memmove(m->slots + i * stride, m->slots + i * old, old);
    m->stride = stride;
    return 0;
}

static int map_room(struct map *m, size_t changes, size_t vlen)
{
    int err = map_widen(m, vlen);
    while (err == 0 && m->size - m->count < changes)
        err = map_grow(m);
    return err;
}

/* Finds the slot of a key, or adds one, with room for a value of `vlen` bytes. -ENOMEM: the map has
 * the same changes as before. */
static int map_at(struct map *m, const struct key *k, size_t vlen, struct slot **ret_slot)
{
    int err = map_widen(m, vlen);
    if (err < 0)
        return err;
    struct slot *s = map_find(m, k);
    if (!s) {
        err = m->count < m->size ? 0 : map_grow(m);
        if (err < 0)
            return err;
        s = slot_at(m, m->count);
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
    if (!l)
        return -ENOMEM;
    l->kv = kv;
    l->table = table;
    l->klen = klen;
    *ret_layer = l;
    return 0;
}

void layer_destroy(struct layer *l)
{
    if (!l)
        return;
    map_release(&l->active);
    for (size_t i = 0; i < l->batches; i++)
        map_release(&l->batch[i]);
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

/* The last change of that key among the active ones and the batches from `first` on. */
static const struct slot *change_since(const struct layer *l, const struct key *k, size_t first)
{
    const struct slot *s = map_find(&l->active, k);
    for (size_t i = l->batches; !s && i > first; i--)
        s = map_find(&l->batch[i - 1], k);
    return s;
}

/* The committed value of a key. Between layer_gets_begin and layer_gets_end all gets read one
 * snapshot. */
static int get_below(struct layer *l, const void *key, void *buf, size_t cap, size_t *ret_len)
{
    const void *val;
    size_t len;
    if (l->gets && !l->snap)
        (void)kv_snap_begin(l->kv, &l->snap); /* without a snapshot kv_get does the same, slower */
    if (!l->snap)
        return kv_get(l->kv, l->table, key, l->klen, buf, cap, ret_len);
    int err = kv_snap_get(l->snap, l->table, key, l->klen, &val, &len);
    if (err < 0)
        return err;
    *ret_len = len;
    return len > cap ? -ERANGE : kv_snap_copy(buf, val, len);
}

void layer_gets_begin(struct layer *l)
{
    l->gets = true;
}

void layer_gets_end(struct layer *l)
{
    l->gets = false;
    kv_snap_end(l->snap);
    l->snap = NULL;
}

int layer_get(struct layer *l, const void *key, void *buf, size_t cap, size_t *ret_len)
{
    struct key k = key_of(l, key);
    const struct slot *s = change_since(l, &k, 0);
    if (!s)
        return get_below(l, key, buf, cap, ret_len);
    return s->deleted ? -ENOENT : copy_out(s->val, s->vlen, buf, cap, ret_len);
}

/* As map_at, for the active changes; counts a new slot in `pending`. */
static int change_at(struct layer *l, const void *key, size_t vlen, struct slot **ret_slot)
{
    struct key k = key_of(l, key);
    size_t before = l->active.count;
    int err = map_at(&l->active, &k, vlen, ret_slot);
    if (l->active.count != before)
        atomic_fetch_add_explicit(&l->pending, 1, memory_order_relaxed);
    return err;
}

int layer_room(struct layer *l, size_t changes, size_t vlen)
{
    return map_room(&l->active, changes, vlen);
}

int layer_put(struct layer *l, const void *key, const void *val, size_t vlen)
{
    struct slot *s;
    if (vlen > LAYER_VALUE_MAX)
        return -ERANGE;
    int err = change_at(l, key, vlen, &s);
    if (err < 0)
        return err;
    s->deleted = false;
    s->vlen = (uint8_t)vlen;
    if (vlen > 0)
        memcpy(s->val, val, vlen);
    return 0;
}

int layer_del(struct layer *l, const void *key)
{
    struct slot *s;
    int err = change_at(l, key, 0, &s);
    if (err < 0)
        return err;
    s->deleted = true;
    s->vlen = 0;
    return 0;
}

/* ---- flush ---- */

int layer_freeze(struct layer *l)
{
    if (l->batches == LAYER_BATCHES_MAX)
        return -EBUSY;
    l->batch[l->batches++] = l->active;
    l->active = (struct map){0};
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

/* Writes one batch into the transaction, in key order: neighbours land on the same LMDB page, and
 * appending splits no page in half. */
static int write_batch(struct layer *l, const struct map *m, struct kv_txn *t)
{
    size_t count = m->count;
    if (count == 0)
        return 0;
    const struct slot **sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sorted[i] = slot_at(m, i);
    qsort(sorted, count, sizeof *sorted, by_key);
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++)
        err = write_one(l, t, sorted[i]);
    free(sorted);
    return err;
}

int layer_write(struct layer *l, size_t n, struct kv_txn *t)
{
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = write_batch(l, &l->batch[i], t);
    return err;
}

void layer_retire(struct layer *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_sub_explicit(&l->pending, l->batch[i].count, memory_order_relaxed);
        map_release(&l->batch[i]);
    }
    l->batches -= n;
    memmove(l->batch, l->batch + n, l->batches * sizeof *l->batch);
}

size_t layer_pending(const struct layer *l)
{
    return atomic_load_explicit(&l->pending, memory_order_relaxed);
}

/* ---- listing ---- */

/* Whether a newer map has a change of the same key as `s`. `s` is in batch number `at`, or in the
 * active map if `at` is l->batches. */
static bool overridden(const struct layer *l, size_t at, const struct slot *s)
{
    struct key k;
    if (at == l->batches)
        return false;
    memcpy(k.bytes, s->key, KEY_MAX);
    k.hash = s->hash;
    return change_since(l, &k, at + 1);
}

static const struct map *map_number(const struct layer *l, size_t at)
{
    return at == l->batches ? &l->active : &l->batch[at];
}

/* Calls `fn` for the changes of one map that no newer map overrides. */
static int visit_map(struct layer *l, size_t at, layer_visit_fn *fn, void *ctx)
{
    const struct map *m = map_number(l, at);
    int err = 0;
    for (size_t i = 0; i < m->count && err == 0; i++) {
        const struct slot *s = slot_at(m, i);
        if (!overridden(l, at, s))
            err = fn(s->key, s->deleted ? NULL : s->val, s->vlen, ctx);
    }
    return err;
}

int layer_visit_changes(struct layer *l, layer_visit_fn *fn, void *ctx)
{
    int err = 0;
    for (size_t at = l->batches + 1; at > 0 && err == 0; at--)
        err = visit_map(l, at - 1, fn, ctx);
    return err;
}

/* The lowest keys above `after`. */
struct lowest {
    const void *after; /* NULL: of all keys */
    size_t klen;
    uint8_t *v; /* ascending */
    size_t most, count;
};

/* Inserts a key in order. If there are too many the highest one falls off. */
static void insert(struct lowest *w, const void *key)
{
    size_t i = w->count;
    while (i > 0 && memcmp(w->v + (i - 1) * w->klen, key, w->klen) > 0)
        i--;
    if (i == w->most)
        return;
    w->count += w->count < w->most;
    uint8_t *at = w->v + i * w->klen;
    memmove(at + w->klen, at, (w->count - i - 1) * w->klen);
    memcpy(at, key, w->klen);
}

static int insert_change(const void *key, const void *val, size_t vlen, void *ctx)
{
    struct lowest *w = ctx;
    (void)vlen;
    if (val && (!w->after || memcmp(key, w->after, w->klen) > 0))
        insert(w, key);
    return 0;
}

/* Inserts the committed keys of which no map has a change, until they are higher than all that fit.
 * A damaged value has a key, too. -ENOENT: the table ends before. */
static int insert_committed(struct layer *l, struct kv_snap *snap, struct lowest *w)
{
    const void *from = w->after, *found, *val;
    size_t len, vlen;
    struct key k;
    do {
        int err = kv_snap_seek(snap, l->table, from, from ? l->klen : 0, true, &found, &len, &val,
                               &vlen);
        if (err == -EUCLEAN && found)
            err = 0;
        if (err == 0)
            err = len == l->klen ? kv_snap_copy(k.bytes, found, len) : -EUCLEAN;
        if (err < 0)
            return err;
        k = key_of(l, k.bytes);
        if (!change_since(l, &k, 0))
            insert(w, k.bytes);
        from = k.bytes;
    } while (w->count < w->most || memcmp(from, w->v + (w->most - 1) * w->klen, w->klen) < 0);
    return 0;
}

int layer_keys(struct layer *l, const void *after, void *keys, size_t most, size_t *ret_count)
{
    struct lowest w = {.after = after, .klen = l->klen, .v = keys, .most = most};
    struct kv_snap *snap;
    int err = kv_snap_begin(l->kv, &snap);
    if (err < 0)
        return err;
    (void)layer_visit_changes(l, insert_change, &w);
    err = insert_committed(l, snap, &w);
    kv_snap_end(snap);
    if (err < 0 && err != -ENOENT)
        return err;
    *ret_count = w.count;
    return 0;
}
