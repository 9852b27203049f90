// SPDX-License-Identifier: Apache-2.0
/*
 * entry: one line of the refcount table as bytes: what an object number stands for.
 *
 *   NEW    bytes not sealed, in memory only: never committed
 *   SLOT   bytes not sealed, in the slot of the same number
 *   PACK   sealed, a record in a pack
 *   FILE   sealed, a file of its own
 *   ALIAS  equal to object `target`, for which its references count too
 *   NONE   an id that is only counted (no bytes known here)
 *
 * The same bytes stand in the table of the dying. Decoder: -EUCLEAN, output untouched.
 */
#pragma once

#include "id.h"

enum entry_kind {
    ENTRY_NONE = 0,
    ENTRY_NEW = 1,
    ENTRY_SLOT = 2,
    ENTRY_PACK = 3,
    ENTRY_FILE = 4,
    ENTRY_ALIAS = 5,
};

struct entry {
    enum entry_kind kind;
    uint32_t count;  /* references: items in live pages, pins, references of aliases */
    uint64_t size;   /* bytes of content (SLOT: of the slot at the last commit) */
    struct id id;    /* NONE, PACK, FILE */
    uint64_t where;  /* PACK: pack number; FILE: number in the file's name; ALIAS: target */
    uint32_t offset; /* PACK: of the record in the pack */
};

#define ENTRY_MAX 40
size_t entry_encode(const struct entry *e, uint8_t out[ENTRY_MAX]);
int entry_decode(const void *val, size_t len, struct entry *ret);

static inline bool entry_is_sealed(const struct entry *e)
{
    return e->kind == ENTRY_PACK || e->kind == ENTRY_FILE;
}
