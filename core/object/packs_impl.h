// SPDX-License-Identifier: Apache-2.0
/* packs_impl: what the files of packs share: the bytes of a pack, and the packs in memory. */
#pragma once

#include "bytes.h"
#include "io.h"
#include "layer.h"
#include "lock.h"
#include "map64.h"
#include "packs.h"
#include "shard.h"
#include <sys/queue.h>

#define FILE_MAGIC 0x4b504c54u /* "TLPK" */
#define FILE_VERSION 1
#define FILE_HEAD PACK_FILE_HEAD
#define RECORD_MAGIC 0x43524c54u /* "TLRC" */
#define RECORD_HEAD PACK_RECORD_HEAD
#define RECORD_SUMMED 24 /* bytes of the head before the checksum */
#define RECORD_METHOD 32 /* offset of the field behind it */
#define PACK_SIZE_DEFAULT (UINT64_C(64) << 20)
#define PACK_SIZE_MAX (UINT64_C(2) << 30) /* offsets are u32 */
/* The size on a disk of whole files, where a pack is put by one request: it may exceed this by one
 * record. */
#define PACK_SIZE_PUT (SHARD_PACK_MAX - PACK_RECORD_HEAD - PACK_RECORD_MAX - 8)
#define PUNCH_MIN (64 * 1024) /* bytes worth a hole */
#define PUNCH_ALIGN 4096
#define HANDLES_MAX 32
#define BUCKETS 1024

/* Neighbouring dead records. */
struct dead {
    uint64_t start, end;
    uint64_t unpunched; /* bytes that died since the last hole was made here */
    uint64_t punched;   /* bytes of the holes in it that were made in this run */
};

struct pack {
    uint64_t number;
    LIST_ENTRY(pack) bucket;
    TAILQ_ENTRY(pack) lru; /* in p->open while `file` is set */
    struct disk_file *file;
    unsigned refs;    /* users of `file` right now */
    unsigned writing; /* of these, appends */
    /* where the last range that was taken ends, bytes; 0: not a pack of this run */
    uint64_t end;
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
    struct cond written;    /* an append has ended */
    struct layer *rows[2];  /* of packs at home; of those on shards */
    struct pack_bucket buckets[BUCKETS];
    struct pack_list open; /* most recently used first */
    size_t handles;        /* in `open` */
    struct pack *current;  /* appended to; NULL: the next append makes one */
    uint64_t next, size;
    struct packs_stats stats; /* without dead_bytes */
    struct map64 holes;       /* pack -> bytes of its file that the disk does not keep */
    uint64_t hole_bytes;      /* of all */
};

/* ---- pack_format.c: bytes ---- */

/* One record of `len` bytes of content into `buf`. -EUCLEAN, -EIO; -EPROTO: it is sound, and
 * compressed by a newer version. */
int pack_record_read(struct disk_file *f, const struct pack_place *place, const struct id *id,
                     void *buf, uint32_t len);
/* The same of a record in memory, of which there are `have` bytes, head and payload. */
int pack_record_take(const void *record, size_t have, const struct pack_place *place,
                     const struct id *id, void *buf, uint32_t len);
bool pack_place_ok(const struct pack_place *place, uint32_t len);

/* ---- packs_table.c: entries, packs in memory and their handles; all need p->lock ---- */

int pack_entry_get(struct packs *p, uint16_t shard, uint64_t number, struct pack_entry *ret);
/* The first row of that shard above *number. -ENOENT, -EUCLEAN. */
int pack_entry_next(struct packs *p, uint16_t shard, uint64_t *number, struct pack_entry *ret);
void pack_stats_add(struct packs *p, const struct pack_entry *e);
/* Adds `records` and `bytes` (either sign) to a row; *ret (may be NULL) is the row then.
 * `file_bytes` is the length of the pack's file, and then a pack without a row gets one; 0:
 * -ENOENT. -EUCLEAN: the result is impossible. */
int pack_count(struct packs *p, uint16_t shard, uint64_t number, int64_t records, int64_t bytes,
               uint64_t file_bytes, struct pack_entry *ret);
/* Adds bytes of a pack that the disk no longer keeps (holes). Without memory they count as kept. */
void pack_holes_add(struct packs *p, uint64_t number, uint64_t bytes);
uint64_t pack_holes(const struct packs *p, uint64_t number);
bool pack_is_written(struct packs *p, uint64_t number);
int pack_entry_drop(struct packs *p, uint16_t shard, uint64_t number);
struct pack *pack_find(struct packs *p, uint64_t number); /* one in memory, or NULL */
struct pack *pack_get(struct packs *p, uint64_t number);
void pack_free(struct packs *p, struct pack *k);
void pack_handle_add(struct packs *p, struct pack *k, struct disk_file *file);
void pack_unref(struct packs *p, struct pack *k);
void pack_handle_drop(struct packs *p, uint64_t number);
int pack_acquire(struct packs *p, uint64_t number, struct pack **ret_pack);
int pack_drop_if_empty(struct packs *p, uint64_t number);
int pack_unlink_dropped(struct packs *p, uint64_t number, int dropped);

/* ---- packs_dead.c: dead ranges of one pack; needs p->lock ---- */

void pack_dead_add(struct pack *k, uint64_t start, uint64_t end);
struct dead pack_dead_take_hole(struct pack *k, uint64_t start);
bool pack_dead_has(const struct pack *k, uint64_t offset); /* the record there */
uint64_t pack_dead_bytes(const struct pack *k);
void pack_forget_unsynced(struct pack *k, uint32_t offset);
