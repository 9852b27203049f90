// SPDX-License-Identifier: Apache-2.0
/*
 * pool_file: files of a pool as all of its parts write and read them. Private to pool_*.c.
 *
 * A file is written under a name of its own in the directory of the node that writes it
 * (nodes/N/tmp.*, or the root's for node 0), synced, then renamed over its name or linked to it, and
 * the directory of that name is synced. So it is there whole, or not at all, for programs and after
 * a loss of power. After an error what had been written is removed as far as it can be; the name
 * may be there all the same when it was the last sync that failed.
 *
 * Bodies (pool_format.h) are written in one pass, records in order. They are read in windows of
 * many blocks, each checked as it comes; pool_body_open checks head and length alone.
 */
#pragma once

#include "disk.h"
#include "pool_format.h"

enum pool_put { POOL_REPLACE, POOL_PUT /* -EEXIST there is one */ };

int pool_file_put(struct disk *disk, unsigned node, const char *name, const void *bytes, size_t len,
                  enum pool_put how);
/* A whole file of less than `max` bytes. -ENOENT; -EUCLEAN it is longer. */
int pool_file_get(struct disk *disk, const char *name, void *buf, size_t max, size_t *ret_len);
/* 1, 0 or -errno. */
int pool_file_exists(struct disk *disk, const char *name);
/* -ENOENT is fine. */
int pool_file_unlink(struct disk *disk, const char *name);
/* Exactly `digits` hex digits, and nothing else: the number. -EINVAL. */
int pool_file_number(const char *text, unsigned digits, uint64_t *ret_number);
/* Of the files "DIR/<16 hex>", which are numbered upward and removed from below: the highest number,
 * but none below `from`; 0: there is none. What a listing leaves out is found by asking for the next. */
int pool_file_newest(struct disk *disk, const char *dir, uint64_t from, uint64_t *ret_number);
void pool_file_numbered(const char *dir, uint64_t number, char out[DISK_NAME_MAX + 1]);
/* Remove those below `below`, as far as that works. */
void pool_file_prune(struct disk *disk, const char *dir, uint64_t below);

/* ---- bodies ---- */

#define POOL_WINDOW 64 /* blocks read or written at once */

struct pool_writer;
/* `body`: kind, owner, serial, extra. */
int pool_writer_open(struct disk *disk, unsigned node, const struct pool_body *body,
                     struct pool_writer **ret_w);
/* The next record, encoded. An error is kept for pool_writer_end. */
void pool_writer_add(struct pool_writer *w, const void *record);
/* Put it in place under `name`, or give it up where `name` is NULL; `w` is gone afterwards.
 * *ret_body (may be NULL) is the body as it was written. */
int pool_writer_end(struct pool_writer *w, const char *name, enum pool_put how,
                    struct pool_body *ret_body);

/* -ENOENT, -EUCLEAN. `ret_file` is the caller's to close. */
int pool_body_open(struct disk *disk, const char *name, enum pool_body_kind kind, uint64_t owner,
                   struct disk_file **ret_file, struct pool_body *ret);
/* Blocks [index, index+n) into `buf`, each checked. */
int pool_body_read(struct disk_file *file, const struct pool_body *b, uint64_t index, size_t n,
                   uint8_t *buf);

/* All records, in order, in windows: `fn` gets `count` of them, one behind the other, the first of
 * them the `first`th. Non-zero from it ends this and is returned. Checks the chain as well, so what
 * fn was given is not certain before this returns 0. */
typedef int pool_records_fn(void *ctx, const uint8_t *records, size_t count, uint64_t first);
int pool_body_each(struct disk_file *file, const struct pool_body *b, pool_records_fn *fn,
                   void *ctx);
