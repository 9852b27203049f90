// SPDX-License-Identifier: Apache-2.0
/*
 * lmdb_walk: the structure of LMDB's file, read without LMDB.
 *
 * LMDB follows page numbers, offsets and lengths wherever they lead: what is damaged there ends the
 * process, or never ends. This looks at all that LMDB would rely on, by plain reads with checked
 * bounds. A file that it finds sound can be given to LMDB, to be read and to be written.
 *
 *     both heads      as a commit leaves them
 *     each page       is reached once, or is free, and lies in the file
 *     each node       lies in its page, beside the others; keys ascend, also from page to page
 *     each tree       has the depth and the numbers of pages and entries that its record says
 *
 * Values are not looked into: they have checksums of their own. Memory: a bit for each page.
 * Format: LMDB's data version 1 as 0.9 writes it, little-endian; tables of plain keys (no
 * duplicates), as kv makes them. Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 0: sound. -EUCLEAN: damaged, and `why` says where and how: "page 17: its keys do not ascend".
 * -EIO and the like, -ENOMEM: not known. */
int lmdb_walk(int fd, char *why, size_t room);
/* What can be read of the tables although the rest cannot: each row that no damage is above of. */
struct lmdb_rows {
    /* One row of the table of that name, both not terminated; 0, or the -errno to stop with. */
    int (*row)(void *ctx, const void *table, size_t tlen, const void *key, size_t klen,
               const void *val, size_t vlen);
    void *ctx;
    size_t value_max; /* a longer value is damage */
    uint64_t rows;    /* told */
    uint64_t lost;    /* pages, values and tables that could not be read */
};
/* 0, however much is lost. -EUCLEAN: the heads, or all of it, are damaged. `why`: what was found
 * first. */
int lmdb_walk_rows(int fd, struct lmdb_rows *rows, char *why, size_t room);
/* The number of the newest commit. -EUCLEAN: the heads are damaged. */
int lmdb_walk_head(int fd, uint64_t *ret_txn);
