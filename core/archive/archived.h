// SPDX-License-Identifier: Apache-2.0
/*
 * archived: where archives have the bytes of objects: the table `archived` (FORMAT.md, section 19).
 *
 * A row says that an archive has all bytes of a sealed object, at a place there. An object number
 * is never used twice and a sealed object never changes, so a row is right as long as the archive
 * is there. A row that is missing costs a second copy in the archive, and nothing else: so what a
 * death takes of this table is only work.
 *
 * Threads: any; the lock "archived" inside is a leaf. Who changes something holds the freeze lock
 * for reading. Errors: 0 or -errno: -ENOENT, -ENOMEM, -EUCLEAN: the row is damaged.
 */
#pragma once

#include "kv.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archived;

/* A place in an archive: as one on a shard (FORMAT.md, section 16). */
struct archived_place {
    bool in_pack;    /* else it is a file of its own */
    uint64_t where;  /* number of the pack, or of the file */
    uint32_t offset; /* in the pack */
};

int archived_open(struct kv *kv, unsigned table, struct archived **ret);
void archived_close(struct archived *a); /* NULL is fine */

int archived_get(struct archived *a, uint16_t archive, uint64_t number, struct archived_place *ret);
int archived_put(struct archived *a, uint16_t archive, uint64_t number,
                 const struct archived_place *place);
/* The object is no more: no archive is asked for it again. It costs nothing where there are no
 * rows. If memory is short a row stays, which does no harm. */
void archived_forget(struct archived *a, uint64_t number);
/* Removes the rows of an archive. */
int archived_drop(struct archived *a, uint16_t archive);

/* Removes the rows of an archive whose place `gone` names. Rows that are put meanwhile may stay. */
typedef bool archived_gone_fn(const struct archived_place *place, void *ctx);
int archived_drop_places(struct archived *a, uint16_t archive, archived_gone_fn *gone, void *ctx);
/* Has the archive a row whose place `is` names? 1, 0 or -errno. */
int archived_any(struct archived *a, uint16_t archive, archived_gone_fn *is, void *ctx);

/* its part in a commit: layer.h; freeze with all changes shut out */
int archived_freeze(struct archived *a);
int archived_write(struct archived *a, size_t n, struct kv_txn *t);
void archived_retire(struct archived *a, size_t n);
