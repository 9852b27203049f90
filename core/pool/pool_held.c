// SPDX-License-Identifier: Apache-2.0
/*
 * pool_held: lists what a pool holds; see the header. pool_held_remove.c removes, and
 * pool_held_index.c makes indexes.
 */
#include "pool_held_impl.h"

#include "array.h"
#include "blob.h"
#include "pool_file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held_listing {
    struct disk *disk;
    struct pool_held *held;
    pool_step_fn *step;
    void *ctx;
    char *why; /* POOL_WHY bytes */
};

/* Names the file that ended the listing. */
static int fail(struct held_listing *l, int err, const char *name)
{
    snprintf(l->why, POOL_WHY, err == -EUCLEAN ? "its file %s is damaged" : "%s cannot be read: %s",
             name, strerror(-err));
    return err;
}

/* Adds a key, with the rest of the id for people. */
static int add_key(struct held_listing *l, const struct entry *e)
{
    struct pool_held *h = l->held;
    struct pool_held_key *k;

    if (ARRAY_RESERVE(h->keys, h->room, h->count + 1) < 0)
        return -ENOMEM;
    k = &h->keys[h->count++];
    k->key = pool_key(e);
    memcpy(k->rest, e->id.b + ID_LEN - sizeof k->rest, sizeof k->rest);
    return 0;
}

static int cancelled(struct held_listing *l)
{
    return l->step && l->step(l->ctx, l->held->count) ? -ECANCELED : 0;
}

static int add_file(const char *name, void *ctx)
{
    struct entry e = {.kind = ENTRY_FILE};

    if (blob_parse_object(name, &e.id, &e.where) < 0)
        return 0; /* a file of sums, or no object */
    return add_key(ctx, &e);
}

static int add_file_below(const char *name, void *ctx)
{
    name = held_file_below(name);
    return name ? add_file(name, ctx) : 0;
}

/* Lists the object files. Each of the 256 directories must be there: a missing one is an error. On
 * a shard there are no directories, and one list has all. */
static int list_files(struct held_listing *l)
{
    char dir[sizeof "objects/00"];
    int err = 0;

    if (disk_is_whole(l->disk)) {
        err = disk_list_below(l->disk, "objects", add_file_below, l);
        return err < 0 ? fail(l, err, "objects") : cancelled(l);
    }
    for (unsigned i = 0; i < 256 && err == 0; i++) {
        snprintf(dir, sizeof dir, "objects/%02x", i & 0xff);
        err = disk_list(l->disk, dir, add_file, l);
        if (err < 0)
            return fail(l, err, dir);
        err = cancelled(l);
    }
    return err;
}

/* Lists the records of one pack. */
static int list_pack(struct held_listing *l, uint64_t number, const struct held_numbers *dead)
{
    char name[DISK_NAME_MAX + 1];
    struct held_pack k;
    int err = held_pack_load(l->disk, number, dead, &k);

    held_pack_name(number, ".index", name);
    if (err < 0)
        return err == -ENOENT ? 0 : fail(l, err, name);
    for (size_t i = 0; i < k.count && err == 0; i++) {
        struct entry e = held_pack_entry(&k, i);

        if (!k.dead[i])
            err = add_key(l, &e);
    }
    held_pack_release(&k);
    return err < 0 ? err : cancelled(l);
}

/* Lists the records of all packs with an index. Packs without one are only counted. The index of a
 * pack that is not listed counts for nothing: the pack does not exist any more, or stays. */
static int list_packs(struct held_listing *l)
{
    struct held_beside b;
    int err = held_beside_list(l->disk, &b);

    if (err < 0)
        err = fail(l, err, "packs");
    for (size_t i = 0; i < b.packs.count && err == 0; i++)
        l->held->unindexed += !held_numbers_have(&b.indexes, b.packs.v[i]);
    for (size_t i = 0; i < b.indexes.count && err == 0; i++)
        if (held_numbers_have(&b.packs, b.indexes.v[i]))
            err = list_pack(l, b.indexes.v[i], &b.dead);
    held_beside_release(&b);
    return err;
}

static int by_key(const void *a, const void *b)
{
    const struct pool_held_key *x = a, *y = b;

    return id_compare(&x->key, &y->key);
}

/* Sorts the keys, and leaves each in once. */
static void sort_keys(struct pool_held *h)
{
    size_t kept = 0;

    if (h->count == 0)
        return;
    qsort(h->keys, h->count, sizeof *h->keys, by_key);
    for (size_t i = 0; i < h->count; i++)
        if (i == 0 || !id_equal(&h->keys[i].key, &h->keys[kept - 1].key))
            h->keys[kept++] = h->keys[i];
    h->count = kept;
}

int pool_held_list(struct disk *disk, pool_step_fn *step, void *ctx, struct pool_held *ret,
                   char why[POOL_WHY])
{
    struct held_listing l = {disk, ret, step, ctx, why};

    *ret = (struct pool_held){0};
    snprintf(why, POOL_WHY, "out of memory, or cancelled");
    int err = list_files(&l);

    if (err == 0)
        err = list_packs(&l);
    if (err < 0)
        pool_held_release(ret);
    else
        sort_keys(ret);
    if (err == 0)
        *why = 0;
    return err;
}

struct id pool_held_whole(const struct pool_held *h, const struct id *key)
{
    const struct pool_held_key want = {.key = *key};
    const struct pool_held_key *k =
        h->count ? bsearch(&want, h->keys, h->count, sizeof *h->keys, by_key) : NULL;
    struct id whole = {{0}};

    if (!k)
        return whole;
    memcpy(whole.b, k->key.b, ID_LEN - sizeof k->rest);
    memcpy(whole.b + ID_LEN - sizeof k->rest, k->rest, sizeof k->rest);
    return whole;
}

void pool_held_release(struct pool_held *h)
{
    free(h->keys);
    *h = (struct pool_held){0};
}
