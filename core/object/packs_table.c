// SPDX-License-Identifier: Apache-2.0
/*
 * packs_table: the row of each pack in its kv table, and the packs in memory with their file
 * handles. At most HANDLES_MAX handles stay open, besides those in use.
 */
#include "io.h"
#include "packs_impl.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ---- */

#define KEY_MAX 10 /* bytes */

/* Makes the key of a row: the number of the pack (8 bytes), on a shard behind that of the shard (2
 * bytes), big-endian, so that rows are in that order. Returns the table that has the row. */
static struct layer *row_at(struct packs *p, uint16_t shard, uint64_t number, uint8_t key[KEY_MAX])
{
    key[0] = (uint8_t)(shard >> 8);
    key[1] = (uint8_t)shard;
    put_be64(shard ? key + 2 : key, number);
    return p->rows[shard != 0];
}

/* Reads the row of a pack. -ENOENT (then *ret is all zeros), -EUCLEAN. */
int pack_entry_get(struct packs *p, uint16_t shard, uint64_t number, struct pack_entry *ret)
{
    uint8_t key[KEY_MAX], val[LAYER_VALUE_MAX];
    struct layer *rows = row_at(p, shard, number, key);
    size_t len;

    *ret = (struct pack_entry){0};
    int err = layer_get(rows, key, val, sizeof val, &len);

    return err == -ERANGE ? -EUCLEAN : err < 0 ? err : pack_entry_decode(val, len, ret);
}

int pack_entry_next(struct packs *p, uint16_t shard, uint64_t *number, struct pack_entry *ret)
{
    uint8_t key[KEY_MAX], next[KEY_MAX];
    struct layer *rows = row_at(p, shard, *number, key);
    uint64_t found;
    size_t count;
    int err = layer_keys(rows, key, next, 1, &count);

    if (err == 0 && (count == 0 || (shard && memcmp(next, key, 2) != 0)))
        return -ENOENT; /* there is no more, or it is a row of the next shard */
    if (err < 0)
        return err;
    found = get_be64(shard ? next + 2 : next);
    err = pack_entry_get(p, shard, found, ret);
    if (err == 0)
        *number = found;
    return err;
}

void pack_stats_add(struct packs *p, const struct pack_entry *e)
{
    p->stats.live_records += e->live_records;
    p->stats.live_bytes += e->live_bytes;
    p->stats.file_bytes += e->file_bytes;
}

static void pack_stats_sub(struct packs *p, const struct pack_entry *e)
{
    p->stats.live_records -= e->live_records;
    p->stats.live_bytes -= e->live_bytes;
    p->stats.file_bytes -= e->file_bytes;
}

/* May a row that was `was` get these numbers? A pack on a shard never grows, and no row says more
 * than 4 GiB (pack_entry_decode). */
static bool is_possible(uint16_t shard, const struct pack_entry *was, int64_t records,
                        int64_t bytes, uint64_t file_bytes)
{
    if (file_bytes > UINT64_C(1) << 32 ||
        (shard && was->file_bytes && was->file_bytes != file_bytes))
        return false;
    return records >= 0 && records <= UINT32_MAX && bytes >= 0 && (uint64_t)bytes <= file_bytes;
}

int pack_count(struct packs *p, uint16_t shard, uint64_t number, int64_t records, int64_t bytes,
               uint64_t file_bytes, struct pack_entry *ret)
{
    uint8_t key[KEY_MAX], val[PACK_ENTRY_LEN];
    struct layer *rows = row_at(p, shard, number, key);
    struct pack_entry was, e;
    int err = pack_entry_get(p, shard, number, &was);
    bool is_new = err == -ENOENT && file_bytes;

    if (err < 0 && !is_new)
        return err;
    if (file_bytes == 0 || (!shard && file_bytes < was.file_bytes))
        file_bytes = was.file_bytes;
    records += was.live_records;
    bytes += (int64_t)was.live_bytes;
    if (!is_possible(shard, &was, records, bytes, file_bytes))
        return -EUCLEAN;
    e = (struct pack_entry){(uint32_t)records, (uint64_t)bytes, file_bytes};
    pack_entry_encode(&e, val);
    err = layer_put(rows, key, val, sizeof val);
    if (err < 0)
        return err;
    if (ret)
        *ret = e;
    if (shard)
        return 0;
    pack_stats_sub(p, &was);
    pack_stats_add(p, &e);
    p->stats.packs += is_new;
    return 0;
}

/* Drops the row of a pack. -ENOENT. */
int pack_entry_drop(struct packs *p, uint16_t shard, uint64_t number)
{
    uint8_t key[KEY_MAX];
    struct layer *rows = row_at(p, shard, number, key);
    struct pack_entry e;
    int err = pack_entry_get(p, shard, number, &e);

    if (err == 0)
        err = layer_del(rows, key);
    if (err < 0 || shard)
        return err;
    pack_stats_sub(p, &e);
    p->stats.packs--;
    p->hole_bytes -= pack_holes(p, number);
    (void)map64_del(&p->holes, number);
    return 0;
}

/* ---- holes ---- */

void pack_holes_add(struct packs *p, uint64_t number, uint64_t bytes)
{
    if (map64_add(&p->holes, number, (int64_t)bytes, NULL) == 0)
        p->hole_bytes += bytes;
}

uint64_t pack_holes(const struct packs *p, uint64_t number)
{
    uint64_t bytes = 0;

    (void)map64_get(&p->holes, number, &bytes);
    return bytes;
}

/* ---- packs in memory and their handles; all need p->lock ---- */

static struct pack_bucket *bucket_of(struct packs *p, uint64_t number)
{
    return &p->buckets[number % BUCKETS];
}

struct pack *pack_find(struct packs *p, uint64_t number)
{
    struct pack *k;

    LIST_FOREACH(k, bucket_of(p, number), bucket)
    if (k->number == number)
        return k;
    return NULL;
}

/* Is the pack appended to now, or may it be later? */
bool pack_is_written(struct packs *p, uint64_t number)
{
    const struct pack *k = pack_find(p, number);

    return number >= p->next || (k && (k == p->current || k->writing));
}

struct pack *pack_get(struct packs *p, uint64_t number)
{
    struct pack *k = pack_find(p, number);

    if (k)
        return k;
    k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->number = number;
    LIST_INSERT_HEAD(bucket_of(p, number), k, bucket);
    return k;
}

/* Close the file handle of a pack. Needs the lock. */
static void handle_close(struct packs *p, struct pack *k)
{
    if (!k->file)
        return;
    disk_file_close(k->file);
    k->file = NULL;
    TAILQ_REMOVE(&p->open, k, lru);
    p->handles--;
}

void pack_free(struct packs *p, struct pack *k)
{
    handle_close(p, k);
    free(k->unsynced);
    free(k->dead);
    free(k);
}

/* May the handle be closed? Not while the pack has unsynced bytes: a new handle would not see the
 * error of a failed write-back. */
static bool handle_idle(const struct packs *p, const struct pack *k)
{
    return k->refs == 0 && k->unsynced_count == 0 && k != p->current;
}

/* Closes idle handles, the least recently used first, until at most `most` are open. */
static void handles_trim(struct packs *p, unsigned most)
{
    struct pack *k = TAILQ_LAST(&p->open, pack_list), *before;

    for (; k && p->handles > most; k = before) {
        before = TAILQ_PREV(k, pack_list, lru);
        if (handle_idle(p, k))
            handle_close(p, k);
    }
}

void pack_handle_add(struct packs *p, struct pack *k, struct disk_file *file)
{
    k->file = file;
    TAILQ_INSERT_HEAD(&p->open, k, lru);
    p->handles++;
}

/* Open the file of a pack for writing, or for reading on a read-only disk. The lock is held, so no
 * shard may be asked for the name. */
static int open_pack(struct packs *p, const char *name, struct disk_file **ret_file)
{
    int err = disk_open(p->disk, name, DISK_WRITE, ret_file);

    return err == -EROFS ? disk_open(p->disk, name, DISK_READ | DISK_LATER, ret_file) : err;
}

/* Opens the file of a pack; on a shortage of handles or memory the idle handles are closed
 * first. */
static int handle_open(struct packs *p, struct pack *k)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    pack_name(k->number, name);
    int err = open_pack(p, name, &f);

    if (io_is_short(err)) { /* close handles that are not in use, and try again */
        handles_trim(p, 0);
        err = open_pack(p, name, &f);
    }
    if (err == 0)
        pack_handle_add(p, k, f);
    return err;
}

void pack_unref(struct packs *p, struct pack *k)
{
    k->refs--;
    if (k->gone && k->refs == 0)
        pack_free(p, k);
    handles_trim(p, HANDLES_MAX);
}

/* Forgets an idle pack and closes its file: another store may be about to remove that file, and an
 * open handle would keep its space. */
void pack_handle_drop(struct packs *p, uint64_t number)
{
    struct pack *k = pack_find(p, number);

    if (!k || !handle_idle(p, k) || k->dead_count)
        return;
    LIST_REMOVE(k, bucket);
    pack_free(p, k);
}

/* Find the pack, open its file and hold both until pack_unref. */
int pack_acquire(struct packs *p, uint64_t number, struct pack **ret_pack)
{
    struct pack *k = pack_get(p, number);

    if (!k)
        return -ENOMEM;
    int err = k->file ? 0 : handle_open(p, k);

    if (err) {
        if (k->dead_count == 0) { /* it has no dead ranges to remember, and may be no pack at all */
            LIST_REMOVE(k, bucket);
            pack_free(p, k);
        }
        return err;
    }
    k->refs++;
    TAILQ_REMOVE(&p->open, k, lru);
    TAILQ_INSERT_HEAD(&p->open, k, lru);
    handles_trim(p, HANDLES_MAX);
    *ret_pack = k;
    return 0;
}

/* Drops a closed pack that has no live records: deletes its row and returns 1; the caller then
 * unlinks the file outside the lock. 0: the pack stays. */
int pack_drop_if_empty(struct packs *p, uint64_t number)
{
    struct pack *k = pack_find(p, number);
    struct pack_entry e;
    int err = pack_entry_get(p, 0, number, &e);

    if (err && err != -ENOENT)
        return err;
    if (e.live_records || (k && (k == p->current || k->writing)))
        return 0;
    if (err == 0)
        err = pack_entry_drop(p, 0, number);
    if (err && err != -ENOENT)
        return err;
    if (k) {
        LIST_REMOVE(k, bucket);
        k->gone = true;
        k->refs++;
        k->unsynced_count = 0; /* no record is waiting for a sync any more */
        pack_unref(p, k);
    }
    return 1;
}

/* Unlinks the file of a pack if `r`, the result of pack_drop_if_empty, is 1. A file that is missing
 * was unlinked before a crash. A file that cannot be unlinked now has no row, is reported, and goes
 * at the next packs_open. */
int pack_unlink_dropped(struct packs *p, uint64_t number, int dropped)
{
    char name[DISK_NAME_MAX + 1];

    if (dropped <= 0)
        return dropped;
    pack_name(number, name);
    int err = disk_unlink(p->disk, name);
    if (err == 0 || err == -ENOENT)
        return 0;
    report(REPORT_NOTE, "%s is empty, and cannot be removed now (%s): the next start removes it",
           name, strerror(-err));
    return err;
}
