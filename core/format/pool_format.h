// SPDX-License-Identifier: Apache-2.0
/*
 * pool_format: the bytes of a pool that several stores share (FORMAT.md, "Pool"). Pure codecs,
 * checked bounds.
 *
 * A *key* is one place where the bytes of one object are: what reports name, lists of marks list
 * and collectors remove. No place is ever used twice, in any incarnation of any node, so neither is
 * a key. Its first 8 bytes are those of the id, so that sorted keys are found by id, too.
 *
 * Three shapes:
 *   texts   a few lines for people, too: "tallyfs pool WHAT 1", name=value in a fixed order, and
 *           last "sum=" over all lines before it
 *   heads   of a node's newest report, POOL_HEAD_LEN bytes
 *   bodies  sorted records of one length in blocks of POOL_BLOCK bytes, each with a checksum,
 *           behind a first block that says how many there are and chains those checksums: so a
 *           block can be read and trusted alone, and all of them are those that were written
 *           together
 *
 * Decoders: 0, -EUCLEAN damaged, -EPROTO written by a newer version; output untouched then.
 */
#pragma once

#include "entry.h"
#include "feature_flags.h"
#include "id.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- numbers of packs and object files in a pool: node 12 bits, life 20, sequence 32 ---- */

#define POOL_NODE_MAX 4095u   /* nodes are 1 ... */
#define POOL_INCARNATION_MAX                                                                       \
    0xfffffu /* incarnations of a node are 1 ...: one each time its store is opened */

static inline uint64_t pool_number(unsigned node, uint32_t incarnation, uint32_t sequence)
{
    return (uint64_t)node << 52 | (uint64_t)incarnation << 32 | sequence;
}
static inline unsigned pool_number_node(uint64_t number)
{
    return (unsigned)(number >> 52);
}
static inline uint32_t pool_number_incarnation(uint64_t number)
{
    return (uint32_t)(number >> 32) & POOL_INCARNATION_MAX;
}

/* ---- records ---- */

enum pool_record_flags {
    POOL_FILE = 1,   /* a file of its own; else a record of a pack */
    POOL_PINNED = 2, /* needed whoever else says what */
    POOL_GONE = 4,   /* of a delta: the base's record with this key counts no more */
};

/* What a report says of one key: 48 bytes, in memory, too. Made by pool_record_make. */
struct pool_record {
    struct id key;
    uint8_t id_rest[8]; /* the last bytes of the id; the first are the key's */
    uint64_t where;     /* pack, or number in the file's name: see pool_number() */
    uint64_t size;      /* bytes of content */
    uint32_t offset;    /* of the record in the pack; a file: 0 */
    uint32_t flags;     /* enum pool_record_flags */
};
#define POOL_RECORD_LEN 48

/* The key of the place that a sealed entry (PACK, FILE) names. Count and size do not matter. */
struct id pool_key(const struct entry *e);
void pool_record_make(const struct entry *e, bool pinned, struct pool_record *ret);
/* The reverse: an entry with count 0. */
void pool_record_entry(const struct pool_record *r, struct entry *ret);
void pool_record_encode(const struct pool_record *r, uint8_t out[POOL_RECORD_LEN]);
/* The key is that of the place, flags are known ones, the place is one that can be. */
int pool_record_decode(const uint8_t in[POOL_RECORD_LEN], struct pool_record *ret);

/* One line of a list of marks: a key that no report named. */
struct pool_mark {
    struct id key;
    int64_t since; /* ns since the epoch when a cycle first missed it */
    uint32_t mark; /* serial of the list that first had it as marked; 0: it is not marked yet */
};
#define POOL_MARK_LEN 32
void pool_mark_encode(const struct pool_mark *m, uint8_t out[POOL_MARK_LEN]);
int pool_mark_decode(const uint8_t in[POOL_MARK_LEN], struct pool_mark *ret);

/* One record of a pack that is closed for ever. */
struct pool_indexed {
    struct id id;
    uint32_t offset, len; /* of the record in the pack; of its payload, bytes */
};
#define POOL_INDEXED_LEN 24
void pool_indexed_encode(const struct pool_indexed *x, uint8_t out[POOL_INDEXED_LEN]);
int pool_indexed_decode(const uint8_t in[POOL_INDEXED_LEN], struct pool_indexed *ret);

#define POOL_DEAD_LEN 4 /* the offset of a record that was removed */

/* ---- bodies ---- */

#define POOL_BLOCK 4096     /* bytes */
#define POOL_BLOCK_HEAD 16  /* of these: checksum 8, records in it 4, zero 4 */

enum pool_body_kind {
    POOL_BODY_BASE = 1, /* records; owner: node, serial: of the report it was made for */
    POOL_BODY_DELTA,    /* records; likewise; extra: serial of its base */
    POOL_BODY_MARKS,    /* marks; owner: 0, serial: of the list */
    POOL_BODY_INDEX,    /* indexed; owner: pack number; extra: 1 + bytes of the pack's file
                            where all else in it is zeros, else 0 */
    POOL_BODY_DEAD,     /* dead; owner: pack number */
    POOL_BODY_KINDS
};

struct pool_body {
    enum pool_body_kind kind;
    uint64_t owner, serial, extra;
    uint64_t count; /* records */
    uint64_t chain; /* of the blocks' checksums */
    uint64_t sum;   /* of all above: names this very body; set by encode and decode */
};

size_t pool_body_record_len(enum pool_body_kind kind);
/* Records that fit into one block, and blocks of records that a body has. */
size_t pool_body_per_block(enum pool_body_kind kind);
uint64_t pool_body_blocks(const struct pool_body *b);
/* Bytes of the whole file. */
uint64_t pool_body_size(const struct pool_body *b);
void pool_body_encode(struct pool_body *b, uint8_t out[POOL_BLOCK]);
/* It is of that kind and owner; of any serial. */
int pool_body_decode(const uint8_t in[POOL_BLOCK], enum pool_body_kind kind, uint64_t owner,
                     struct pool_body *ret);

/* Records stand from block + POOL_BLOCK_HEAD on: give block `index` (from 0) of records its head,
 * zeros behind them, and its checksum, which is returned. */
uint64_t pool_block_seal(uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                         size_t count);
/* It is block `index` of that body and whole; *ret_sum (may be NULL) its checksum. */
int pool_block_check(const uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                     uint64_t *ret_sum);
/* How many records block `index` of the body has. */
size_t pool_block_count(const struct pool_body *b, uint64_t index);
/* The chain, 0 at first, with the next block's checksum. */
uint64_t pool_chain(uint64_t chain, uint64_t block_sum);

/* ---- the head of a node's newest report ---- */

struct pool_head {
    unsigned node;
    uint32_t incarnation; /* in which it was written */
    uint64_t serial; /* rises with each report, over all lives: below (life + 1) << 32 */
    uint64_t ack;    /* the newest list of marks in force here before the report's snapshot */
    int64_t time;    /* ns since the epoch by the node's own clock: shown, never trusted */
    uint64_t active, pinned; /* keys it names */
    /* Where its records are; serial 0: no such file, and nothing in it. */
    struct pool_part {
        uint64_t serial, count, sum; /* pool_body.sum */
    } base, delta;
};
#define POOL_HEAD_LEN 128
void pool_head_encode(const struct pool_head *h, uint8_t out[POOL_HEAD_LEN]);
int pool_head_decode(const void *in, size_t len, unsigned node, struct pool_head *ret);

/* ---- texts ---- */

#define POOL_TEXT_MAX 1024
#define POOL_TOKEN_LEN 16
#define POOL_LABEL_MAX 200

struct pool_identity {
    uint8_t id[16];
    struct id_key key; /* of all its members: equal bytes have equal ids */
    struct features features; /* with any of them it is of version 3, and has a veil */
};

/* Who a node is: which store, and in which of its lives. */
struct pool_who {
    unsigned node;
    uint32_t incarnation;
    uint8_t token[POOL_TOKEN_LEN]; /* random, new in each incarnation: a copy has an old one */
    int64_t when; /* ns since the epoch, of its clock, when that incarnation began */
    char label[POOL_LABEL_MAX + 1]; /* of the store; printable, may be empty */
};

/* Who runs GC cycles. */
struct pool_term {
    uint64_t term;
    unsigned node;
    uint32_t incarnation;
    uint64_t beat; /* rises while it runs */
    bool released;
};

/* Which node of which pool a store is: STORE/pool. */
#define POOL_PATH_MAX 700
struct pool_home {
    uint8_t id[16]; /* of the pool */
    unsigned node;
    uint32_t incarnation;           /* its last, or the one it was about to begin */
    uint8_t token[POOL_TOKEN_LEN];  /* of that incarnation, */
    uint8_t before[POOL_TOKEN_LEN]; /* the one that the pool had until then; entered: `token` */
    char path[POOL_PATH_MAX + 1];   /* of the pool's directory: absolute, printable */
};

/* Which lists of marks there may be. */
struct pool_floor {
    uint64_t serial; /* of the lowest one that was kept; at least 1 */
};

/* Each encoder returns the length of `out`, which has a NUL behind it. */
size_t pool_identity_encode(const struct pool_identity *i, char out[POOL_TEXT_MAX]);
int pool_identity_decode(const char *text, size_t len, struct pool_identity *ret);
size_t pool_who_encode(const struct pool_who *w, char out[POOL_TEXT_MAX]);
int pool_who_decode(const char *text, size_t len, unsigned node, struct pool_who *ret);
size_t pool_term_encode(const struct pool_term *t, char out[POOL_TEXT_MAX]);
int pool_term_decode(const char *text, size_t len, uint64_t term, struct pool_term *ret);
size_t pool_floor_encode(const struct pool_floor *f, char out[POOL_TEXT_MAX]);
int pool_floor_decode(const char *text, size_t len, struct pool_floor *ret);
size_t pool_home_encode(const struct pool_home *h, char out[POOL_TEXT_MAX]);
int pool_home_decode(const char *text, size_t len, struct pool_home *ret);
/* No control characters: it can stand in a line of such a text. */
bool pool_text_ok(const char *text);
