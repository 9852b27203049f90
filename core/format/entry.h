// SPDX-License-Identifier: Apache-2.0
/*
 * entry: a row of the refcount table, as bytes: what an object number stands for.
 *
 *   NEW    bytes that are not sealed, in memory only; it is never committed
 *   SLOT   bytes that are not sealed, in the slot with the same number
 *   HELD   bytes that are not sealed, in the row of the table `unsealed` with the same number
 *   PACK   a sealed object, as a record in a pack
 *   FILE   a sealed object, as a file of its own
 *   ALIAS  equal to the object `target`, for which its references count, too
 *   NONE   an id that is only counted; no bytes are known here
 *   ABSENT bytes that were never in this store, known by their SHA-256; it has no id
 *
 * PACK and FILE with a shard other than 0 are ghosts: their bytes are on that shard, in a pack or a
 * file of its own there.
 *
 * Rows of the table of the dying have the same bytes. The decoder returns -EUCLEAN and leaves its
 * output untouched if they are damaged.
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
    ENTRY_HELD = 6,
    ENTRY_ABSENT = 7,
};

#define SHA256_LEN 32

struct entry {
    enum entry_kind kind;
    uint32_t count;  /* references: items in live pages, pins, references of aliases */
    uint64_t size;   /* bytes of content (SLOT, HELD: at the last commit) */
    struct id id;    /* NONE, PACK, FILE */
    uint64_t where;  /* PACK: pack number; FILE: number in the file's name; ALIAS: target */
    uint32_t offset; /* PACK: offset of the record in the pack, in bytes */
    /* PACK: bytes of its payload: less than `size` if it is compressed; `size`: it was found not to
     * shrink, or is to stay as it is; 0: nobody has tried; ENTRY_AT_REST: likewise, and it is to be
     * compressed once the store is idle, whatever the store says */
    uint32_t stored;
    uint16_t shard; /* PACK, FILE: where the bytes are; 0: at home */
    bool pinned;    /* it has a row among the pins; false: nobody knows */
    uint16_t day;   /* PACK, FILE: days since 1970 of the last open, or of sealing; 0: unknown */
    /* ms since 1970 when it became a ghost; in an archive the time of the segment that named the
     * place; 0 at home */
    uint64_t created;
    uint16_t archive;           /* ABSENT: which archive has the bytes; 0: nobody knows */
    uint8_t sha256[SHA256_LEN]; /* ABSENT: of the bytes */
};

#define ENTRY_AT_REST UINT32_MAX

#define ENTRY_MAX 56 /* bytes */
/* Returns the length. */
size_t entry_encode(const struct entry *e, uint8_t out[ENTRY_MAX]);
int entry_decode(const void *val, size_t len, struct entry *ret);

static inline bool entry_is_sealed(const struct entry *e)
{
    return e->kind == ENTRY_PACK || e->kind == ENTRY_FILE;
}

/* Has it bytes that are not sealed yet? */
static inline bool entry_is_unsealed(const struct entry *e)
{
    return e->kind == ENTRY_NEW || e->kind == ENTRY_SLOT || e->kind == ENTRY_HELD;
}

/* Does it say where bytes are that can be read, checked and deleted? */
static inline bool entry_has_place(const struct entry *e)
{
    return entry_is_sealed(e) || e->kind == ENTRY_SLOT || e->kind == ENTRY_HELD;
}

static inline bool entry_is_ghost(const struct entry *e)
{
    return entry_is_sealed(e) && e->shard != 0;
}

/* Is the record of a PACK compressed? */
static inline bool entry_is_compressed(const struct entry *e)
{
    return e->kind == ENTRY_PACK && e->stored != 0 && e->stored < e->size;
}

/* Bytes that its content takes where it is: of the payload of its record, or of its file. */
static inline uint64_t entry_payload(const struct entry *e)
{
    return entry_is_compressed(e) ? e->stored : e->size;
}

/* "sha256:" and 64 lower-case hex digits, of an ABSENT. */
#define ENTRY_SHA256_TEXT (sizeof "sha256:" + 2 * SHA256_LEN)
void entry_sha256_text(const struct entry *e, char out[ENTRY_SHA256_TEXT]);

/* Do both name the same bytes at the same place? Count, day and time do not matter, nor what was
 * tried with bytes that are not compressed. */
bool entry_same_place(const struct entry *a, const struct entry *b);

/* A row of the table `ghosts`, under the number of a ghost. It repeats two fields of the entry. The
 * decoder returns -EUCLEAN and leaves its output untouched. */
struct ghost_row {
    uint16_t shard; /* not 0 */
    uint64_t size;
};

#define GHOST_ROW_LEN 10
void ghost_row_encode(const struct ghost_row *row, uint8_t out[GHOST_ROW_LEN]);
int ghost_row_decode(const void *val, size_t len, struct ghost_row *ret);
