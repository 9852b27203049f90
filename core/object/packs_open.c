// SPDX-License-Identifier: Apache-2.0
/*
 * packs_open: opening the packs: files that no commit names are removed, and packs without live
 * records are unlinked.
 */
#include "packs_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Notes the number of a file in the map of them. */
static int list_file(const char *name, void *ctx)
{
    uint64_t number;

    return pack_parse_name(name, &number) < 0 ? 0 /* the file is no pack */
                                              : map64_put(ctx, number, 1);
}

/* Notes a number that is in use, so that it is not given again. */
static void seen(struct packs *p, uint64_t number)
{
    if (number >= p->next)
        p->next = number + 1;
}

/* Removes a file without a row. If that fails the file stays unused, and a GC cycle finds it. */
static void remove_file(struct packs *p, uint64_t number)
{
    (void)pack_unlink_dropped(p, number, 1);
}

/* Removes the files without a row. Either they were never committed, or their row is lost; `keep`
 * decides for those that may have been committed. */
static int open_files(struct packs *p, const struct map64 *files, bool (*keep)(void *ctx),
                      void *ctx)
{
    uint64_t first = p->next, number, one;
    size_t at = 0;

    while (map64_next(files, &at, &number, &one)) {
        struct pack_entry e;
        int err = pack_entry_get(p, 0, number, &e);

        seen(p, number);
        if (err == -ENOENT && !(keep && number < first && keep(ctx)))
            remove_file(p, number);
        else if (err && err != -ENOENT)
            return err;
    }
    return 0;
}

/* Notes the holes that earlier runs punched. If the disk does not answer, the pack counts as one
 * without holes. */
static void find_holes(struct packs *p, uint64_t number, const struct pack_entry *e)
{
    uint64_t dead = pack_entry_dead(e), holes;
    char name[DISK_NAME_MAX + 1];
    struct disk_stat st;

    if (disk_is_whole(p->disk)) /* there are none, and asking would take long */
        return;
    pack_name(number, name);
    if (dead < PUNCH_MIN || disk_stat(p->disk, name, &st) < 0 || st.blocks >= st.size ||
        st.size < e->file_bytes)
        return;
    holes = st.size - st.blocks;
    pack_holes_add(p, number, holes < dead ? holes : dead);
}

/* Takes up one row at the start. A pack without live records is dropped. */
static int open_entry(struct packs *p, uint64_t number, const struct pack_entry *e)
{
    seen(p, number);
    p->stats.packs++;
    pack_stats_add(p, e);
    if (e->live_records) {
        find_holes(p, number, e);
        return 0;
    }
    int err = pack_entry_drop(p, 0, number);

    if (err == 0)
        remove_file(p, number);
    return err;
}

/* Take up all rows of home. A row may be dropped meanwhile, so each is looked up anew behind the
 * last one. */
static int open_entries(struct packs *p)
{
    struct pack_entry e;
    uint64_t number = 0;
    int err;

    while ((err = pack_entry_next(p, 0, &number, &e)) == 0) {
        err = open_entry(p, number, &e);
        if (err)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

/* Make the directory of packs, durably. On a read-only disk there are no packs to be written. */
static int make_directory(struct packs *p)
{
    int err = disk_mkdir(p->disk, "packs");

    if (err == 0)
        err = disk_sync_dir(p->disk, "");
    return err == -EROFS ? 0 : err;
}

/* List the files, and then take up the rows. */
static int packs_load(struct packs *p, bool (*keep)(void *ctx), void *ctx)
{
    struct map64 files = MAP64_INIT;
    int err = disk_list(p->disk, "packs", list_file, &files);

    if (err == -ENOENT)
        err = make_directory(p);
    if (err == 0)
        err = open_files(p, &files, keep, ctx);
    map64_release(&files);
    return err ? err : open_entries(p);
}

int packs_open(struct disk *disk, struct kv *kv, unsigned home, unsigned shards, uint64_t next_pack,
               bool (*keep)(void *ctx), void *ctx, struct packs **ret_packs)
{
    struct packs *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    p->disk = disk;
    p->next = next_pack ? next_pack : 1;
    TAILQ_INIT(&p->open);
    mutex_init(&p->lock, "packs");
    cond_init(&p->written);
    packs_set_size(p, PACK_SIZE_DEFAULT);
    mutex_init(&p->sync_lock, "packs sync");
    int err = layer_create(kv, home, 8, &p->rows[0]);

    if (err == 0)
        err = layer_create(kv, shards, 10, &p->rows[1]);
    if (err == 0)
        err = packs_load(p, keep, ctx);
    if (err) {
        packs_close(p);
        return err;
    }
    *ret_packs = p;
    return 0;
}

void packs_close(struct packs *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct pack *k;

        while ((k = LIST_FIRST(&p->buckets[i]))) {
            LIST_REMOVE(k, bucket);
            pack_free(p, k);
        }
    }
    layer_destroy(p->rows[0]);
    layer_destroy(p->rows[1]);
    map64_release(&p->holes);
    cond_destroy(&p->written);
    mutex_destroy(&p->sync_lock);
    mutex_destroy(&p->lock);
    free(p);
}

void packs_set_size(struct packs *p, uint64_t pack_size)
{
    uint64_t most = disk_is_whole(p->disk) ? PACK_SIZE_PUT : PACK_SIZE_MAX;
    MUTEX_GUARD(&p->lock);

    p->size = pack_size < most ? pack_size : most;
}

uint64_t packs_next(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    return p->next;
}

int packs_next_closed(struct packs *p, uint16_t shard, uint64_t after, struct pack_info *ret)
{
    struct pack_info k = {.number = after};
    uint64_t holes;
    int err;
    MUTEX_GUARD(&p->lock);

    do
        err = pack_entry_next(p, shard, &k.number, &k.entry);
    while (err == 0 && !shard && pack_is_written(p, k.number));
    if (err < 0)
        return err;
    k.dead = pack_entry_dead(&k.entry);
    holes = shard ? 0 : pack_holes(p, k.number);
    holes = holes < k.dead ? holes : k.dead;
    k.dead -= holes;
    k.bytes = k.entry.file_bytes - holes;
    *ret = k;
    return 0;
}

void packs_get_stats(struct packs *p, struct packs_stats *ret)
{
    MUTEX_GUARD(&p->lock);
    uint64_t heads = p->stats.packs * FILE_HEAD + p->stats.live_records * RECORD_HEAD;
    uint64_t used = p->stats.live_bytes + heads + p->hole_bytes;

    *ret = p->stats;
    ret->dead_bytes = ret->file_bytes > used ? ret->file_bytes - used : 0;
}
