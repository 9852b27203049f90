// SPDX-License-Identifier: Apache-2.0
/*
 * pool_report: an opened report. The first key of each block is in memory. So a lookup costs one
 * block, and a question about many keys one pass, in windows, over the blocks that can have them.
 * Most ids that are looked for are not there, and for those no block is read (`prints`).
 *
 *     delta   has a record of the key (it may say that the key is gone): that one counts
 *     base    otherwise this one counts
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

/* attempts to open a report that is being replaced */
#define TRIES 3
#define FLAGS_AT 44 /* offset of the flags in an encoded record */
#define PREFIX 8    /* bytes of a key that come from the id */

static const uint8_t *record_at(const uint8_t *block, size_t i)
{
    return block + POOL_BLOCK_HEAD + i * POOL_RECORD_LEN;
}

/* The two bytes of a key that `prints` has: the last ones that come from the id. */
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

/* Gives back a reference on a part, and closes it with the last one; NULL is fine. */
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
    struct id last; /* key of the last record */
};

/* Checks one block: each record must be a possible one, and keys must rise. Fills `first` and
 * `prints`. */
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

/* Reads and checks all blocks of a part once, and fills `first` and `prints`. */
static int check_part(struct report_part *p)
{
    struct checking c = {.part = p};

    p->blocks = pool_body_blocks(&p->body);
    p->first = malloc((p->blocks ? p->blocks : 1) * sizeof *p->first);
    p->prints = malloc((p->body.count ? p->body.count : 1) * sizeof *p->prints);
    return p->first && p->prints ? pool_body_each(p->file, &p->body, check_block, &c) : -ENOMEM;
}

/* Opens a base or delta, and checks that it is the one that the head names. */
static int part_open(struct disk *disk, const struct pool_head *h, enum pool_body_kind kind,
                     const struct pool_part *named, struct report_part **ret_part)
{
    char name[DISK_NAME_MAX + 1];
    struct report_part *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    atomic_init(&p->refs, 1);
    report_part_name(h->node, kind, named->serial, name);
    int err = pool_body_open(disk, name, DISK_COPIED, kind, h->node, &p->file, &p->body);

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

/* Gets a part that the head names: that of `like` if it is the same, and else the file. NULL: the
 * head names none. */
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

/* Opens the base and the delta that the head names. */
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

/* Reads the head, and after it the marker of a retired node. The order matters: a node that does
 * not know yet that it is retired may write a head again, which is then newer than what removals
 * have looked at. */
static int read_head(struct disk *disk, unsigned node, struct pool_head *ret)
{
    int err = pool_head_read(disk, node, ret);
    int retired = err < 0 ? err : pool_node_is_retired(disk, node);

    return retired == 1 ? -ENOENT : retired;
}

/* Opens what the newest head names. If a newer head was written meanwhile, those parts may be
 * removed or incomplete: then it tries again. */
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

/* The last block from `from` on whose first key is at most `key`; `from`: there is none. */
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

/* The index of the first record of the block that is not below `key`. */
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

/* Reads the records of a part in order, from a key on. */
struct cursor {
    const struct report_part *part; /* NULL: there are no records */
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

/* Moves the cursor to the first record that is not below `key`. */
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

/* The next record. -ENOENT: there are no more. */
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

/* Finds one key in a part. -ENOENT: the part does not have it. */
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

/* The next record of that id and size that the delta does not replace. */
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

/* May the part have a record whose key begins like `low`, which is the lowest such key? The answer
 * needs no read. It may wrongly be true, never wrongly false. */
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

/* One side of a merge, and its next record. */
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

/* The lower of the two next records; for equal keys that of the delta. */
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
    uint64_t start; /* number of the first block */
    size_t blocks;
    uint8_t *bytes; /* room for POOL_WINDOW blocks */
};

/* Reads block `block` and the ones behind it, up to `last`, unless the window has it. */
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

/* Answers for keys [i, ...) as long as they are below `end` (NULL: all), from one block. Returns
 * the first key that is not. */
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

/* Answers for the keys from one part. The delta is asked after the base, and overwrites its
 * answers. */
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
