// SPDX-License-Identifier: Apache-2.0
/*
 * packs: many small objects in few files.
 *
 *     file:   head 32: magic u32 | version u32 | pack number u64 | zero u64 | checksum u64
 *             records, each on a multiple of 8
 *     record: head 40: magic u32 | payload length u32 | id 16 | checksum u64
 *                      method u8 | zero 3 | uncompressed length u32
 *             payload, zeros up to a multiple of 8                              (little-endian)
 *
 * An append takes its range under the lock and writes without it, so several threads write one pack
 * at once. A range whose write failed is dead. The list `unsynced` of a pack has the records that
 * were written since its last sync. A sync removes the records that were in the list when it began.
 * If it fails they stay, and packs_sync keeps failing until their owners have released them.
 *
 * A `struct pack` is made when a pack is used for the first time, and lives until the pack is
 * deleted. Only its file handle is closed and opened again.
 */
#include "array.h"
#include "io.h"
#include "packs_impl.h"
#include "report.h"
#include "waits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- appending ---- */

/* Creates the file of a pack, with its head. */
static int create_file(struct packs *p, uint64_t number, struct disk_file **ret_file)
{
    char name[DISK_NAME_MAX + 1];
    uint8_t head[FILE_HEAD];

    pack_name(number, name);
    int err = disk_open(p->disk, name, DISK_WRITE | DISK_CREATE, ret_file);

    if (err)
        return err;
    pack_file_head(head, number);
    err = disk_pwrite(*ret_file, head, sizeof head, 0);
    if (err) {
        disk_file_close(*ret_file);
        (void)disk_unlink(p->disk, name); /* if this fails packs_open removes it */
    }
    return err;
}

/* Makes a new current pack. Its number is used up even after a failure: a part of a file of that
 * name may be left. */
static int current_create(struct packs *p)
{
    struct pack *k = pack_get(p, p->next);
    struct disk_file *f;

    if (!k)
        return -ENOMEM;
    int err = create_file(p, p->next++, &f);

    if (err) {
        LIST_REMOVE(k, bucket);
        pack_free(p, k);
        return err;
    }
    pack_handle_add(p, k, f);
    k->end = FILE_HEAD;
    p->current = k;
    return 0;
}

/* Takes a range of the current pack for a record of `len` bytes. The pack is referenced for the
 * caller. */
static int range_take(struct packs *p, uint32_t len, struct pack **ret_pack, uint32_t *ret_offset)
{
    int err = p->current ? 0 : current_create(p);

    if (err)
        return err;
    struct pack *k = p->current;

    *ret_offset = (uint32_t)k->end;
    k->end += pack_record_size(len);
    k->refs++;
    k->writing++;
    if (k->end >= p->size)
        p->current = NULL; /* full */
    *ret_pack = k;
    return 0;
}

static int unsynced_add(struct pack *k, uint32_t offset)
{
    if (ARRAY_RESERVE(k->unsynced, k->unsynced_room, k->unsynced_count + 1) < 0)
        return -ENOMEM;
    k->unsynced[k->unsynced_count++] = offset;
    return 0;
}

/* Counts in a record that was written. -EIO: a sync of the pack failed meanwhile, so its bytes may
 * be lost. */
static int record_count_in(struct packs *p, struct pack *k, uint32_t offset, uint32_t len)
{
    if (k->suspect) /* a sync of the pack failed during our write */
        return -EIO;
    int err = unsynced_add(k, offset);

    if (err)
        return err;
    err = pack_count(p, 0, k->number, 1, len, k->end, NULL);
    if (err)
        k->unsynced_count--;
    return err;
}

/* Ends an append with its result `r`: the record is counted in, or its range is dead. */
static int append_end(struct packs *p, struct pack *k, uint32_t offset, uint32_t len, int err)
{
    uint64_t number = k->number;
    int drop = 0;

    {
        MUTEX_GUARD(&p->lock);
        if (err == 0)
            err = record_count_in(p, k, offset, len);
        if (err)
            pack_dead_add(k, offset, offset + pack_record_size(len));
        k->writing--;
        cond_broadcast(&p->written);
        if (err)
            drop = pack_drop_if_empty(p, number);
        pack_unref(p, k);
    }
    if (err)
        (void)pack_unlink_dropped(p, number, drop); /* the append's own error counts */
    return err;
}

int packs_append(struct packs *p, const struct pack_record *r, const void *payload,
                 struct pack_place *ret_place)
{
    static const uint8_t zeros[8];
    const uint32_t len = r->stored;
    struct pack_place place = {.stored = r->method == PACK_PLAIN ? 0 : len};
    uint8_t head[RECORD_HEAD];
    struct pack *k;

    if (r->size > PACK_RECORD_MAX)
        return -EINVAL;
    {
        MUTEX_GUARD(&p->lock);
        int err = range_take(p, len, &k, &place.offset);

        if (err)
            return err;
        place.pack = k->number;
    }
    pack_record_encode(r, payload, &place, head);
    struct iovec iov[] = {
        {.iov_base = head, .iov_len = RECORD_HEAD},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = len},
        {.iov_base = (void *)(uintptr_t)zeros,
         .iov_len = pack_record_size(len) - RECORD_HEAD - len},
    };
    int err = disk_pwritev(k->file, iov, 3, place.offset);

    err = append_end(p, k, place.offset, len, err);
    if (err == 0)
        *ret_place = place;
    return err;
}

int packs_retire_dead(struct packs *p, uint64_t least)
{
    uint64_t number;
    int drop;

    {
        MUTEX_GUARD(&p->lock);
        if (!p->current || pack_dead_bytes(p->current) < least)
            return 0;
        number = p->current->number;
        p->current = NULL;
        drop = pack_drop_if_empty(p, number);
    }
    (void)pack_unlink_dropped(p, number, drop); /* else the next start does it */
    return drop < 0 ? drop : 0;
}

int packs_retire_current(struct packs *p)
{
    return packs_retire_dead(p, 0);
}

/* ---- syncing ---- */

/* A pack that a sync covers. */
struct sync_item {
    struct pack *pack;
    size_t count; /* number of records that this sync makes durable */
};

/* On a disk of whole files a sync puts the pack for good. So it is closed first, and what is being
 * appended to it is waited for, and put with it. Needs the lock, and gives it up meanwhile; the
 * caller has referenced the pack. */
static void close_for_good(struct packs *p, struct pack *k)
{
    mutex_held(&p->lock);
    if (p->current == k)
        p->current = NULL;
    WAITS_GUARD(WAITS_THREAD, "the bytes of a pack", 0, NULL);
    while (k->writing)
        cond_wait(&p->written, &p->lock);
}

/* Lists the packs with unsynced records; each is referenced. *ret_names: some file has a name that
 * is not durable yet. */
static int sync_collect(struct packs *p, struct sync_item **ret_items, size_t *ret_count,
                        bool *ret_names)
{
    MUTEX_GUARD(&p->lock);
    struct sync_item *items = calloc(p->handles + 1, sizeof *items);
    size_t n = 0;
    struct pack *k;

    if (!items)
        return -ENOMEM;
    TAILQ_FOREACH(k, &p->open, lru)
    {
        if (k->suspect || k->unsynced_count == 0)
            continue;
        k->refs++;
        *ret_names |= !k->named;
        items[n++] = (struct sync_item){.pack = k};
    }
    for (size_t i = 0; i < n; i++) { /* those in the list may change, these are referenced */
        if (disk_is_whole(p->disk))
            close_for_good(p, items[i].pack);
        items[i].count = items[i].pack->unsynced_count;
    }
    *ret_items = items;
    *ret_count = n;
    return 0;
}

/* Ends the sync of one pack with its result `r`. A pack whose sync failed is suspect: it is never
 * appended to or synced again. One that could not be put has all of its bytes here still, so the
 * next sync puts it. */
static void sync_finish(struct packs *p, const struct sync_item *item, int err)
{
    MUTEX_GUARD(&p->lock);
    struct pack *k = item->pack;

    if (io_is_short(err) || (err < 0 && disk_is_whole(p->disk))) {
        ; /* a shortage, or a failed put: the next sync repeats it */
    } else if (err) {
        k->suspect = true;
        if (p->current == k)
            p->current = NULL;
    } else if (!k->gone) {
        k->named = true;
        k->unsynced_count -= item->count;
        memmove(k->unsynced, k->unsynced + item->count, k->unsynced_count * sizeof *k->unsynced);
    }
    pack_unref(p, k);
}

uint64_t packs_suspect(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    struct pack *k;

    TAILQ_FOREACH(k, &p->open, lru)
    if (k->suspect && k->unsynced_count)
        return k->number;
    return 0;
}

/* -EIO while a suspect pack holds records that never became durable and were not released. */
static int sync_lost(struct packs *p)
{
    return packs_suspect(p) ? -EIO : 0;
}

/* The directory is synced first: if that fails, no record of a new file counts as durable. */
int packs_sync(struct packs *p)
{
    MUTEX_GUARD(&p->sync_lock);
    struct sync_item *items;
    size_t count;
    bool names = false;
    int result = sync_collect(p, &items, &count, &names);

    if (result)
        return result;
    int dir = names ? disk_sync_dir(p->disk, "packs") : 0;

    result = dir;
    for (size_t i = 0; i < count; i++) {
        int err = items[i].pack->named ? 0 : dir;

        if (err == 0)
            err = disk_sync(items[i].pack->file);
        sync_finish(p, &items[i], err);
        if (result == 0)
            result = err;
    }
    free(items);
    return result ? result : sync_lost(p);
}

/* ---- reading ---- */

int packs_read(struct packs *p, const struct pack_place *place, const struct id *id, void *buf,
               uint32_t len)
{
    struct pack *k;

    if (!pack_place_ok(place, len))
        return -EUCLEAN;
    {
        MUTEX_GUARD(&p->lock);
        int err = pack_acquire(p, place->pack, &k);

        if (err)
            return err;
    }
    int err = pack_record_read(k->file, place, id, buf, len);
    MUTEX_GUARD(&p->lock);

    pack_unref(p, k);
    return err;
}

/* ---- adopting, releasing ---- */

int packs_adopt(struct packs *p, const struct pack_place *place, uint32_t len)
{
    MUTEX_GUARD(&p->lock);
    int err = pack_count(p, 0, place->pack, 1, pack_payload(place, len), 0, NULL);

    return err == -ENOENT ? 0 : err == -EUCLEAN ? -EBUSY : err;
}

bool packs_is_dead(struct packs *p, const struct pack_place *place)
{
    MUTEX_GUARD(&p->lock);
    const struct pack *k = pack_find(p, place->pack);

    return k && pack_dead_has(k, place->offset);
}

/* Drops a pack that may be empty now. The records stay counted out even if its row cannot be
 * deleted; the pack then goes at the next start. 1: its file is to be unlinked. */
static int drop_emptied(struct packs *p, uint64_t number)
{
    int dropped = pack_drop_if_empty(p, number);

    if (dropped < 0)
        report(REPORT_NOTE, "pack %" PRIu64 " is empty, and goes at the next mount (%s)", number,
               strerror(-dropped));
    return dropped < 0 ? 0 : dropped;
}

/* Counts a record out, and notes its range as dead. If a hole is due, *ret_pack is referenced and
 * *ret_hole is the range. 1: the file is to be unlinked. */
static int release_locked(struct packs *p, const struct pack_place *place, uint32_t len,
                          struct pack **ret_pack, struct dead *ret_hole)
{
    mutex_held(&p->lock);
    const uint32_t stored = pack_payload(place, len);
    int err = pack_count(p, 0, place->pack, -1, -(int64_t)stored, 0, NULL);

    if (err)
        return err;
    err = drop_emptied(p, place->pack);
    if (err)
        return err;
    struct pack *k = pack_get(p, place->pack);

    if (!k)
        return 0; /* no memory: there is no hole, and nothing else is lost */
    if (k->suspect)
        pack_forget_unsynced(k, place->offset);
    pack_dead_add(k, place->offset, place->offset + pack_record_size(stored));
    *ret_hole = pack_dead_take_hole(k, place->offset);
    if (ret_hole->end && pack_acquire(p, place->pack, ret_pack))
        *ret_pack = NULL;
    return 0;
}

int packs_release(struct packs *p, const struct pack_place *place, uint32_t len)
{
    struct pack *k = NULL;
    struct dead hole = {0};
    int dropped;

    {
        MUTEX_GUARD(&p->lock);
        dropped = release_locked(p, place, len, &k, &hole);
        if (dropped == -ENOENT)
            pack_handle_drop(p, place->pack);
    }
    if (!k) {
        /* The record is counted out; a file that stays for now must not make the caller count it
         * out again. */
        (void)pack_unlink_dropped(p, place->pack, dropped);
        return dropped < 0 ? dropped : 0;
    }
    /* The hole is optional: where the disk cannot punch one, compaction gets the space back. */
    int punched = disk_punch(k->file, hole.start, hole.end - hole.start);
    MUTEX_GUARD(&p->lock);

    if (punched == 0 && !k->gone)
        pack_holes_add(p, k->number, hole.punched);
    pack_unref(p, k);
    return 0;
}

/* ---- what was lost ---- */

/* Is there a row of that pack, or is a record of it being written? 1, 0 or -errno. */
static int is_known(struct packs *p, uint64_t number)
{
    struct pack_entry e;
    int err = pack_is_written(p, number) ? 0 : pack_entry_get(p, 0, number, &e);

    mutex_held(&p->lock);
    return err == -ENOENT ? 0 : err < 0 ? err : 1;
}

int packs_is_known(struct packs *p, uint64_t number)
{
    MUTEX_GUARD(&p->lock);
    return is_known(p, number);
}

int packs_remove_unknown(struct packs *p, uint64_t number)
{
    int known = packs_is_known(p, number);

    /* A number is given out once, so this pack cannot get a row meanwhile. */
    return known ? (known < 0 ? known : -EBUSY) : pack_unlink_dropped(p, number, 1);
}

int packs_get(struct packs *p, uint16_t shard, uint64_t number, struct pack_entry *ret)
{
    MUTEX_GUARD(&p->lock);
    return pack_entry_get(p, shard, number, ret);
}

int packs_count_in(struct packs *p, uint16_t shard, uint64_t number, uint32_t records,
                   uint64_t bytes, uint64_t file_bytes)
{
    MUTEX_GUARD(&p->lock);
    return pack_count(p, shard, number, records, (int64_t)bytes, file_bytes, NULL);
}

int packs_count_out(struct packs *p, uint16_t shard, uint64_t number, uint32_t records,
                    uint64_t bytes, struct pack_entry *ret_left)
{
    int dropped;

    {
        MUTEX_GUARD(&p->lock);
        dropped = pack_count(p, shard, number, -(int64_t)records, -(int64_t)bytes, 0, ret_left);
        if (dropped == 0 && !shard)
            dropped = drop_emptied(p, number);
    }
    (void)pack_unlink_dropped(p, number, dropped); /* else the next start does it */
    return dropped < 0 ? dropped : 0;
}

int packs_forget(struct packs *p, uint16_t shard, uint64_t number)
{
    struct pack_entry e;
    MUTEX_GUARD(&p->lock);
    int err = pack_entry_get(p, shard, number, &e);

    if (err == 0 && e.live_records > 0)
        return -EBUSY;
    return err ? err : pack_entry_drop(p, shard, number);
}

/* The length of a pack's file; 0 if there is none. */
static int file_bytes(struct packs *p, uint64_t number, uint64_t *ret_bytes)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_stat st = {0};

    pack_name(number, name);
    int err = disk_stat(p->disk, name, &st);

    *ret_bytes = st.size;
    return err == -ENOENT ? 0 : err;
}

int packs_correct(struct packs *p, uint64_t number, int64_t records, int64_t bytes)
{
    uint64_t size;
    int err = file_bytes(p, number, &size);

    if (err)
        return err;
    {
        MUTEX_GUARD(&p->lock);
        err = pack_count(p, 0, number, records, bytes, size, NULL);
        if (err == 0)
            err = drop_emptied(p, number);
    }
    (void)pack_unlink_dropped(p, number, err); /* else the next start does it */
    return err < 0 ? err : 0;
}

/* ---- commit ---- */

int packs_freeze(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    int err = layer_freeze(p->rows[0]);

    return err ? err : layer_freeze(p->rows[1]);
}

int packs_write(struct packs *p, size_t n, struct kv_txn *t)
{
    int err = layer_write(p->rows[0], n, t);

    return err ? err : layer_write(p->rows[1], n, t);
}

void packs_retire(struct packs *p, size_t n)
{
    MUTEX_GUARD(&p->lock);
    layer_retire(p->rows[0], n);
    layer_retire(p->rows[1], n);
}

size_t packs_changes(struct packs *p)
{
    return layer_pending(p->rows[0]) + layer_pending(p->rows[1]);
}
