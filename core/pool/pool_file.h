// SPDX-License-Identifier: Apache-2.0
/*
 * pool_file: how all parts of a pool write and read their files. For this room, for the opening of
 * a store in its pool (store_pool.c) and for cycles of a pool (gc_pool.c).
 *
 * A file is written under a name of its own in the directory of the node that writes it
 * (nodes/N/tmp.*, or tmp.* in the root for node 0), and synced. It is then renamed over its name or
 * linked to it, and the directory of that name is synced. So the file is there whole, or not at
 * all, for programs and after a loss of power. After an error the temporary file is removed as far
 * as possible. If only the last sync failed, the name may exist nevertheless.
 *
 * Bodies (pool_format.h) are written in one pass, with their records in order. They are read in
 * windows of many blocks, and each block is checked when it is read; pool_body_open checks only the
 * head and the length.
 */
#pragma once

#include "disk.h"
#include "pool_format.h"

enum pool_put { POOL_REPLACE, POOL_PUT /* -EEXIST: the name exists */ };

/* Writes `name` with these bytes, durably. `node` is the node of this process. */
int pool_file_put(struct disk *disk, unsigned node, const char *name, const void *bytes, size_t len,
                  enum pool_put how);
/* Reads a whole file of less than `max` bytes. -ENOENT; -EUCLEAN: it is longer. */
int pool_file_get(struct disk *disk, const char *name, void *buf, size_t max, size_t *ret_len);
/* Does the file exist? 1, 0 or -errno. */
int pool_file_exists(struct disk *disk, const char *name);
/* Removes a file. A missing one is no error. */
int pool_file_unlink(struct disk *disk, const char *name);
/* Parses exactly `digits` hex digits. -EINVAL: it is anything else. */
int pool_file_number(const char *text, unsigned digits, uint64_t *ret_number);
/* Finds the highest number of the files "DIR/<16 hex>", which are numbered upward and removed from
 * below. The answer is not below `from`; 0: there is none. After the listing it asks for the next
 * number until there is none, because a listing may leave one out. */
int pool_file_newest(struct disk *disk, const char *dir, uint64_t from, uint64_t *ret_number);
/* Makes the name "DIR/<16 hex>". */
void pool_file_numbered(const char *dir, uint64_t number, char out[DISK_NAME_MAX + 1]);
/* Removes the files below number `below`. Errors are ignored. */
void pool_file_prune(struct disk *disk, const char *dir, uint64_t below);

/* ---- bodies ---- */

#define POOL_WINDOW 64 /* blocks that are read or written at once */

struct pool_writer;
/* Begins a body. Of `body` the caller has set kind, owner, serial and extra. */
int pool_writer_open(struct disk *disk, unsigned node, const struct pool_body *body,
                     struct pool_writer **ret_w);
/* Adds the next record, encoded. An error is kept for pool_writer_end. */
void pool_writer_add(struct pool_writer *w, const void *record);
/* Puts the body in place under `name`, or gives it up if `name` is NULL. It frees `w`, also after
 * an error. *ret_body (may be NULL) gets the body as it was written. */
int pool_writer_end(struct pool_writer *w, const char *name, enum pool_put how,
                    struct pool_body *ret_body);

/* Opens a body and checks its head and length. `flags`: 0, or DISK_COPIED for one that stays open.
 * -ENOENT, -EUCLEAN. The caller closes *ret_file. */
int pool_body_open(struct disk *disk, const char *name, unsigned flags, enum pool_body_kind kind,
                   uint64_t owner, struct disk_file **ret_file, struct pool_body *ret);
/* Reads blocks [index, index+n) into `buf`, and checks each. */
int pool_body_read(struct disk_file *file, const struct pool_body *b, uint64_t index, size_t n,
                   uint8_t *buf);

/* Reads all records, in order, in windows. `fn` gets `count` of them, one behind the other; the
 * first of these is record number `first`. A result other than 0 of `fn` ends it and is returned.
 * The chain is checked at the end, so the records are certain only when this has returned 0. */
typedef int pool_records_fn(void *ctx, const uint8_t *records, size_t count, uint64_t first);
int pool_body_each(struct disk_file *file, const struct pool_body *b, pool_records_fn *fn,
                   void *ctx);
