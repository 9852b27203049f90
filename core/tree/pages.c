// SPDX-License-Identifier: Apache-2.0
/*
 * pages: see the header. The cache is split into shards by page number. Each shard has its own
 * mutex, hash and clock hand, so two readers rarely wait for each other. One more mutex guards
 * counts, dirty lists and the generation. It is taken for changes and for loading a page, and
 * before the mutex of a shard.
 */
#include "array.h"
#include "pages.h"
#include "id.h"
#include "lock.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>

#define SHARDS 16
#define BUCKETS 4096  /* per shard; a power of two */
#define TRIM_STEPS 64 /* pages looked at for each one that comes in */
/* a bit of `pins`: the page has left the cache, and the last pages_put frees it */
#define FREED (UINT32_C(1) << 31)

/* A part of the cache. */
struct shard {
    struct mutex lock; /* "page cache": guards the rest */
    struct tree_page *bucket[BUCKETS];
    struct tree_page lru; /* ring of all pages of the shard; the hand is lru.lru_next */
    size_t count;
};

struct page_list {
    struct tree_page **v;
    size_t count, room;
};

struct number_list {
    uint64_t *v;
    size_t count, room;
};

/* The bytes of a page as a frozen generation has them. Made when the page is changed again before
 * the commit of that generation. */
struct page_copy {
    uint64_t gen;
    uint8_t *data;
    struct page_copy *next; /* an earlier generation */
};

/* What one generation changed. */
struct batch {
    uint64_t gen;
    struct page_list dirty; /* each entry holds a pin */
    struct number_list freed;
};

struct pages {
    struct kv *kv;
    unsigned table;
    _Atomic size_t shard_max; /* pages a shard may keep */
    struct shard shard[SHARDS];

    struct mutex lock; /* "pages": guards the rest */
    struct layer *counts;
    uint64_t next;
    _Atomic uint64_t gen;                  /* current generation, from 1 */
    struct batch now;                      /* of the current generation */
    struct batch batch[LAYER_BATCHES_MAX]; /* frozen ones, the oldest first */
    size_t batches;
    _Atomic size_t unsaved; /* pages in all lists of dirty ones */
};

static struct shard *shard_of(struct pages *ps, uint64_t no)
{
    return &ps->shard[no % SHARDS];
}
static struct tree_page **bucket_of(struct shard *s, uint64_t no)
{
    return &s->bucket[(no / SHARDS) & (BUCKETS - 1)];
}

/* ---- the cache ---- */

/* Free a page, with the copies of its bytes. */
static void page_destroy(struct tree_page *p)
{
    while (p->copies) {
        struct page_copy *c = p->copies;
        p->copies = c->next;
        free(c->data);
        free(c);
    }
    free(p->data);
    free(p);
}

/* Allocates a page with one pin and count 1, outside of the cache. */
static int page_create(uint64_t no, struct tree_page **ret_page)
{
    struct tree_page *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    p->data = malloc(PAGE_SIZE_BYTES);
    if (!p->data) {
        free(p);
        return -ENOMEM;
    }
    p->no = no;
    atomic_init(&p->count, 1);
    atomic_init(&p->pins, 1);
    *ret_page = p;
    return 0;
}

static struct tree_page *cache_find(struct shard *s, uint64_t no)
{
    struct tree_page *p = *bucket_of(s, no);

    mutex_held(&s->lock);
    while (p && p->no != no)
        p = p->hash_next;
    return p;
}

/* Put a page into the cache. Needs the shard's lock. */
static void cache_insert(struct shard *s, struct tree_page *p)
{
    struct tree_page **b = bucket_of(s, p->no);

    p->hash_next = *b;
    *b = p;
    p->lru_next = &s->lru;
    p->lru_prev = s->lru.lru_prev;
    p->lru_prev->lru_next = p;
    s->lru.lru_prev = p;
    s->count++;
}

/* Take a page out of the cache. Needs the shard's lock. */
static void cache_remove(struct shard *s, struct tree_page *p)
{
    struct tree_page **b = bucket_of(s, p->no);

    while (*b != p)
        b = &(*b)->hash_next;
    *b = p->hash_next;
    p->lru_prev->lru_next = p->lru_next;
    p->lru_next->lru_prev = p->lru_prev;
    s->count--;
}

/* The clock algorithm (second chance): pages that are pinned, or were used since the last visit of
 * the hand, get another round. Dirty and frozen pages are pinned by their lists. `steps` bounds the
 * walk. */
static void cache_trim(struct pages *ps, struct shard *s, size_t steps)
{
    size_t max = atomic_load_explicit(&ps->shard_max, memory_order_relaxed);

    while (s->count > max && steps-- > 0) {
        struct tree_page *p = s->lru.lru_next;
        if (!p->recent && atomic_load(&p->pins) == 0) {
            cache_remove(s, p);
            page_destroy(p);
            continue;
        }
        p->recent = false;
        s->lru.lru_next = p->lru_next; /* to the back of the ring */
        p->lru_next->lru_prev = &s->lru;
        p->lru_next = &s->lru;
        p->lru_prev = s->lru.lru_prev;
        p->lru_prev->lru_next = p;
        s->lru.lru_prev = p;
    }
}

/* Trim all shards. Two rounds of the hand are enough: the first clears `recent`. */
static void cache_trim_all(struct pages *ps)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &ps->shard[i];
        MUTEX_GUARD(&s->lock);
        cache_trim(ps, s, 2 * s->count);
    }
}

/* Report a damaged page. Returns -EUCLEAN. */
static int damaged(uint64_t no, const char *why)
{
    report(REPORT_ALARM, "tree page %llu is damaged: %s", (unsigned long long)no, why);
    return -EUCLEAN;
}

/* Reads the count of a page; a page without a row has count 1. That a row is not missing because
 * its key is damaged was checked when the store was opened (verify_counts in store_dir.c). */
static int count_get(struct pages *ps, uint64_t no, uint32_t *ret_count)
{
    uint8_t key[8], buf[4];
    size_t len;
    int err;

    mutex_held(&ps->lock);
    put_be64(key, no);
    err = layer_get(ps->counts, key, buf, sizeof buf, &len);
    if (err == -ENOENT) {
        *ret_count = 1;
        return 0;
    }
    if (err < 0 && err != -ERANGE && err != -EUCLEAN)
        return err;
    if (err < 0 || len != 4 || get_le32(buf) < 2)
        return damaged(no, "its count is not a count");
    *ret_count = get_le32(buf);
    return 0;
}

/* Reads a page from the store and checks it. A damaged or missing page is reported. */
static int load_page(struct pages *ps, uint64_t no, struct tree_page **ret_page)
{
    uint8_t key[8];
    size_t len;
    const char *why;
    struct tree_page *p;
    int err = page_create(no, &p);

    if (err < 0)
        return err;
    put_be64(key, no);
    err = kv_get(ps->kv, ps->table, key, sizeof key, p->data, PAGE_SIZE_BYTES, &len);
    if (err == -ENOENT)
        err = damaged(no, "it does not exist");
    else if (err == -ERANGE || (err == 0 && len != PAGE_SIZE_BYTES))
        err = damaged(no, "wrong length");
    else if (err == 0 && page_check(p->data, no, &why) < 0)
        err = damaged(no, why);
    if (err < 0) {
        page_destroy(p);
        return err;
    }
    *ret_page = p;
    return 0;
}

/* Find a page in the cache and pin it. NULL: it is not there. */
static struct tree_page *cache_pin(struct shard *s, uint64_t no)
{
    MUTEX_GUARD(&s->lock);
    struct tree_page *p = cache_find(s, no);

    if (p) {
        p->recent = true;
        atomic_fetch_add(&p->pins, 1);
    }
    return p;
}

/* Puts a page that was just loaded into the cache, or returns the one that another thread put there
 * meanwhile. The count is read under "pages", in the same step that makes the page visible to
 * pages_add_count, so that no change of it is missed. */
static int cache_add(struct pages *ps, struct tree_page *fresh, struct tree_page **ret_page)
{
    struct shard *s = shard_of(ps, fresh->no);
    uint32_t count;
    MUTEX_GUARD(&ps->lock);
    int err = count_get(ps, fresh->no, &count);
    MUTEX_GUARD(&s->lock);
    struct tree_page *p = cache_find(s, fresh->no);

    if (err < 0 || p) {
        page_destroy(fresh);
        if (err < 0)
            return err;
        atomic_fetch_add(&p->pins, 1);
        *ret_page = p;
        return 0;
    }
    atomic_store(&fresh->count, count);
    cache_insert(s, fresh);
    cache_trim(ps, s, TRIM_STEPS);
    *ret_page = fresh;
    return 0;
}

int pages_get(struct pages *ps, uint64_t no, struct tree_page **ret_page)
{
    struct tree_page *p = cache_pin(shard_of(ps, no), no);
    int err;

    if (p) {
        *ret_page = p;
        return 0;
    }
    err = load_page(ps, no, &p);
    return err < 0 ? err : cache_add(ps, p, ret_page);
}

void pages_put(struct pages *ps, struct tree_page *p)
{
    if (!p)
        return;
    (void)ps;
    /* Without a pin of our own nothing of it may be looked at any more: the cache may drop it. */
    if (atomic_fetch_sub(&p->pins, 1) == (FREED | 1))
        page_destroy(p);
}

/* ---- changes ---- */

/* Make room for one more page. */
static int list_room(struct page_list *l)
{
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    return 0;
}

static int number_push(struct number_list *l, uint64_t no)
{
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    l->v[l->count++] = no;
    return 0;
}

/* Puts a page on the dirty list of the current generation, which pins it. The caller has reserved
 * the room. */
static void mark_dirty(struct pages *ps, struct tree_page *p)
{
    p->dirty_gen = atomic_load(&ps->gen);
    atomic_fetch_add(&p->pins, 1);
    ps->now.dirty.v[ps->now.dirty.count++] = p;
    atomic_fetch_add(&ps->unsaved, 1);
}

int pages_new(struct pages *ps, unsigned level, struct tree_page **ret_page)
{
    struct tree_page *p;
    int err = page_create(0, &p);

    if (err < 0)
        return err;
    MUTEX_GUARD(&ps->lock);
    err = list_room(&ps->now.dirty);
    if (err < 0) {
        page_destroy(p);
        return err;
    }
    p->no = ps->next++;
    page_init(p->data, p->no, level);
    mark_dirty(ps, p);
    struct shard *s = shard_of(ps, p->no);
    MUTEX_GUARD(&s->lock);
    cache_insert(s, p);
    cache_trim(ps, s, TRIM_STEPS);
    *ret_page = p;
    return 0;
}

/* Keeps the bytes of a page for the frozen generation in which they were changed; the page goes on
 * with a copy. */
static int keep_copy(struct tree_page *p)
{
    struct page_copy *c = malloc(sizeof *c);
    uint8_t *data = malloc(PAGE_SIZE_BYTES);

    if (!c || !data) {
        free(c);
        free(data);
        return -ENOMEM;
    }
    memcpy(data, p->data, PAGE_SIZE_BYTES);
    *c = (struct page_copy){p->dirty_gen, p->data, p->copies};
    p->copies = c;
    p->data = data;
    return 0;
}

int pages_modify(struct pages *ps, struct tree_page *p)
{
    int err;

    if (p->dirty_gen == atomic_load(&ps->gen))
        return 0;
    MUTEX_GUARD(&ps->lock);
    err = list_room(&ps->now.dirty);
    if (err == 0 && ps->batches && p->dirty_gen >= ps->batch[0].gen)
        err = keep_copy(p);
    if (err < 0)
        return err;
    mark_dirty(ps, p);
    return 0;
}

int pages_get_count(struct pages *ps, uint64_t no, uint32_t *ret_count)
{
    MUTEX_GUARD(&ps->lock);
    return count_get(ps, no, ret_count);
}

/* Changes a count in its table and, if the page is cached, in memory. Needs "pages". */
static int add_count(struct pages *ps, uint64_t no, int delta, uint32_t *ret_count)
{
    uint8_t key[8], buf[4];
    uint32_t count;
    int64_t next;
    int err = count_get(ps, no, &count);

    if (err < 0)
        return err;
    next = (int64_t)count + delta;
    if (next < 0 || next > UINT32_MAX)
        return -EOVERFLOW;
    put_be64(key, no);
    put_le32(buf, (uint32_t)next);
    err = next >= 2    ? layer_put(ps->counts, key, buf, 4)
          : count >= 2 ? layer_del(ps->counts, key)
                       : 0;
    if (err < 0)
        return err;
    struct shard *s = shard_of(ps, no);
    MUTEX_GUARD(&s->lock);
    struct tree_page *p = cache_find(s, no);
    if (p)
        atomic_store(&p->count, (uint32_t)next);
    if (ret_count)
        *ret_count = (uint32_t)next;
    return 0;
}

int pages_add_count(struct pages *ps, uint64_t no, int delta, uint32_t *ret_count)
{
    MUTEX_GUARD(&ps->lock);
    return add_count(ps, no, delta, ret_count);
}

/* Counts all pages up; after an error it undoes those it has done. */
static int ref_all(struct pages *ps, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int err = add_count(ps, numbers[i], +1, NULL);
        if (err == 0)
            continue;
        while (i-- > 0)
            (void)add_count(ps, numbers[i], -1, NULL);
        return err;
    }
    return 0;
}

int pages_ref_all(struct pages *ps, const uint64_t *numbers, size_t count)
{
    MUTEX_GUARD(&ps->lock);

    layer_gets_begin(ps->counts);
    int err = ref_all(ps, numbers, count);
    layer_gets_end(ps->counts);
    return err;
}

int pages_free(struct pages *ps, uint64_t no)
{
    MUTEX_GUARD(&ps->lock);
    int err = number_push(&ps->now.freed, no);
    if (err < 0)
        return err;
    struct shard *s = shard_of(ps, no);
    MUTEX_GUARD(&s->lock);
    struct tree_page *p = cache_find(s, no);
    if (p) {
        cache_remove(s, p);
        p->freed_gen = atomic_load(&ps->gen);
        p->freed = true;
        if (atomic_fetch_or(&p->pins, FREED) == 0)
            page_destroy(p);
    }
    return 0;
}

/* Dirty and frozen pages are pinned by the lists they stand in. */
bool pages_is_idle(struct pages *ps, uint64_t no)
{
    struct shard *s = shard_of(ps, no);
    MUTEX_GUARD(&s->lock);
    const struct tree_page *p = cache_find(s, no);

    return !p || atomic_load(&p->pins) == 0;
}

size_t pages_dirty_bytes(struct pages *ps)
{
    return atomic_load_explicit(&ps->unsaved, memory_order_relaxed) * PAGE_SIZE_BYTES;
}

uint64_t pages_next(struct pages *ps)
{
    MUTEX_GUARD(&ps->lock);
    return ps->next;
}

/* ---- committing ---- */

/* Finds the link to the copy that a page keeps for the frozen generation `gen`; it points to NULL
 * if there is none. */
static struct page_copy **copy_of(struct tree_page *p, uint64_t gen)
{
    struct page_copy **c = &p->copies;

    while (*c && (*c)->gen != gen)
        c = &(*c)->next;
    return c;
}

/* Free the copy that the page keeps for generation `gen`, if it has one. */
static void copy_drop(struct tree_page *p, uint64_t gen)
{
    struct page_copy **at = copy_of(p, gen), *c = *at;

    if (!c)
        return;
    *at = c->next;
    free(c->data);
    free(c);
}

/* Releases the pins and the copies of a batch. */
static void batch_release(struct pages *ps, struct batch *b)
{
    for (size_t i = 0; i < b->dirty.count; i++) {
        copy_drop(b->dirty.v[i], b->gen);
        pages_put(ps, b->dirty.v[i]);
    }
    atomic_fetch_sub(&ps->unsaved, b->dirty.count);
    free(b->dirty.v);
    free(b->freed.v);
    *b = (struct batch){0};
}

int pages_freeze(struct pages *ps)
{
    MUTEX_GUARD(&ps->lock);
    int err = layer_freeze(ps->counts); /* -EBUSY: too many generations are frozen; then nothing
                                         * is */

    if (err < 0)
        return err;
    ps->now.gen = atomic_fetch_add(&ps->gen, 1);
    ps->batch[ps->batches++] = ps->now;
    ps->now = (struct batch){0};
    return 0;
}

/* The bytes of a page in generation `gen`. NULL: it was freed in that generation or before; its
 * number is then among the freed ones. */
static const uint8_t *bytes_in(struct pages *ps, struct tree_page *p, uint64_t gen)
{
    MUTEX_GUARD(&ps->lock);

    if (p->freed && p->freed_gen <= gen)
        return NULL;
    return p->dirty_gen == gen ? p->data : (*copy_of(p, gen))->data;
}

/* Writes one page of a batch, sealed, to the transaction. */
static int write_page(struct pages *ps, struct kv_txn *t, struct tree_page *p, uint64_t gen)
{
    uint8_t key[8], sealed[PAGE_SIZE_BYTES];
    const uint8_t *bytes = bytes_in(ps, p, gen);

    if (!bytes)
        return 0;
    /* A change from here on leaves these bytes alone (pages_modify). They are sealed in a copy,
     * since readers may be looking at them. */
    memcpy(sealed, bytes, sizeof sealed);
    page_seal(sealed);
    put_be64(key, p->no);
    return kv_put(t, ps->table, key, sizeof key, sealed, sizeof sealed);
}

static int compare_pages(const void *a, const void *b)
{
    uint64_t x = (*(struct tree_page *const *)a)->no, y = (*(struct tree_page *const *)b)->no;
    return x < y ? -1 : x > y;
}

/* Writes the dirty pages of one batch in the order of numbers, and deletes the freed ones. */
static int batch_write(struct pages *ps, const struct batch *b, struct kv_txn *t)
{
    uint8_t key[8];
    int err = 0;

    if (b->dirty.count)
        qsort(b->dirty.v, b->dirty.count, sizeof(struct tree_page *), compare_pages);
    for (size_t i = 0; i < b->dirty.count && err == 0; i++)
        err = write_page(ps, t, b->dirty.v[i], b->gen);
    for (size_t i = 0; i < b->freed.count && err == 0; i++) {
        put_be64(key, b->freed.v[i]);
        err = kv_del(t, ps->table, key, sizeof key);
    }
    return err;
}

int pages_write(struct pages *ps, size_t n, struct kv_txn *t)
{
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++)
        err = batch_write(ps, &ps->batch[i], t);
    return err < 0 ? err : layer_write(ps->counts, n, t);
}

void pages_retire(struct pages *ps, size_t n)
{
    {
        MUTEX_GUARD(&ps->lock);
        for (size_t i = 0; i < n; i++)
            batch_release(ps, &ps->batch[i]);
        ps->batches -= n;
        memmove(ps->batch, ps->batch + n, ps->batches * sizeof *ps->batch);
        layer_retire(ps->counts, n);
    }
    cache_trim_all(ps);
}

/* ---- opening ---- */

void pages_set_cache(struct pages *ps, size_t cache_bytes)
{
    size_t max = cache_bytes / (PAGE_SIZE_BYTES + sizeof(struct tree_page)) / SHARDS;
    atomic_store(&ps->shard_max, max ? max : 1);
    cache_trim_all(ps);
}

int pages_open(struct kv *kv, unsigned table, unsigned count_table, uint64_t next,
               size_t cache_bytes, struct pages **ret_pages)
{
    struct pages *ps = calloc(1, sizeof *ps);
    int err;

    if (!ps)
        return -ENOMEM;
    ps->kv = kv;
    ps->table = table;
    ps->next = next ? next : 1;
    atomic_init(&ps->gen, 1);
    mutex_init(&ps->lock, "pages");
    for (size_t i = 0; i < SHARDS; i++) {
        mutex_init(&ps->shard[i].lock, "page cache");
        ps->shard[i].lru.lru_next = ps->shard[i].lru.lru_prev = &ps->shard[i].lru;
    }
    pages_set_cache(ps, cache_bytes);
    err = layer_create(kv, count_table, 8, &ps->counts);
    if (err < 0) {
        pages_close(ps);
        return err;
    }
    *ret_pages = ps;
    return 0;
}

void pages_close(struct pages *ps)
{
    if (!ps)
        return;
    batch_release(ps, &ps->now);
    for (size_t i = 0; i < ps->batches; i++)
        batch_release(ps, &ps->batch[i]);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &ps->shard[i];
        while (s->count) {
            struct tree_page *p = s->lru.lru_next;
            cache_remove(s, p);
            page_destroy(p);
        }
        mutex_destroy(&s->lock);
    }
    layer_destroy(ps->counts);
    mutex_destroy(&ps->lock);
    free(ps);
}
