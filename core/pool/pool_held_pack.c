// SPDX-License-Identifier: Apache-2.0
/* pool_held_pack: reads the index and the dead list of one pack, and lists which packs there are
 * and what they hold. */
#include "pool_held_impl.h"

#include "array.h"
#include "bytes.h"
#include "packs.h"
#include "pool_file.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void held_pack_name(uint64_t pack, const char *suffix, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "packs/%016" PRIx64 "%s", pack, suffix);
}

/* ---- which packs ---- */

struct pack_listing {
    const char *suffix; /* of the names that are noted in `one`; NULL: all three kinds, in `all` */
    struct held_numbers *one;
    struct held_beside *all;
};

/* Where the number of a name "<16 hex>SUFFIX" is noted; NULL: nowhere. */
static struct held_numbers *noted_in(const struct pack_listing *l, const char *suffix)
{
    if (l->suffix)
        return strcmp(suffix, l->suffix) == 0 ? l->one : NULL;
    return *suffix == '\0'                 ? &l->all->packs
           : strcmp(suffix, ".index") == 0 ? &l->all->indexes
           : strcmp(suffix, ".dead") == 0  ? &l->all->dead
                                           : NULL;
}

static int add_number(const char *name, void *ctx)
{
    struct held_numbers *n = strlen(name) < 16 ? NULL : noted_in(ctx, name + 16);
    char digits[17];
    uint64_t number;

    snprintf(digits, sizeof digits, "%.16s", name);
    if (!n || pack_parse_name(digits, &number) < 0)
        return 0;
    if (ARRAY_RESERVE(n->v, n->room, n->count + 1) < 0)
        return -ENOMEM;
    n->v[n->count++] = number;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Puts the numbers in order, and leaves each in once. */
static void sort_numbers(struct held_numbers *n)
{
    size_t kept = 0;

    if (n->count == 0)
        return;
    qsort(n->v, n->count, sizeof *n->v, by_number);
    for (size_t i = 0; i < n->count; i++)
        if (i == 0 || n->v[i] != n->v[kept - 1])
            n->v[kept++] = n->v[i];
    n->count = kept;
}

int held_packs_list(struct disk *disk, const char *suffix, struct held_numbers *ret)
{
    struct pack_listing l = {.suffix = suffix, .one = ret};
    int err = disk_list(disk, "packs", add_number, &l);

    if (err == 0)
        sort_numbers(ret);
    return err;
}

int held_beside_list(struct disk *disk, struct held_beside *ret)
{
    struct pack_listing l = {.all = ret};

    *ret = (struct held_beside){0};
    int err = disk_list(disk, "packs", add_number, &l);

    if (err < 0)
        return err;
    sort_numbers(&ret->packs);
    sort_numbers(&ret->indexes);
    sort_numbers(&ret->dead);
    return 0;
}

void held_beside_release(struct held_beside *b)
{
    held_numbers_release(&b->packs);
    held_numbers_release(&b->indexes);
    held_numbers_release(&b->dead);
}

const char *held_file_below(const char *name)
{
    return strlen(name) > 3 && name[2] == '/' && strncmp(name, name + 3, 2) == 0 ? name + 3 : NULL;
}

bool held_numbers_have(const struct held_numbers *n, uint64_t number)
{
    return n->count && bsearch(&number, n->v, n->count, sizeof *n->v, by_number);
}

void held_numbers_release(struct held_numbers *n)
{
    free(n->v);
    *n = (struct held_numbers){0};
}

/* ---- one pack ---- */

/* Is the record behind the last one, without overlap? */
static bool follows(const struct held_pack *k, const struct pool_indexed *x)
{
    const struct pool_indexed *last = k->count ? &k->v[k->count - 1] : NULL;
    uint64_t end = last ? last->offset + pack_record_size(last->len) : PACK_FILE_HEAD;

    return x->offset >= end && x->len <= PACK_RECORD_MAX;
}

/* Called for the records of an index: decodes them, and checks their order. */
static int add_indexed(void *ctx, const uint8_t *records, size_t count, uint64_t first)
{
    struct held_pack *k = ctx;

    (void)first;
    for (size_t i = 0; i < count; i++) {
        struct pool_indexed x;
        int err = pool_indexed_decode(records + i * POOL_INDEXED_LEN, &x);

        if (err < 0)
            return err;
        if (!follows(k, &x))
            return -EUCLEAN;
        k->v[k->count++] = x;
    }
    return 0;
}

/* Reads the index, and checks that its records do not overlap. */
static int load_index(struct disk *disk, struct held_pack *k)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *file;
    struct pool_body body;

    held_pack_name(k->number, ".index", name);
    int err = pool_body_open(disk, name, 0, POOL_BODY_INDEX, k->number, &file, &body);

    if (err < 0)
        return err;
    k->whole = body.extra > 0;
    k->size = k->whole ? body.extra - 1 : 0;
    k->v = calloc(body.count + 1, sizeof *k->v);
    k->dead = calloc(body.count + 1, 1);
    err = k->v && k->dead ? pool_body_each(file, &body, add_indexed, k) : -ENOMEM;
    disk_file_close(file);
    return err;
}

/* ---- what was removed from one pack ---- */

/* Called for the records of a dead list. Their offsets rise. */
static int add_dead(void *ctx, const uint8_t *records, size_t count, uint64_t first)
{
    struct pool_dead *d = ctx;

    (void)first;
    for (size_t i = 0; i < count; i++) {
        uint32_t offset = get_le32(records + i * POOL_DEAD_LEN);

        if (d->count && offset <= d->v[d->count - 1])
            return -EUCLEAN;
        d->v[d->count++] = offset;
    }
    return 0;
}

int pool_dead_read(struct disk *disk, uint64_t pack, struct pool_dead *ret)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *file;
    struct pool_body body;

    *ret = (struct pool_dead){0};
    held_pack_name(pack, ".dead", name);
    int err = pool_body_open(disk, name, 0, POOL_BODY_DEAD, pack, &file, &body);

    if (err == 0) {
        ret->v = calloc(body.count + 1, sizeof *ret->v);
        err = ret->v ? pool_body_each(file, &body, add_dead, ret) : -ENOMEM;
        disk_file_close(file);
    }
    if (err < 0)
        pool_dead_release(ret);
    return err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

static int by_offset(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

bool pool_dead_has(const struct pool_dead *d, uint32_t offset)
{
    return d->count && bsearch(&offset, d->v, d->count, sizeof *d->v, by_offset);
}

void pool_dead_release(struct pool_dead *d)
{
    free(d->v);
    *d = (struct pool_dead){0};
}

/* Marks the records of the pack that were removed. An offset at which no record begins counts for
 * nothing. */
static int load_dead(struct disk *disk, struct held_pack *k)
{
    struct pool_dead dead;
    int err = pool_dead_read(disk, k->number, &dead);

    for (size_t i = 0; err == 0 && i < k->count; i++)
        k->dead[i] = pool_dead_has(&dead, k->v[i].offset);
    if (err == 0)
        pool_dead_release(&dead);
    return err;
}

int held_pack_load(struct disk *disk, uint64_t number, const struct held_numbers *dead,
                   struct held_pack *ret)
{
    struct held_pack k = {.number = number};
    int err = load_index(disk, &k);

    if (err == 0 && (!dead || held_numbers_have(dead, number)))
        err = load_dead(disk, &k);
    if (err < 0) {
        held_pack_release(&k);
        return err;
    }
    for (size_t i = 0; i < k.count; i++)
        k.live += !k.dead[i];
    *ret = k;
    return 0;
}

void held_pack_release(struct held_pack *k)
{
    free(k->v);
    free(k->dead);
    *k = (struct held_pack){0};
}

struct entry held_pack_entry(const struct held_pack *k, size_t i)
{
    const struct pool_indexed *x = &k->v[i];

    return (struct entry){
        .kind = ENTRY_PACK, .id = x->id, .size = x->len, .where = k->number, .offset = x->offset};
}

struct id held_pack_key(const struct held_pack *k, size_t i)
{
    struct entry e = held_pack_entry(k, i);

    return pool_key(&e);
}

/* ---- what packs hold ---- */

/* Sums up one pack. 1: *ret is set; 0: it holds nothing, or cannot be read; -ENOMEM. */
static int sum_up(struct disk *disk, uint64_t number, struct pool_held_pack *ret)
{
    struct held_pack k;
    int err = held_pack_load(disk, number, NULL, &k);

    if (err < 0)
        return err == -ENOMEM ? err : 0;
    *ret = (struct pool_held_pack){.number = number, .bytes = PACK_FILE_HEAD};
    for (size_t i = 0; i < k.count; i++) {
        uint64_t bytes = pack_record_size(k.v[i].len);
        ret->bytes += bytes;
        ret->held += k.dead[i] ? 0 : bytes;
    }
    if (k.whole && k.size > ret->bytes)
        ret->bytes = k.size;
    held_pack_release(&k);
    return ret->held > 0;
}

int pool_held_packs(struct disk *disk, pool_held_pack_fn *fn, void *ctx)
{
    struct held_numbers packs = {0};
    struct pool_held_pack k;
    int err = held_packs_list(disk, ".dead", &packs);

    for (size_t i = 0; i < packs.count && err == 0; i++) {
        err = sum_up(disk, packs.v[i], &k);
        if (err > 0)
            err = fn(&k, ctx);
    }
    held_numbers_release(&packs);
    return err;
}

int pool_held_records(struct disk *disk, uint64_t pack, pool_held_record_fn *fn, void *ctx)
{
    struct held_pack k;
    int err = held_pack_load(disk, pack, NULL, &k);

    if (err < 0)
        return err;
    for (size_t i = 0; i < k.count && err == 0; i++) {
        struct entry e = held_pack_entry(&k, i);
        if (!k.dead[i])
            err = fn(&e, ctx);
    }
    held_pack_release(&k);
    return err;
}
