// SPDX-License-Identifier: Apache-2.0
/*
 * kv: a transactional, ordered key-value store with named tables. Two implementations: LMDB (the
 * only place that includes lmdb.h) and an in-memory twin for tests, which can lose power.
 *
 * Invariant: a committed transaction is durable and whole; an uncommitted one never happened. What
 * an opening finds is durable as well, also if a process died while it committed it.
 *
 *     static const struct kv_table tables[] = {{.name = "meta"}, {.name = "pages"}};
 *     kv_open_lmdb(dirfd, "kv", tables, 2, 0, &kv);
 *     kv_txn_begin(kv, &t); kv_put(t, 0, key, klen, val, vlen); kv_commit(t);
 *     kv_get(kv, 0, key, klen, buf, sizeof buf, &len);
 *
 * Keys: 1–64 bytes, compared as unsigned bytes. Values: 0 bytes – 128 KiB.
 *
 * Behind every value stands a checksum of the value, its key and its table's name. It is checked
 * whenever the value is read, and callers do not see it. A value that is not as it was written is
 * -EUCLEAN, and is never returned. A table with `checks_itself` has values with checksums of their
 * own, which its readers check: kv adds none.
 * Errors: 0 or -errno: -ENOENT no such key or end, -ENOSPC map or disk full, -EDQUOT no quota left,
 * -EROFS read-only, -EUCLEAN the file is damaged, -EIO, -ENOMEM, -ERANGE caller's buffer too small,
 * -EINVAL a key or value out of the limits above.
 * Threads: kv_get and snapshots from any thread; one write transaction at a time (kv_txn_begin
 * waits for the other), used by the thread that began it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv;
struct kv_txn;
struct kv_snap;

#define KV_KEY_MAX 64
#define KV_VALUE_MAX (128 * 1024)
#define KV_TABLES_MAX 32

struct kv_table {
    const char *name;   /* part of the checksums: a table of another name cannot read them */
    bool checks_itself; /* kv adds no checksums: values are returned unchecked */
};

enum kv_open_flags {
    KV_CREATE = 1 << 0,
    KV_READONLY = 1 << 1, /* never writes, not even a lock file; caller excludes writers */
    KV_FOREIGN = 1 << 2,  /* others may change names in the directory meanwhile */
};

#define KV_WHY 192
/* Reads the structure of the file in `dir` (lmdb_walk.h): LMDB does not check it, and with
 * a damaged one it could end the process, or loop for ever. Without `always`, a file that is as the
 * last kv_close left it is taken to be sound. Nobody else may have it open. Returns 0; -EUCLEAN
 * damaged, -ENOENT there is no file, -EIO, -ENOMEM: `why` says where, and what is wrong. */
int kv_verify_lmdb(int dirfd, const char *dir, bool always, char why[KV_WHY]);

#define KV_KEPT 64
struct kv_salvaged {
    uint64_t rows;      /* copied; their checksums are checked only when they are read */
    uint64_t lost;      /* pages, values or tables that could not be read */
    char why[KV_WHY];   /* where and why the first loss was; "": nothing was lost */
    char kept[KV_KEPT]; /* new name of the damaged directory, in `dirfd` */
};
/* Replaces a store that kv_verify_lmdb found damaged by a new one with all rows that can be read.
 * The damaged one is kept beside it. After an error `dir` is as before, but DIR.new may exist.
 * -EUCLEAN: no row can be read; -ENOSPC, -EIO and the like. */
int kv_salvage_lmdb(int dirfd, const char *dir, struct kv_salvaged *ret);
/* Was the file in `dir` made by kv_salvage_lmdb, and is it not mended yet? Its structure is sound,
 * but rows may be missing that other rows need; nobody may write it before a repair has mended
 * that, also if the repair was cut off. 1, 0 or -errno. */
int kv_salvage_is_unmended(int dirfd, const char *dir);
/* Note, durably, that the file is mended. */
int kv_salvage_is_mended(int dirfd, const char *dir);
/* `dir` below `dirfd` is made with KV_CREATE. `tables` (names in static storage) are opened or
 * created; with KV_READONLY a missing one reads as empty. Table numbers are indices into it.
 * No symlink is followed: -EUCLEAN, as where a file is none.
 * -ENOENT no store there and no KV_CREATE, -EBUSY open for writing in this process already,
 * -EINVAL bad numbers, or KV_CREATE and KV_READONLY. */
int kv_open_lmdb(int dirfd, const char *dir, const struct kv_table *tables, unsigned count,
                 unsigned flags, struct kv **ret_kv);
void kv_close(struct kv *kv); /* NULL is fine; no transaction may be open */

/* Copy the committed value of one key into `buf`. *ret_len is its length, also with -ERANGE. */
int kv_get(struct kv *kv, unsigned table, const void *key, size_t klen, void *buf, size_t cap,
           size_t *ret_len);

/* Bytes of the file that live data and the free list occupy on disk (statistics). */
uint64_t kv_disk_bytes(struct kv *kv);

/* LMDB's file is mapped, so that a disk that cannot read it is a fault (mapped.h). Where those are
 * caught, kv_get and the reads of snapshots answer -EIO instead; in a write, or in a value that a
 * snapshot handed out, there is no way back: the process ends. What was committed stays so. */

/* ---- snapshots: one consistent state for several reads ---- */

int kv_snap_begin(struct kv *kv, struct kv_snap **ret_snap);
void kv_snap_end(struct kv_snap *s); /* NULL is fine */
/* *ret_val points into the snapshot: valid until kv_snap_end. */
int kv_snap_get(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                const void **ret_val, size_t *ret_len);
/* kv_snap_get for a key that is a number: 8 bytes, big-endian. */
int kv_snap_get_number(struct kv_snap *s, unsigned table, uint64_t number, const void **ret_val,
                       size_t *ret_len);
/* Copy bytes that a snapshot handed out. -EIO: the disk cannot read them any more. Without this
 * call a read of them would then end the process (see above). */
int kv_snap_copy(void *to, const void *from, size_t len);
/* First key ≥ (or, with `after`, >) the given one; klen 0 means from the start. -ENOENT at the
 * end. The pointers are valid until kv_snap_end. -EUCLEAN sets *ret_key and *ret_klen, too: to the
 * key whose value is damaged, behind which one may go on, or to NULL and 0: the table cannot be
 * read from there on. */
int kv_snap_seek(struct kv_snap *s, unsigned table, const void *key, size_t klen, bool after,
                 const void **ret_key, size_t *ret_klen, const void **ret_val, size_t *ret_len);

/* Every row of a table, in the order of the keys:
 *
 *     struct kv_each e = {.snap = s, .table = T};
 *     while (kv_next(&e))
 *         e.err = look(e.number, e.val, e.len);
 *     return e.err;
 *
 * A damaged value is a row, too. It has the length KV_DAMAGED, so it does not decode, and `val`
 * must not be read. With `strict` it ends the loop with -EUCLEAN. */
#define KV_DAMAGED SIZE_MAX
struct kv_each {
    struct kv_snap *snap;
    unsigned table;
    bool strict;
    /* Set before the first kv_next: where the loop begins, or with `after` behind what. Where the
     * keys are numbers it is `from`, else the key; nothing: at the start. */
    uint64_t from;
    bool after;
    /* The row. Its pointers are valid until kv_snap_end. */
    const void *key;
    size_t klen;
    uint64_t number; /* a key of 8 bytes, big-endian; 0: the key has another length */
    const void *val;
    size_t len;
    /* Why the loop ended; 0: at the end of the table, or by the caller. What the caller sets ends
     * it. */
    int err;
    bool cut; /* `err` says that the table cannot be read from here on (as kv_snap_seek does) */
};
bool kv_next(struct kv_each *e);
/* Calls `fn` for each row whose key is a number, also for damaged ones. Keys of another length are
 * skipped. A result other than 0 of `fn` ends it and is returned. */
int kv_each_number(struct kv_snap *s, unsigned table,
                   int (*fn)(void *ctx, uint64_t number, const void *val, size_t len), void *ctx);
/* At most `most` numbers from `from` on, of a table whose keys are numbers; none: the end. An error
 * is returned if there is none before it. -EUCLEAN: a key has not 8 bytes, or the table cannot be
 * read. */
int kv_get_numbers(struct kv *kv, unsigned table, uint64_t from, uint64_t *v, size_t most,
                   size_t *ret_count);
/* Entries in a table. */
int kv_snap_count(struct kv_snap *s, unsigned table, uint64_t *ret_count);

/* ---- writing ---- */

int kv_txn_begin(struct kv *kv, struct kv_txn **ret_txn);
int kv_put(struct kv_txn *t, unsigned table, const void *key, size_t klen, const void *val,
           size_t vlen);
/* An absent key is not an error. */
int kv_del(struct kv_txn *t, unsigned table, const void *key, size_t klen);
/* Ends the transaction either way. After an error nothing of it is visible or durable, except
 * -EIO: then the caller must assume neither and stop writing. */
int kv_commit(struct kv_txn *t);
void kv_abort(struct kv_txn *t); /* NULL is fine */
/* Commits, or after an error (`err` below 0) aborts and returns that error. */
int kv_end(struct kv_txn *t, int err);
/* Writes one row in a transaction of its own. */
int kv_put_row(struct kv *kv, unsigned table, const void *key, size_t klen, const void *val,
               size_t vlen);
