// SPDX-License-Identifier: Apache-2.0
/*
 * packs: many small objects in few files.
 *
 *     file:   head 32: magic u32 | version u32 | pack number u64 | zero u64 | checksum u64
 *             records, each on a multiple of 8
 *     record: head 40: magic u32 | payload length u32 | id 16 | checksum u64 | zero u64
 *             payload, zeros up to a multiple of 8                              (little-endian)
 *
 * An append takes its range under the lock and writes outside it, so several threads write one pack
 * at once; a range whose write failed is simply dead. Per pack the list `unsynced` says which
 * records came since its last sync: a sync drops just those that were in it when it began, and when
 * it fails they stay, and packs_sync keeps failing until their owners have released them.
 *
 * A `struct pack` is made when a pack is first touched and lives until the pack is gone; only its
 * file handle comes and goes.
 */
#include "packs.h"

#include "bytes.h"
#include "io.h"
#include "layer.h"
#include "lock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define FILE_MAGIC 0x4b504c54u /* "TLPK" */
#define FILE_VERSION 1
#define FILE_HEAD 32
#define RECORD_MAGIC 0x43524c54u /* "TLRC" */
#define RECORD_HEAD 40
#define RECORD_SUMMED 24 /* bytes of the head before the checksum */
#define PACK_SIZE_DEFAULT (UINT64_C(64) << 20)
#define PACK_SIZE_MAX (UINT64_C(2) << 30) /* offsets are u32 */
#define PUNCH_MIN (64 * 1024)             /* bytes worth a hole */
#define PUNCH_ALIGN 4096
#define HANDLES_MAX 32
#define BUCKETS 1024

/* Neighbouring dead records. */
struct dead {
    uint64_t start, end;
    uint64_t unpunched; /* bytes that died since the last hole was made here */
};

struct pack {
    uint64_t number;
    LIST_ENTRY(pack) bucket;
    TAILQ_ENTRY(pack) lru; /* in p->open while `file` is set */
    struct disk_file *file;
    unsigned refs;      /* users of `file` right now */
    unsigned writing;   /* of these, appends */
    uint64_t end;       /* of the last range given out, bytes; 0: not a pack of this run */
    uint32_t *unsynced; /* offsets of the records appended since the last sync */
    size_t unsynced_count, unsynced_room;
    bool named;   /* the file's name is durable */
    bool suspect; /* a sync failed: never appended to or synced again */
    bool gone;    /* removed; the last user frees it */
    struct dead *dead;
    size_t dead_count, dead_room;
};

TAILQ_HEAD(pack_list, pack);
LIST_HEAD(pack_bucket, pack);

struct packs {
    struct disk *disk;
    struct mutex sync_lock; /* outside `lock`: one sync at a time, so that none misses an error */
    struct mutex lock;      /* all below */
    struct layer *entries;
    struct pack_bucket buckets[BUCKETS];
    struct pack_list open; /* most recently used first */
    size_t handles;        /* in `open` */
    struct pack *current;  /* appended to; NULL: the next append makes one */
    uint64_t next, size;
    struct packs_stats stats; /* without dead_bytes */
};

/* ---- format ---- */

void pack_name(uint64_t pack, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "packs/%016" PRIx64, pack);
}

void pack_entry_encode(const struct pack_entry *e, uint8_t out[PACK_ENTRY_LEN])
{
    put_le32(out, e->live_records);
    put_le64(out + 4, e->live_bytes);
    put_le64(out + 12, e->file_bytes);
}

int pack_entry_decode(const void *val, size_t len, struct pack_entry *ret)
{
    const uint8_t *p = val;

    if (len != PACK_ENTRY_LEN)
        return -EUCLEAN;
    struct pack_entry e = {get_le32(p), get_le64(p + 4), get_le64(p + 12)};

    if (e.live_bytes > e.file_bytes || e.file_bytes > UINT64_C(1) << 32)
        return -EUCLEAN;
    *ret = e;
    return 0;
}

static uint64_t record_size(uint32_t len)
{
    return (RECORD_HEAD + (uint64_t)len + 7) & ~UINT64_C(7);
}

/* Of the head's first fields, then of the payload: each seeds the next. */
static uint64_t record_checksum(const uint8_t *head, const void *data, uint32_t len, uint64_t pack,
                                uint32_t offset)
{
    uint64_t place = pack * UINT64_C(0x9e3779b97f4a7c15) + offset;

    return id_checksum(data, len, id_checksum(head, RECORD_SUMMED, place));
}

static void record_head(uint8_t head[RECORD_HEAD], const struct id *id, const void *data,
                        uint32_t len, const struct pack_place *place)
{
    memset(head, 0, RECORD_HEAD);
    put_le32(head, RECORD_MAGIC);
    put_le32(head + 4, len);
    memcpy(head + 8, id->b, ID_LEN);
    put_le64(head + 24, record_checksum(head, data, len, place->pack, place->offset));
}

static void file_head(uint8_t head[FILE_HEAD], uint64_t number)
{
    memset(head, 0, FILE_HEAD);
    put_le32(head, FILE_MAGIC);
    put_le32(head + 4, FILE_VERSION);
    put_le64(head + 8, number);
    put_le64(head + 24, id_checksum(head, 24, number));
}

/* ---- the table ---- */

/* -ENOENT, -EUCLEAN; an absent entry reads as all zeros besides. */
static int entry_get(struct packs *p, uint64_t number, struct pack_entry *ret)
{
    uint8_t key[8], val[LAYER_VALUE_MAX];
    size_t len;

    *ret = (struct pack_entry){0};
    put_be64(key, number);
    int r = layer_get(p->entries, key, val, sizeof val, &len);

    return r ? r : pack_entry_decode(val, len, ret);
}

static void stats_add(struct packs *p, const struct pack_entry *e)
{
    p->stats.live_records += e->live_records;
    p->stats.live_bytes += e->live_bytes;
    p->stats.file_bytes += e->file_bytes;
}

static void stats_sub(struct packs *p, const struct pack_entry *e)
{
    p->stats.live_records -= e->live_records;
    p->stats.live_bytes -= e->live_bytes;
    p->stats.file_bytes -= e->file_bytes;
}

static int entry_put(struct packs *p, uint64_t number, const struct pack_entry *e)
{
    uint8_t key[8], val[PACK_ENTRY_LEN];

    put_be64(key, number);
    pack_entry_encode(e, val);
    return layer_put(p->entries, key, val, sizeof val);
}

static int count_in(struct packs *p, struct pack *k, uint32_t len)
{
    struct pack_entry old, e;
    int r = entry_get(p, k->number, &old);

    if (r && r != -ENOENT)
        return r;
    e = old;
    e.live_records++;
    e.live_bytes += len;
    e.file_bytes = k->end;
    int put = entry_put(p, k->number, &e);

    if (put)
        return put;
    stats_sub(p, &old);
    stats_add(p, &e);
    p->stats.packs += r == -ENOENT;
    return 0;
}

static int count_out(struct packs *p, uint64_t number, uint32_t len)
{
    struct pack_entry old, e;
    int r = entry_get(p, number, &old);

    if (r)
        return r;
    if (old.live_records == 0 || old.live_bytes < len)
        return -EUCLEAN;
    e = old;
    e.live_records--;
    e.live_bytes -= len;
    r = entry_put(p, number, &e);
    if (r)
        return r;
    stats_sub(p, &old);
    stats_add(p, &e);
    return 0;
}

static int entry_drop(struct packs *p, uint64_t number)
{
    struct pack_entry e;
    uint8_t key[8];
    int r = entry_get(p, number, &e);

    if (r)
        return r == -ENOENT ? 0 : r;
    put_be64(key, number);
    r = layer_del(p->entries, key);
    if (r)
        return r;
    stats_sub(p, &e);
    p->stats.packs--;
    return 0;
}

/* ---- packs in memory and their handles; all need p->lock ---- */

static struct pack_bucket *bucket_of(struct packs *p, uint64_t number)
{
    return &p->buckets[number % BUCKETS];
}

static struct pack *pack_find(struct packs *p, uint64_t number)
{
    struct pack *k;

    LIST_FOREACH(k, bucket_of(p, number), bucket)
    if (k->number == number)
        return k;
    return NULL;
}

static struct pack *pack_get(struct packs *p, uint64_t number)
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

static void handle_close(struct packs *p, struct pack *k)
{
    if (!k->file)
        return;
    disk_file_close(k->file);
    k->file = NULL;
    TAILQ_REMOVE(&p->open, k, lru);
    p->handles--;
}

static void pack_free(struct packs *p, struct pack *k)
{
    handle_close(p, k);
    free(k->unsynced);
    free(k->dead);
    free(k);
}

/* Unsynced bytes keep their handle: a new one would not see the error of a failed write-back. */
static bool handle_idle(const struct packs *p, const struct pack *k)
{
    return k->refs == 0 && k->unsynced_count == 0 && k != p->current;
}

static void handles_trim(struct packs *p)
{
    struct pack *k = TAILQ_LAST(&p->open, pack_list), *before;

    for (; k && p->handles > HANDLES_MAX; k = before) {
        before = TAILQ_PREV(k, pack_list, lru);
        if (handle_idle(p, k))
            handle_close(p, k);
    }
}

static void handle_add(struct packs *p, struct pack *k, struct disk_file *file)
{
    k->file = file;
    TAILQ_INSERT_HEAD(&p->open, k, lru);
    p->handles++;
}

static int handle_open(struct packs *p, struct pack *k)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;

    pack_name(k->number, name);
    int r = disk_open(p->disk, name, DISK_WRITE, &f);

    if (r == -EROFS)
        r = disk_open(p->disk, name, DISK_READ, &f);
    if (r == 0)
        handle_add(p, k, f);
    return r;
}

static void pack_unref(struct packs *p, struct pack *k)
{
    k->refs--;
    if (k->gone && k->refs == 0)
        pack_free(p, k);
    handles_trim(p);
}

/* Find the pack, open its file and hold both until pack_unref. */
static int pack_acquire(struct packs *p, uint64_t number, struct pack **ret_pack)
{
    struct pack *k = pack_get(p, number);

    if (!k)
        return -ENOMEM;
    int r = k->file ? 0 : handle_open(p, k);

    if (r) {
        if (k->dead_count == 0) { /* knows nothing worth keeping: perhaps no pack at all */
            LIST_REMOVE(k, bucket);
            pack_free(p, k);
        }
        return r;
    }
    k->refs++;
    TAILQ_REMOVE(&p->open, k, lru);
    TAILQ_INSERT_HEAD(&p->open, k, lru);
    handles_trim(p);
    *ret_pack = k;
    return 0;
}

/* A closed pack without live records goes: 1 and the entry is deleted; the caller unlinks the file
 * outside the lock. 0 when it stays. */
static int pack_drop_if_empty(struct packs *p, uint64_t number)
{
    struct pack *k = pack_find(p, number);
    struct pack_entry e;
    int r = entry_get(p, number, &e);

    if (r && r != -ENOENT)
        return r;
    if (e.live_records || (k && (k == p->current || k->writing)))
        return 0;
    r = entry_drop(p, number);
    if (r)
        return r;
    if (k) {
        LIST_REMOVE(k, bucket);
        k->gone = true;
        k->refs++;
        k->unsynced_count = 0; /* nobody's any more */
        pack_unref(p, k);
    }
    return 1;
}

/* `r` as from pack_drop_if_empty; a file already missing was unlinked before a crash. A file that
 * cannot be unlinked now has no entry and goes at the next packs_open. */
static int unlink_dropped(struct packs *p, uint64_t number, int r)
{
    char name[DISK_NAME_MAX + 1];

    if (r <= 0)
        return r;
    pack_name(number, name);
    r = disk_unlink(p->disk, name);
    return r == -ENOENT ? 0 : r;
}

/* ---- appending ---- */

static int create_file(struct packs *p, uint64_t number, struct disk_file **ret_file)
{
    char name[DISK_NAME_MAX + 1];
    uint8_t head[FILE_HEAD];

    pack_name(number, name);
    int r = disk_open(p->disk, name, DISK_WRITE | DISK_CREATE, ret_file);

    if (r)
        return r;
    file_head(head, number);
    r = disk_pwrite(*ret_file, head, sizeof head, 0);
    if (r) {
        disk_file_close(*ret_file);
        (void)disk_unlink(p->disk, name); /* else packs_open removes it */
    }
    return r;
}

/* The number is used up even when this fails: half a file of that name may be left. */
static int current_create(struct packs *p)
{
    struct pack *k = pack_get(p, p->next);
    struct disk_file *f;

    if (!k)
        return -ENOMEM;
    int r = create_file(p, p->next++, &f);

    if (r) {
        LIST_REMOVE(k, bucket);
        pack_free(p, k);
        return r;
    }
    handle_add(p, k, f);
    k->end = FILE_HEAD;
    p->current = k;
    return 0;
}

/* Take a range of the current pack; the pack is held. */
static int range_take(struct packs *p, uint32_t len, struct pack **ret_pack, uint32_t *ret_offset)
{
    int r = p->current ? 0 : current_create(p);

    if (r)
        return r;
    struct pack *k = p->current;

    *ret_offset = (uint32_t)k->end;
    k->end += record_size(len);
    k->refs++;
    k->writing++;
    if (k->end >= p->size)
        p->current = NULL; /* full */
    *ret_pack = k;
    return 0;
}

static int unsynced_add(struct pack *k, uint32_t offset)
{
    if (k->unsynced_count == k->unsynced_room) {
        size_t room = k->unsynced_room ? k->unsynced_room * 2 : 64;
        uint32_t *list = realloc(k->unsynced, room * sizeof *list);

        if (!list)
            return -ENOMEM;
        k->unsynced = list;
        k->unsynced_room = room;
    }
    k->unsynced[k->unsynced_count++] = offset;
    return 0;
}

static int record_count_in(struct packs *p, struct pack *k, uint32_t offset, uint32_t len)
{
    if (k->suspect) /* its sync failed while we wrote */
        return -EIO;
    int r = unsynced_add(k, offset);

    if (r)
        return r;
    r = count_in(p, k, len);
    if (r)
        k->unsynced_count--;
    return r;
}

static void dead_add(struct pack *k, uint64_t start, uint64_t end);

static int append_end(struct packs *p, struct pack *k, uint32_t offset, uint32_t len, int r)
{
    uint64_t number = k->number;
    int drop = 0;

    {
        MUTEX_GUARD(&p->lock);
        if (r == 0)
            r = record_count_in(p, k, offset, len);
        if (r)
            dead_add(k, offset, offset + record_size(len));
        k->writing--;
        if (r)
            drop = pack_drop_if_empty(p, number);
        pack_unref(p, k);
    }
    if (r)
        (void)unlink_dropped(p, number, drop); /* the append's own error counts */
    return r;
}

int packs_append(struct packs *p, const struct id *id, const void *data, uint32_t len,
                 struct pack_place *ret_place)
{
    static const uint8_t zeros[8];
    struct pack_place place;
    uint8_t head[RECORD_HEAD];
    struct pack *k;

    if (len > PACK_RECORD_MAX)
        return -EINVAL;
    {
        MUTEX_GUARD(&p->lock);
        int r = range_take(p, len, &k, &place.offset);

        if (r)
            return r;
        place.pack = k->number;
    }
    record_head(head, id, data, len, &place);
    struct iovec iov[] = {
        {.iov_base = head, .iov_len = RECORD_HEAD},
        {.iov_base = (void *)(uintptr_t)data, .iov_len = len},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = record_size(len) - RECORD_HEAD - len},
    };
    int r = disk_pwritev(k->file, iov, 3, place.offset);

    r = append_end(p, k, place.offset, len, r);
    if (r == 0)
        *ret_place = place;
    return r;
}

int packs_retire_current(struct packs *p)
{
    uint64_t number;
    int drop;

    {
        MUTEX_GUARD(&p->lock);
        if (!p->current)
            return 0;
        number = p->current->number;
        p->current = NULL;
        drop = pack_drop_if_empty(p, number);
    }
    return unlink_dropped(p, number, drop);
}

/* ---- syncing ---- */

struct sync_item {
    struct pack *pack;
    size_t count; /* records this sync makes durable */
};

/* The packs with unsynced records, held. */
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
        items[n++] = (struct sync_item){k, k->unsynced_count};
    }
    *ret_items = items;
    *ret_count = n;
    return 0;
}

static void sync_finish(struct packs *p, const struct sync_item *item, int r)
{
    MUTEX_GUARD(&p->lock);
    struct pack *k = item->pack;

    if (r) {
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

/* -EIO while a suspect pack holds records that never became durable and were not released. */
static int sync_lost(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    struct pack *k;

    TAILQ_FOREACH(k, &p->open, lru)
    if (k->suspect && k->unsynced_count)
        return -EIO;
    return 0;
}

/* The directory comes first: when that fails, no record of a new file counts as durable. */
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
        int r = items[i].pack->named ? 0 : dir;

        if (r == 0)
            r = disk_sync(items[i].pack->file);
        sync_finish(p, &items[i], r);
        if (result == 0)
            result = r;
    }
    free(items);
    return result ? result : sync_lost(p);
}

/* ---- reading ---- */

static int read_exactly(struct disk_file *f, void *buf, size_t len, uint64_t off)
{
    ssize_t n = disk_pread(f, buf, len, off);

    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -EUCLEAN;
}

static int record_read(struct disk_file *f, const struct pack_place *place, const struct id *id,
                       void *buf, uint32_t len)
{
    uint8_t head[RECORD_HEAD];
    int r = read_exactly(f, head, sizeof head, place->offset);

    if (r)
        return r;
    if (get_le32(head) != RECORD_MAGIC || get_le32(head + 4) != len ||
        memcmp(head + 8, id->b, ID_LEN) != 0 || get_le64(head + 32) != 0)
        return -EUCLEAN;
    r = read_exactly(f, buf, len, place->offset + (uint64_t)RECORD_HEAD);
    if (r)
        return r;
    uint64_t sum = record_checksum(head, buf, len, place->pack, place->offset);

    return sum == get_le64(head + 24) ? 0 : -EUCLEAN;
}

static bool place_ok(const struct pack_place *place, uint32_t len)
{
    return len <= PACK_RECORD_MAX && place->offset % 8 == 0 && place->offset >= FILE_HEAD;
}

int packs_check_head(struct disk_file *file, uint64_t pack)
{
    uint8_t head[FILE_HEAD], good[FILE_HEAD];
    int r = read_exactly(file, head, sizeof head, 0);

    if (r)
        return r;
    file_head(good, pack);
    return memcmp(head, good, sizeof head) == 0 ? 0 : -EUCLEAN;
}

int packs_check_record(struct disk_file *file, const struct pack_place *place, const struct id *id,
                       void *buf, uint32_t len)
{
    return place_ok(place, len) ? record_read(file, place, id, buf, len) : -EUCLEAN;
}

int packs_read(struct packs *p, const struct pack_place *place, const struct id *id, void *buf,
               uint32_t len)
{
    struct pack *k;

    if (!place_ok(place, len))
        return -EUCLEAN;
    {
        MUTEX_GUARD(&p->lock);
        int r = pack_acquire(p, place->pack, &k);

        if (r)
            return r;
    }
    int r = record_read(k->file, place, id, buf, len);
    MUTEX_GUARD(&p->lock);

    pack_unref(p, k);
    return r;
}

/* ---- releasing ---- */

/* Index of the first range that ends at or after `start`. */
static size_t dead_find(const struct pack *k, uint64_t start)
{
    size_t low = 0, high = k->dead_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (k->dead[mid].end < start)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool dead_insert(struct pack *k, size_t at, uint64_t start, uint64_t end)
{
    if (k->dead_count == k->dead_room) {
        size_t room = k->dead_room ? k->dead_room * 2 : 16;
        struct dead *list = realloc(k->dead, room * sizeof *list);

        if (!list)
            return false; /* no memory: this range is not given back before compaction */
        k->dead = list;
        k->dead_room = room;
    }
    memmove(&k->dead[at + 1], &k->dead[at], (k->dead_count - at) * sizeof *k->dead);
    k->dead[at] = (struct dead){start, end, end - start};
    k->dead_count++;
    return true;
}

/* Remember [start, end) as dead, one with the neighbours it touches. */
static void dead_add(struct pack *k, uint64_t start, uint64_t end)
{
    size_t at = dead_find(k, start);

    if (at == k->dead_count || k->dead[at].start > end) {
        (void)dead_insert(k, at, start, end);
        return;
    }
    struct dead *d = &k->dead[at];

    d->unpunched += end - start;
    if (d->end == start)
        d->end = end;
    else
        d->start = start;
    if (at + 1 < k->dead_count && d[1].start == d->end) {
        d->end = d[1].end;
        d->unpunched += d[1].unpunched;
        k->dead_count--;
        memmove(d + 1, d + 2, (k->dead_count - at - 1) * sizeof *d);
    }
}

/* The pages wholly inside the dead range around `start`, when enough died there since the last
 * time; `end` 0: nothing to do. */
static struct dead dead_take_hole(struct pack *k, uint64_t start)
{
    size_t at = dead_find(k, start + 1);

    if (at == k->dead_count || k->dead[at].start > start)
        return (struct dead){0};
    struct dead *d = &k->dead[at];
    uint64_t from = (d->start + PUNCH_ALIGN - 1) / PUNCH_ALIGN * PUNCH_ALIGN;
    uint64_t to = d->end / PUNCH_ALIGN * PUNCH_ALIGN;

    if (d->unpunched < PUNCH_MIN || to < from + PUNCH_MIN)
        return (struct dead){0};
    d->unpunched = 0;
    return (struct dead){.start = from, .end = to};
}

/* A record that never became durable needs no sync any more. */
static void forget_unsynced(struct pack *k, uint32_t offset)
{
    for (size_t i = 0; i < k->unsynced_count; i++)
        if (k->unsynced[i] == offset) {
            k->unsynced[i] = k->unsynced[--k->unsynced_count];
            return;
        }
}

/* Count the record out. When a hole is due, *ret_pack is held. 1: the file is to be unlinked. */
static int release_locked(struct packs *p, const struct pack_place *place, uint32_t len,
                          struct pack **ret_pack, struct dead *ret_hole)
{
    mutex_held(&p->lock);
    int r = count_out(p, place->pack, len);

    if (r)
        return r;
    r = pack_drop_if_empty(p, place->pack);
    if (r)
        return r;
    struct pack *k = pack_get(p, place->pack);

    if (!k)
        return 0; /* no memory: only the hole is missed */
    if (k->suspect)
        forget_unsynced(k, place->offset);
    dead_add(k, place->offset, place->offset + record_size(len));
    *ret_hole = dead_take_hole(k, place->offset);
    if (ret_hole->end && pack_acquire(p, place->pack, ret_pack))
        *ret_pack = NULL;
    return 0;
}

int packs_release(struct packs *p, const struct pack_place *place, uint32_t len)
{
    struct pack *k = NULL;
    struct dead hole;
    int r;

    {
        MUTEX_GUARD(&p->lock);
        r = release_locked(p, place, len, &k, &hole);
    }
    if (!k)
        return unlink_dropped(p, place->pack, r);
    /* A hole is a gift, not a promise: a disk that cannot leaves it to compaction. */
    (void)disk_punch(k->file, hole.start, hole.end - hole.start);
    MUTEX_GUARD(&p->lock);

    pack_unref(p, k);
    return 0;
}

/* ---- opening ---- */

struct number_list {
    uint64_t *number;
    size_t count, room;
};

static int list_add(struct number_list *l, uint64_t number)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        uint64_t *list = realloc(l->number, room * sizeof *list);

        if (!list)
            return -ENOMEM;
        l->number = list;
        l->room = room;
    }
    l->number[l->count++] = number;
    return 0;
}

static int list_file(const char *name, void *ctx)
{
    if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
        return 0; /* not ours */
    return list_add(ctx, strtoull(name, NULL, 16));
}

static void seen(struct packs *p, uint64_t number)
{
    if (number >= p->next)
        p->next = number + 1;
}

/* On a disk that cannot be changed the dead file stays; nobody sees it. */
static int remove_file(struct packs *p, uint64_t number)
{
    int r = unlink_dropped(p, number, 1);

    return r == -EROFS ? 0 : r;
}

/* Files the table does not know were never committed. */
static int open_files(struct packs *p, const struct number_list *files)
{
    for (size_t i = 0; i < files->count; i++) {
        struct pack_entry e;
        int r = entry_get(p, files->number[i], &e);

        seen(p, files->number[i]);
        if (r == -ENOENT)
            r = remove_file(p, files->number[i]);
        if (r)
            return r;
    }
    return 0;
}

static int open_entry(struct packs *p, uint64_t number, const struct pack_entry *e)
{
    seen(p, number);
    p->stats.packs++;
    stats_add(p, e);
    if (e->live_records)
        return 0;
    int r = entry_drop(p, number);

    return r ? r : remove_file(p, number);
}

static int open_entries(struct packs *p)
{
    uint8_t key[8], last[8], val[LAYER_VALUE_MAX];
    size_t len;
    int r = layer_next(p->entries, NULL, key, val, sizeof val, &len);

    while (r == 0) {
        struct pack_entry e;

        r = pack_entry_decode(val, len, &e);
        if (r == 0)
            r = open_entry(p, get_be64(key), &e);
        memcpy(last, key, sizeof last);
        if (r == 0)
            r = layer_next(p->entries, last, key, val, sizeof val, &len);
    }
    return r == -ENOENT ? 0 : r;
}

static int make_directory(struct packs *p)
{
    int r = disk_mkdir(p->disk, "packs");

    if (r == 0)
        r = disk_sync_dir(p->disk, "");
    return r == -EROFS ? 0 : r;
}

static int packs_load(struct packs *p)
{
    struct number_list files = {0};
    int r = disk_list(p->disk, "packs", list_file, &files);

    if (r == -ENOENT)
        r = make_directory(p);
    if (r == 0)
        r = open_files(p, &files);
    free(files.number);
    return r ? r : open_entries(p);
}

int packs_open(struct disk *disk, struct kv *kv, unsigned table, uint64_t next_pack,
               struct packs **ret_packs)
{
    struct packs *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    p->disk = disk;
    p->size = PACK_SIZE_DEFAULT;
    p->next = next_pack ? next_pack : 1;
    TAILQ_INIT(&p->open);
    mutex_init(&p->lock, "packs");
    mutex_init(&p->sync_lock, "packs sync");
    int r = layer_create(kv, table, 8, &p->entries);

    if (r == 0)
        r = packs_load(p);
    if (r) {
        packs_close(p);
        return r;
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
    layer_destroy(p->entries);
    mutex_destroy(&p->sync_lock);
    mutex_destroy(&p->lock);
    free(p);
}

void packs_set_size(struct packs *p, uint64_t pack_size)
{
    MUTEX_GUARD(&p->lock);
    p->size = pack_size < PACK_SIZE_MAX ? pack_size : PACK_SIZE_MAX;
}

uint64_t packs_next(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    return p->next;
}

void packs_get_stats(struct packs *p, struct packs_stats *ret)
{
    MUTEX_GUARD(&p->lock);
    uint64_t heads = p->stats.packs * FILE_HEAD + p->stats.live_records * RECORD_HEAD;
    uint64_t used = p->stats.live_bytes + heads;

    *ret = p->stats;
    ret->dead_bytes = ret->file_bytes > used ? ret->file_bytes - used : 0;
}

/* ---- commit ---- */

int packs_freeze(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    return layer_freeze(p->entries);
}

int packs_write(struct packs *p, struct kv_txn *t)
{
    return layer_write(p->entries, t);
}

void packs_thaw(struct packs *p)
{
    MUTEX_GUARD(&p->lock);
    layer_thaw(p->entries);
}
