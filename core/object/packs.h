// SPDX-License-Identifier: Apache-2.0
/*
 * packs: append-only files that hold many small objects, one checksummed record each.
 *
 * Files are "packs/<16 hex digits>", at home and on other shards. Each has a row in a kv table,
 * which says how many records and payload bytes are alive: in `packs` at home, whose number as a
 * shard is 0, else in `shard_packs`. Of the packs on other shards only the rows are kept here:
 *
 *     put the pack, verified      packs_count_in         (with refs_relocate, one freeze lock)
 *     a record's entry is gone    packs_count_out        (with refs_reclaimed, one freeze lock)
 *     none is left                the pack is deleted, then packs_forget
 *
 * So there a row without live records leads to a pack that may still be there, and a pack without a
 * row is an orphan. At home the row goes first, and then the file: a start lists the files and
 * removes those without a row, which would take too long on a shard, and nobody waits for a file
 * that cannot be removed.
 *
 * The rest is about home. A pack that was open when the store was last opened is never appended to
 * again: every packs_open starts a new one with its first record. A full pack (≥ pack_size) is
 * closed. A closed pack without live records is unlinked; ranges of dead records of at least 64 KiB
 * are hole-punched (a record's neighbours that died before count with it where that is known).
 *
 * In a pool (disk_route.h) to unlink and to punch is to let go: the bytes stay for who else names
 * them. If the pool is on a shard (disk_is_whole), a sync closes the open pack and puts it whole,
 * with all its records: so a pack there has at most SHARD_PACK_MAX bytes. Records that are not
 * synced yet are read from the bytes here.
 *
 * Order (promises 2, 5): packs_append, ..., packs_sync, commit that names the place; commit that
 * forgets the place, packs_release.
 *
 * Errors: 0 or -errno; -EUCLEAN a record is not what the place says (id, length or checksum);
 * -EPROTO it is, and is compressed by a newer version, so that this one cannot read it. A payload
 * that does not become exactly the content that its head says is damage, too.
 * After a failed packs_sync the packs concerned are never appended to or trusted: its records'
 * owners must not be committed. A pack that could not be put on a shard is put by the next sync.
 * Threads: all calls from any thread; own lock inside, never held across reads, writes of payload,
 * or syncs.
 */
#pragma once

#include "disk.h"
#include "entry.h"
#include "id.h"
#include "kv.h"

#define PACK_RECORD_MAX (1024 * 1024) /* bytes of payload one record may hold */

struct packs;

struct pack_place {
    uint64_t pack;   /* pack number, from 1, never reused */
    uint32_t offset; /* of the record's head in the file, bytes; a multiple of 8 */
    uint32_t stored; /* bytes of its payload, if it is compressed; 0: the payload is the content */
};

/* Where an entry of kind PACK says that its record is. */
static inline struct pack_place pack_place_of(const struct entry *e)
{
    return (struct pack_place){e->where, e->offset,
                               entry_is_compressed(e) ? (uint32_t)e->stored : 0};
}

/* Bytes of payload of the record of a content of `len` bytes. */
static inline uint32_t pack_payload(const struct pack_place *place, uint32_t len)
{
    return place->stored ? place->stored : len;
}

/* Value of the packs table: live records (u32), live payload bytes (u64), file bytes (u64). */
struct pack_entry {
    uint32_t live_records;
    uint64_t live_bytes;
    uint64_t file_bytes;
};

struct packs_stats {
    uint64_t packs, live_records, live_bytes, dead_bytes, file_bytes; /* dead: without holes */
};

/* Opens the packs. `home` and `shards` are the kv tables; `next_pack` is the first number never
 * used before, which the caller keeps in the meta record of the store (packs_next). A file that is
 * on disk and not in the table was never committed, and is removed. One with a number below
 * `next_pack` may have been committed and have lost its row: it stays if `keep` returns true (NULL:
 * it never stays). */
int packs_open(struct disk *disk, struct kv *kv, unsigned home, unsigned shards, uint64_t next_pack,
               bool (*keep)(void *ctx), void *ctx, struct packs **ret_packs);
void packs_close(struct packs *p);                        /* NULL is fine */
void packs_set_size(struct packs *p, uint64_t pack_size); /* bytes, from `pack_size` */
uint64_t packs_next(struct packs *p);

/* Append one record of a content of r->size bytes, whose payload has r->stored; it is readable at
 * once and durable after packs_sync. */
struct pack_record;
int packs_append(struct packs *p, const struct pack_record *r, const void *payload,
                 struct pack_place *ret_place);
/* Make all records appended before the call, and their files' names, durable. */
int packs_sync(struct packs *p);
/* A pack whose sync failed and that has records that were not released since; 0: there is none. */
uint64_t packs_suspect(struct packs *p);
/* Read and verify one record of a content of exactly `len` bytes into `buf`. */
int packs_read(struct packs *p, const struct pack_place *place, const struct id *id, void *buf,
               uint32_t len);
/* From now on an entry names a record that is in a pack already: another store put it into the
 * pool, or this one did so once. If the table has that pack the record is counted in; if not, it is
 * not counted here, and packs_release of it returns -ENOENT. A record that also has an entry among
 * the dying is counted twice until that entry is reclaimed. -EBUSY: the pack cannot have so many
 * records. */
int packs_adopt(struct packs *p, const struct pack_place *place, uint32_t len);
/* Was this record released in this run? Then its bytes may go at any time. */
bool packs_is_dead(struct packs *p, const struct pack_place *place);
/* Called once for each record that a commit has forgotten: counts it out of its pack, and gives
 * its space back where that is possible. -ENOENT: the table does not have the pack; its file is
 * closed. */
int packs_release(struct packs *p, const struct pack_place *place, uint32_t len);
/* Close the open pack, so that it can go when its last record dies (drain, shutdown). If none is
 * alive its row goes now, and the file as well. One that cannot be removed is no error: the next
 * start removes it. */
int packs_retire_current(struct packs *p);
/* The same, if at least `least` bytes of the open pack are dead. */
int packs_retire_dead(struct packs *p, uint64_t least);
/* The first pack on that shard, or at home, above `after` that is never appended to again. -ENOENT:
 * there is none; -EUCLEAN: its row is damaged. */
struct pack_info {
    uint64_t number;
    struct pack_entry entry;
    uint64_t dead;  /* bytes of its file that are dead for certain, and that the disk keeps */
    uint64_t bytes; /* of its file that the disk keeps: without holes */
};
int packs_next_closed(struct packs *p, uint16_t shard, uint64_t after, struct pack_info *ret);
/* Does the table have this pack, or is it being written? 1, 0 or -errno. */
int packs_is_known(struct packs *p, uint64_t number);
/* Delete the file of a pack of which packs_is_known says 0. -EBUSY: the pack is known. A file that
 * is not there is fine. */
int packs_remove_unknown(struct packs *p, uint64_t number);
/* The row of a pack. -ENOENT, and then *ret is all zeros; -EUCLEAN. */
int packs_get(struct packs *p, uint16_t shard, uint64_t number, struct pack_entry *ret);
/* Counts in `records` more live records, of `bytes` bytes of payload, of a pack that was put on a
 * shard and has `file_bytes` bytes. Makes the row if there is none. -EUCLEAN: they do not fit. */
int packs_count_in(struct packs *p, uint16_t shard, uint64_t number, uint32_t records,
                   uint64_t bytes, uint64_t file_bytes);
/* Counts out so many records that the row counts as alive and that no entry names. *ret_left (may
 * be NULL) is the row then. A pack at home that is empty now goes. -ENOENT; -EUCLEAN: the row has
 * fewer than that. */
int packs_count_out(struct packs *p, uint16_t shard, uint64_t number, uint32_t records,
                    uint64_t bytes, struct pack_entry *ret_left);
/* Removes the row of a pack that was deleted from its shard. -ENOENT; -EBUSY: something is
 * alive. */
int packs_forget(struct packs *p, uint16_t shard, uint64_t number);
/* Corrects the row of a pack after a recount: adds `records` and `bytes` (either sign) to it. A
 * pack without a row gets one, with the length of its file. -EUCLEAN: the result would be
 * impossible. */
int packs_correct(struct packs *p, uint64_t number, int64_t records, int64_t bytes);
void packs_get_stats(struct packs *p, struct packs_stats *ret);

/* The tables' part in a commit; see layer.h. Call freeze with all appenders shut out. */
int packs_freeze(struct packs *p);
int packs_write(struct packs *p, size_t n, struct kv_txn *t);
void packs_retire(struct packs *p, size_t n);
size_t packs_changes(struct packs *p); /* without the lock */

/* ---- format, for check and pools: FORMAT.md, "Packs" ---- */

#define PACK_FILE_HEAD 32   /* bytes before the first record */
#define PACK_RECORD_HEAD 40 /* bytes of a record before its payload */
/* Methods of a record: how its payload is made of the content. No others are read. */
#define PACK_PLAIN 0 /* it is the content */
#define PACK_ZSTD 1  /* a frame of zstd, which is shorter */
struct pack_record {
    struct id id;
    uint32_t stored; /* bytes of its payload */
    uint32_t size;   /* bytes of its content, at most PACK_RECORD_MAX; PACK_PLAIN: `stored` */
    uint8_t method;
};
/* The head of the record with this payload, at this place. Decoder: -EUCLEAN, output untouched. It
 * does not know the payload, so it cannot look at the checksum. */
void pack_record_encode(const struct pack_record *r, const void *data,
                        const struct pack_place *place, uint8_t head[PACK_RECORD_HEAD]);
int pack_record_decode(const uint8_t head[PACK_RECORD_HEAD], struct pack_record *ret);
/* Bytes a record of so much payload takes in its file. */
uint64_t pack_record_size(uint32_t len);

/* Is that, of `len` bytes from the place on, a sound record of a content of `size` bytes? -EUCLEAN;
 * -EPROTO: it is sound, and compressed by a newer version. */
int pack_record_check(const void *record, size_t len, const struct pack_place *place,
                      uint32_t size);
/* The head of the file of a pack, which has that number. */
void pack_file_head(uint8_t head[PACK_FILE_HEAD], uint64_t number);

uint64_t pack_entry_dead(const struct pack_entry *e); /* bytes of its file, for certain */
#define PACK_ENTRY_LEN 20
void pack_entry_encode(const struct pack_entry *e, uint8_t out[PACK_ENTRY_LEN]);
int pack_entry_decode(const void *val, size_t len, struct pack_entry *ret); /* -EUCLEAN */
/* The head of a pack's file, and one record of a content of `len` bytes, read from an open file
 * without a `struct packs` (which would delete files it does not know). -EUCLEAN, -EIO, -EPROTO. */
int packs_check_head(struct disk_file *file, uint64_t pack);
int packs_check_record(struct disk_file *file, const struct pack_place *place, const struct id *id,
                       void *buf, uint32_t len);
/* The same, from the pack of that name on a disk; -ENOENT. */
int packs_read_from(struct disk *disk, const struct pack_place *place, const struct id *id,
                    void *buf, uint32_t len);
/* Visits every sound record in the file of a pack that this version can read, dead or alive, and
 * skips all else: for finding lost records. What is skipped is not dead by that. `buf` has
 * PACK_RECORD_MAX bytes. A result of `fn` other than 0 stops the scan and is returned; -EIO,
 * -ENOMEM. */
typedef int packs_scan_fn(const struct id *id, const struct pack_place *place, const void *data,
                          uint32_t len, void *ctx);
int packs_scan(struct disk_file *file, uint64_t pack, void *buf, packs_scan_fn *fn, void *ctx);
/* "packs/<16 hex>" */
void pack_name(uint64_t pack, char out[DISK_NAME_MAX + 1]);
/* The reverse of its last part; -EINVAL for any other file name, and for number 0. */
int pack_parse_name(const char *file_name, uint64_t *ret_pack);
