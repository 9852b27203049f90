// SPDX-License-Identifier: Apache-2.0
/*
 * recount: what the committed tables of a forest must be, found by walking all pages from all
 * roots and the drop queue; compared with what they are, both ways. Reads kv only.
 *
 *     forest_commit(&f); recount(&f);
 */
#pragma once

#include "forest.h"
#include "map64.h"

struct recount {
    struct kv_snap *snap;
    struct map64 pages;   /* page -> references on it */
    struct map64 objects; /* number -> items and pins that name it */
    uint64_t items;
    bool leaks;
};

static inline const uint8_t *recount_page(struct recount *r, uint64_t no)
{
    uint8_t key[8];
    const void *p;
    size_t len;
    const char *why = "";

    put_be64(key, no);
    MUST(kv_snap_get(r->snap, T_PAGES, key, 8, &p, &len) == 0);
    MUST(len == PAGE_SIZE_BYTES && page_check(p, no, &why) == 0);
    return p;
}

/* Keys of a page lie in [lo, hi); hi NULL: endless. Returns its level. */
static inline unsigned recount_walk(struct recount *r, uint64_t no, struct key lo,
                                    const struct key *hi)
{
    uint64_t seen;
    MUST(map64_add(&r->pages, no, 1, &seen) == 0);
    const uint8_t *p = recount_page(r, no);
    unsigned n = page_count(p), level = page_level(p);

    if (seen > 1)
        return level;
    for (unsigned i = 0; i < n; i++) {
        struct key k = page_key(p, i), next = i + 1 < n ? page_key(p, i + 1) : (struct key){0, 0};
        size_t len;
        const uint8_t *v = page_value(p, i, &len);
        uint64_t object = level ? 0 : item_object(k, v, len);
        MUST(level && i == 0 ? key_compare(k, lo) <= 0 : key_compare(k, lo) >= 0);
        MUST(!hi || key_compare(k, *hi) < 0);
        if (level)
            MUST(recount_walk(r, page_child(p, i), i ? k : lo, i + 1 < n ? &next : hi) + 1 ==
                 level);
        r->items += !level;
        if (object)
            MUST(map64_add(&r->objects, object, 1, NULL) == 0);
    }
    return level;
}

typedef void recount_fn(struct recount *r, uint64_t number, const uint8_t *val, size_t len);

static inline void recount_table(struct recount *r, unsigned table, recount_fn *fn)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;

    while (kv_snap_seek(r->snap, table, key, klen, klen > 0, &key, &klen, &val, &len) == 0)
        fn(r, get_be64(key), val, len);
}

static inline void recount_drops(struct recount *r, uint64_t chunk, const uint8_t *val, size_t len)
{
    (void)chunk;
    for (size_t i = 0; i < len; i += 8)
        (void)recount_walk(r, get_le64(val + i), (struct key){0, 0}, NULL);
}

static inline void recount_pin(struct recount *r, uint64_t number, const uint8_t *val, size_t len)
{
    (void)val;
    MUST(len == 0 && map64_add(&r->objects, number, 1, NULL) == 0);
}

/* What names an alias names its target too. */
static inline void recount_alias(struct recount *r, uint64_t number, const uint8_t *val, size_t len)
{
    struct entry e;
    uint64_t n = 0;

    MUST(entry_decode(val, len, &e) == 0);
    if (e.kind == ENTRY_ALIAS && map64_get(&r->objects, number, &n))
        MUST(map64_add(&r->objects, e.where, (int64_t)n, NULL) == 0);
}

static inline void recount_object(struct recount *r, uint64_t number, const uint8_t *val,
                                  size_t len)
{
    struct entry e;
    uint64_t want = 0, there;
    uint8_t key[8];
    const void *p;

    MUST(entry_decode(val, len, &e) == 0);
    (void)map64_get(&r->objects, number, &want);
    if (r->leaks ? e.count < want : e.count != want) {
        fprintf(stderr, "object %llu: count %u, recounted %llu\n", (unsigned long long)number,
                e.count, (unsigned long long)want);
        abort();
    }
    (void)map64_del(&r->objects, number);
    put_be64(key, number);
    there = kv_snap_get(r->snap, T_DYING, key, 8, &p, &len) == 0;
    MUST(there ? e.count == 0 : e.count > 0 || e.kind == ENTRY_NEW);
    if (entry_is_sealed(&e)) {
        MUST(kv_snap_get(r->snap, T_IDS, e.id.b, ID_LEN, &p, &len) == 0);
        MUST(len == 8 && get_be64(p) == number);
    }
}

static inline void recount_count(struct recount *r, uint64_t no, const uint8_t *val, size_t len)
{
    uint64_t want = 0;

    MUST(len == 4 && (map64_get(&r->pages, no, &want) || r->leaks));
    MUST(r->leaks ? get_le32(val) >= want : want >= 2 && get_le32(val) == want);
    MUST(map64_put(&r->pages, no, 1) == 0); /* told for: see recount_lone */
}

static inline void recount_lone(struct recount *r, uint64_t no, const uint8_t *val, size_t len)
{
    uint64_t n = 0;

    (void)val;
    (void)len;
    MUST(map64_get(&r->pages, no, &n) || r->leaks); /* else nobody names the page */
    MUST(n <= 1);                                   /* else its count is not stored */
}

/* Returns the number of live pages. */
static inline size_t recount(struct forest *f)
{
    struct recount r = {.leaks = f->leaks};
    size_t live;

    MUST(kv_snap_begin(f->kv, &r.snap) == 0);
    for (unsigned i = 0; i < FOREST_TREES; i++)
        if (f->tree[i].root)
            (void)recount_walk(&r, f->tree[i].root, (struct key){0, 0}, NULL);
    recount_table(&r, T_DROPS, recount_drops);
    recount_table(&r, T_PINS, recount_pin);
    recount_table(&r, T_OBJECTS, recount_alias);
    recount_table(&r, T_OBJECTS, recount_object);
    MUST(r.objects.count == 0); /* else an item names what the table does not know */
    recount_table(&r, T_COUNTS, recount_count);
    recount_table(&r, T_PAGES, recount_lone);
    live = r.pages.count;
    kv_snap_end(r.snap);
    map64_release(&r.pages);
    map64_release(&r.objects);
    return live;
}
