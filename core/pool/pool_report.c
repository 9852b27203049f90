// SPDX-License-Identifier: Apache-2.0
/*
 * pool_report: a report, opened: which block a key would be in is known in memory, so what is asked
 * of it costs one block, or one pass in windows over the blocks that keys can be in. Most ids that
 * are looked for are not there, and for those no block is read.
 *
 *     delta   has a record of a key (perhaps that it is gone): that counts
 *     base    else what this says
 */
#include "pool_report_impl.h"

#include "bytes.h"
#include "io.h"
#include "pool_dir.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 3
#define FLAGS_AT 44 /* in an encoded record */
#define PREFIX 8    /* bytes of a key that are the id's */

static const uint8_t *record_at(const uint8_t *block, size_t i)
{
    return block + POOL_BLOCK_HEAD + i * POOL_RECORD_LEN;
}

static uint16_t print_of(const struct id *key)
{
    return get_le16(key->b + PREFIX - 2);
}

/* ---- parts ---- */

void report_part_name(unsigned node, enum pool_body_kind kind, uint64_t serial,
                      char out[DISK_NAME_MAX + 1])
{
    char last[32];

    snprintf(last, sizeof last, "%s.%016" PRIx64, kind == POOL_BODY_BASE ? "base" : "delta",
             serial);
    pool_node_path(node, last, out);
}

static void part_unref(struct report_part *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    disk_file_close(p->file);
    free(p->first);
    free(p->prints);
    free(p);
}

struct checking {
    struct report_part *part;
    uint64_t block;
    struct id last; /* key of the record before */
};

/* One block: all records are ones that can be, their keys rise. */
static int check_block(void *ctx, const uint8_t *records, size_t count, uint64_t first)
{
    struct checking *c = ctx;
    bool is_base = c->part->body.kind == POOL_BODY_BASE;

    for (size_t i = 0; i < count; i++) {
        struct pool_record r;
        int err = pool_record_decode(records + i * POOL_RECORD_LEN, &r);

        if (err < 0)
            return err;
        if ((is_base && r.flags & POOL_GONE) ||
            (first + i > 0 && id_compare(&r.key, &c->last) <= 0))
            return -EUCLEAN;
        if (i == 0)
            c->part->first[c->block++] = r.key;
        c->part->prints[first + i] = print_of(&r.key);
        c->last = r.key;
    }
    return 0;
}

static int check_part(struct report_part *p)
{
    struct checking c = {.part = p};

    p->blocks = pool_body_blocks(&p->body);
    p->first = malloc((p->blocks ? p->blocks : 1) * sizeof *p->first);
    p->prints = malloc((p->body.count ? p->body.count : 1) * sizeof *p->prints);
    return p->first && p->prints ? pool_body_each(p->file, &p->body, check_block, &c) : -ENOMEM;
}

static int part_open(struct disk *disk, const struct pool_head *h, enum pool_body_kind kind,
                     const struct pool_part *named, struct report_part **ret_part)
{
    char name[DISK_NAME_MAX + 1];
    struct report_part *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    atomic_init(&p->refs, 1);
    report_part_name(h->node, kind, named->serial, name);
    int err = pool_body_open(disk, name, kind, h->node, &p->file, &p->body);

    if (err < 0) {
        free(p);
        return err;
    }
    if (p->body.serial != named->serial || p->body.count != named->count ||
        p->body.sum != named->sum ||
        (kind == POOL_BODY_DELTA && p->body.extra != h->base.serial))
        err = -EUCLEAN;
    if (err == 0)
        err = check_part(p);
    if (err < 0)
        part_unref(p);
    else
        *ret_part = p;
    return err;
}

/* NULL where the head names none; the one that is open where it is the same. */
static int part_get(struct disk *disk, const struct pool_head *h, enum pool_body_kind kind,
                    const struct pool_part *named, struct report_part *like,
                    struct report_part **ret_part)
{
    if (named->serial == 0) {
        *ret_part = NULL;
        return 0;
    }
    if (like && like->body.owner == h->node && like->body.serial == named->serial &&
        like->body.sum == named->sum && like->body.count == named->count) {
        atomic_fetch_add(&like->refs, 1);
        *ret_part = like;
        return 0;
    }
    return part_open(disk, h, kind, named, ret_part);
}

/* ---- opening ---- */

static int open_parts(struct disk *disk, const struct pool_report *like, struct pool_report *r)
{
    int err = part_get(disk, &r->head, POOL_BODY_BASE, &r->head.base, like ? like->base : NULL,
                       &r->base);

    if (err < 0)
        return err;
    err = part_get(disk, &r->head, POOL_BODY_DELTA, &r->head.delta, like ? like->delta : NULL,
                   &r->delta);
    if (err < 0) {
        part_unref(r->base);
        r->base = NULL;
    }
    return err;
}

/* The marker is looked for afterwards: a node that does not know yet that it is retired may put a
 * head back, which is then above what removals have looked at. */
static int read_head(struct disk *disk, unsigned node, struct pool_head *ret)
{
    int err = pool_head_read(disk, node, ret);
    int r = err < 0 ? err : pool_node_is_retired(disk, node);

    return r == 1 ? -ENOENT : r;
}

/* What a head names may be gone, or half there, because a newer head has been written since. */
static int open_newest(struct disk *disk, unsigned node, const struct pool_report *like,
                       struct pool_report *r)
{
    for (int i = 0; i < TRIES; i++) {
        struct pool_head now;
        int err = read_head(disk, node, &r->head);

        if (err < 0)
            return err;
        err = open_parts(disk, like, r);
        if (err == 0 || err == -ENOMEM)
            return err;
        int again = read_head(disk, node, &now);

        if (again < 0)
            return again;
        if (now.serial == r->head.serial)
            return err == -ENOENT ? -EUCLEAN : err;
    }
    return -EAGAIN;
}

int pool_report_open(struct disk *disk, unsigned node, const struct pool_report *like,
                     struct pool_report **ret_report)
{
    struct pool_report *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    int err = open_newest(disk, node, like, r);

    if (err < 0)
        free(r);
    else
        *ret_report = r;
    return err;
}

void pool_report_close(struct pool_report *r)
{
    if (!r)
        return;
    part_unref(r->base);
    part_unref(r->delta);
    free(r);
}

const struct pool_head *pool_report_head(const struct pool_report *r)
{
    return &r->head;
}

/* ---- one key, one id ---- */

/* The last block from `from` on whose first key is at most `key`; `from` where none is. */
static uint64_t block_of(const struct report_part *p, const struct id *key, uint64_t from)
{
    uint64_t low = from, high = p->blocks;

    while (high - low > 1) {
        uint64_t mid = low + (high - low) / 2;

        if (id_compare(&p->first[mid], key) <= 0)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Index of the first record of the block that is not below `key`. */
static size_t lower_bound(const uint8_t *block, size_t count, const struct id *key)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (memcmp(record_at(block, mid), key->b, ID_LEN) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Records in order, from a key on. */
struct cursor {
    const struct report_part *part; /* NULL: there are none */
    uint64_t block;
    size_t at, count;
    uint8_t bytes[POOL_BLOCK];
};

static int cursor_load(struct cursor *c, uint64_t block)
{
    c->block = block;
    c->count = pool_block_count(&c->part->body, block);
    return pool_body_read(c->part->file, &c->part->body, block, 1, c->bytes);
}

static int cursor_seek(struct cursor *c, const struct report_part *part, const struct id *key)
{
    c->part = part && part->blocks ? part : NULL;
    if (!c->part)
        return 0;
    int err = cursor_load(c, block_of(part, key, 0));

    if (err == 0)
        c->at = lower_bound(c->bytes, c->count, key);
    return err;
}

/* -ENOENT there are no more. */
static int cursor_next(struct cursor *c, struct pool_record *ret)
{
    if (!c->part)
        return -ENOENT;
    if (c->at == c->count) {
        if (c->block + 1 == c->part->blocks)
            return -ENOENT;
        c->at = 0;
        int err = cursor_load(c, c->block + 1);

        if (err < 0)
            return err;
    }
    return pool_record_decode(record_at(c->bytes, c->at++), ret);
}

static int part_find(const struct report_part *p, const struct id *key, struct pool_record *ret)
{
    struct cursor c;
    struct pool_record r;
    int err = cursor_seek(&c, p, key);

    if (err == 0)
        err = cursor_next(&c, &r);
    if (err == 0 && !id_equal(&r.key, key))
        err = -ENOENT;
    if (err == 0)
        *ret = r;
    return err;
}

int pool_report_get(const struct pool_report *r, const struct id *key, struct pool_record *ret)
{
    struct pool_record found;
    int err = part_find(r->delta, key, &found);

    if (err == 0 && found.flags & POOL_GONE)
        return -ENOENT;
    if (err == -ENOENT)
        err = part_find(r->base, key, &found);
    if (err == 0)
        *ret = found;
    return err;
}

/* The next record of that id and size that the delta does not overrule. */
static int next_match(const struct pool_report *r, struct cursor *c, const struct id *id,
                      uint64_t size, struct entry *ret)
{
    struct pool_record record, over;
    int err;

    while ((err = cursor_next(c, &record)) == 0) {
        if (memcmp(record.key.b, id->b, PREFIX) > 0)
            return -ENOENT;
        pool_record_entry(&record, ret);
        if (record.flags & POOL_GONE || !id_equal(&ret->id, id) ||
            (size != POOL_ANY_SIZE && ret->size != size))
            continue;
        err = c->part == r->base ? part_find(r->delta, &record.key, &over) : -ENOENT;
        if (err < 0)
            return err == -ENOENT ? 0 : err;
    }
    return err;
}

/* May there be a record whose key begins as `low`, the lowest of these, does? */
static bool may_have(const struct report_part *p, const struct id *low)
{
    if (!p || p->blocks == 0)
        return false;
    uint64_t block = block_of(p, low, 0);
    size_t count = pool_block_count(&p->body, block);
    const uint16_t *prints = p->prints + block * pool_body_per_block(p->body.kind);
    uint16_t print = print_of(low);
    bool found = block + 1 < p->blocks && memcmp(p->first[block + 1].b, low->b, PREFIX) == 0;

    for (size_t i = 0; i < count; i++)
        found |= prints[i] == print;
    return found;
}

int pool_report_find(const struct pool_report *r, const struct id *id, uint64_t size, unsigned nth,
                     struct entry *ret)
{
    const struct report_part *parts[] = {r->base, r->delta};
    struct id low = {{0}};
    struct cursor c;
    struct entry e;

    memcpy(low.b, id->b, PREFIX);
    for (int i = 0; i < 2; i++) {
        int err = may_have(parts[i], &low) ? cursor_seek(&c, parts[i], &low) : -ENOENT;

        while (err == 0) {
            err = next_match(r, &c, id, size, &e);
            if (err == 0 && nth-- == 0) {
                *ret = e;
                return 0;
            }
        }
        if (err != -ENOENT)
            return err;
    }
    return -ENOENT;
}

static enum gc_named meaning(uint32_t flags)
{
    return flags & POOL_GONE     ? GC_NAMED_NOT
           : flags & POOL_PINNED ? GC_NAMED_PINNED
                                 : GC_NAMED_ACTIVE;
}

/* ---- all keys ---- */

/* One side of a merge: its next record, unless it is at its end. */
struct side {
    struct cursor c;
    struct pool_record r;
    bool has;
};

static int side_next(struct side *s)
{
    int err = cursor_next(&s->c, &s->r);

    s->has = err == 0;
    return err == -ENOENT ? 0 : err;
}

static int side_begin(struct side *s, const struct report_part *part)
{
    static const struct id low;
    int err = cursor_seek(&s->c, part, &low);

    return err < 0 ? err : side_next(s);
}

/* The lower of the two, the delta's where both have it. */
static int merge_next(struct side *base, struct side *delta, struct pool_record *ret)
{
    int order = !base->has    ? 1
                : !delta->has ? -1
                              : id_compare(&base->r.key, &delta->r.key);
    int err = 0;

    if (!base->has && !delta->has)
        return -ENOENT;
    *ret = order < 0 ? base->r : delta->r;
    if (order <= 0)
        err = side_next(base);
    return err == 0 && order >= 0 ? side_next(delta) : err;
}

int pool_report_each(const struct pool_report *r, pool_report_key_fn *fn, void *ctx)
{
    CLEANUP_FREE struct side *sides = calloc(2, sizeof *sides);
    struct pool_record record;
    int err = sides ? side_begin(&sides[0], r->base) : -ENOMEM;

    if (err == 0)
        err = side_begin(&sides[1], r->delta);
    while (err == 0 && (err = merge_next(&sides[0], &sides[1], &record)) == 0)
        if (meaning(record.flags) != GC_NAMED_NOT)
            err = fn(&record.key, meaning(record.flags), ctx);
    return err == -ENOENT ? 0 : err;
}

/* ---- many keys ---- */

struct window {
    const struct report_part *part;
    uint64_t start; /* block */
    size_t blocks;
    uint8_t *bytes; /* POOL_WINDOW blocks */
};

/* Block `block`, with those behind it up to `last`, if it is not there yet. */
static int window_load(struct window *w, uint64_t block, uint64_t last)
{
    if (w->blocks && block >= w->start && block < w->start + w->blocks)
        return 0;
    w->start = block;
    w->blocks = last - block + 1 < POOL_WINDOW ? (size_t)(last - block + 1) : POOL_WINDOW;
    int err = pool_body_read(w->part->file, &w->part->body, block, w->blocks, w->bytes);

    if (err < 0)
        w->blocks = 0;
    return err;
}

/* Keys [i, ...) that are in one block; returns the first that is not. */
static size_t merge_block(const uint8_t *block, size_t records, const struct id *end,
                          const struct id *keys, size_t i, size_t count, uint8_t *ret)
{
    size_t at = lower_bound(block, records, &keys[i]);

    for (; i < count && (!end || id_compare(&keys[i], end) < 0); i++) {
        int order = -1;

        while (at < records && (order = memcmp(record_at(block, at), keys[i].b, ID_LEN)) < 0)
            at++;
        if (at < records && order == 0)
            ret[i] = (uint8_t)meaning(get_le32(record_at(block, at) + FLAGS_AT));
    }
    return i;
}

static int part_names(const struct report_part *p, const struct id *keys, size_t count,
                      uint8_t *bytes, uint8_t *ret)
{
    struct window w = {.part = p, .bytes = bytes};

    if (!p || p->blocks == 0)
        return 0;
    uint64_t block = block_of(p, &keys[0], 0), last = block_of(p, &keys[count - 1], block);

    for (size_t i = 0; i < count;) {
        while (block < last && id_compare(&p->first[block + 1], &keys[i]) <= 0)
            block++;
        int err = window_load(&w, block, last);

        if (err < 0)
            return err;
        i = merge_block(w.bytes + (block - w.start) * POOL_BLOCK, pool_block_count(&p->body, block),
                        block < last ? &p->first[block + 1] : NULL, keys, i, count, ret);
    }
    return 0;
}

int pool_report_names(const struct pool_report *r, const struct id *keys, size_t count,
                      uint8_t *ret)
{
    CLEANUP_FREE uint8_t *bytes = NULL;

    memset(ret, GC_NAMED_NOT, count);
    if (count == 0)
        return 0;
    bytes = malloc((size_t)POOL_WINDOW * POOL_BLOCK);
    if (!bytes)
        return -ENOMEM;
    int err = part_names(r->base, keys, count, bytes, ret);

    return err < 0 ? err : part_names(r->delta, keys, count, bytes, ret);
}
