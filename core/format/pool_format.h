// SPDX-License-Identifier: Apache-2.0
/*
 * pool_format: the bytes of a pool that several stores share (FORMAT.md, "Pool"). Pure codecs that
 * check all bounds.
 *
 * A *key* stands for one place where the bytes of an object are. Reports name keys, lists of marks
 * have keys, and collectors remove what keys stand for. A place is never used twice, in any
 * incarnation of any node, so a key is not used twice, either. Its first 8 bytes are those of the
 * id, so that sorted keys can be searched by id, too.
 *
 * There are three forms:
 *   texts   a few lines that people can read, too: "tallyfs pool WHAT 1", name=value in a fixed
 *           order, and last "sum=" over all lines before it
 *   heads   of a node's newest report, POOL_HEAD_LEN bytes
 *   bodies  sorted records of one length, in blocks of POOL_BLOCK bytes with a checksum each. The
 *           first block says how many records there are and chains the checksums of the others. So
 *           a block can be read and verified alone, and all blocks together are those that were
 *           written together.
 *
 * Decoders return 0, -EUCLEAN (damaged) or -EPROTO (written by a newer version), and leave their
 * output untouched after an error.
 */
#pragma once

#include "entry.h"
#include "feature_flags.h"
#include "id.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- numbers of packs and object files in a pool: node 12 bits, incarnation 20, sequence 32
 * ---- */

#define POOL_NODE_MAX 4095u /* nodes are 1 ... */
#define POOL_INCARNATION_MAX                                                                       \
    0xfffffu /* incarnations of a node are 1 ...: a new one each time its store is opened */

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
    POOL_FILE = 1,   /* the bytes are a file of its own; else a record in a pack */
    POOL_PINNED = 2, /* needed, whatever other reports say */
    POOL_GONE = 4,   /* in a delta: the record of the base with this key does not count any more */
};

/* What a report says of one key: 48 bytes, also in memory. pool_record_make makes it. */
struct pool_record {
    struct id key;
    uint8_t id_rest[8]; /* the last 8 bytes of the id; the key has the first 8 */
    uint64_t where;     /* number of the pack, or in the name of the file (pool_number) */
    uint64_t size;      /* bytes of content */
    uint32_t offset;    /* of the record in the pack, in bytes; of a file: 0 */
    uint32_t flags;     /* enum pool_record_flags */
};
#define POOL_RECORD_LEN 48

/* The key of the place that a sealed entry (PACK, FILE) names. Count and size do not matter. */
struct id pool_key(const struct entry *e);
void pool_record_make(const struct entry *e, bool pinned, struct pool_record *ret);
/* The reverse: an entry with count 0. */
void pool_record_entry(const struct pool_record *r, struct entry *ret);
void pool_record_encode(const struct pool_record *r, uint8_t out[POOL_RECORD_LEN]);
/* -EUCLEAN: the key is not that of the place, a flag is unknown, or there can be no such place. */
int pool_record_decode(const uint8_t in[POOL_RECORD_LEN], struct pool_record *ret);

/* An entry of a list of marks: a key that no report named. */
struct pool_mark {
    struct id key;
    int64_t since; /* ns since the epoch: when a cycle first found no report with it */
    uint32_t mark; /* serial of the list in which it was first marked; 0: it is not marked yet */
};
#define POOL_MARK_LEN 32
void pool_mark_encode(const struct pool_mark *m, uint8_t out[POOL_MARK_LEN]);
int pool_mark_decode(const uint8_t in[POOL_MARK_LEN], struct pool_mark *ret);

/* An entry of the index of a pack to which nothing is appended any more. */
struct pool_indexed {
    struct id id;
    uint32_t offset, len; /* of the record in the pack, and of its payload, in bytes */
};
#define POOL_INDEXED_LEN 24
void pool_indexed_encode(const struct pool_indexed *x, uint8_t out[POOL_INDEXED_LEN]);
int pool_indexed_decode(const uint8_t in[POOL_INDEXED_LEN], struct pool_indexed *ret);

#define POOL_DEAD_LEN 4 /* the offset of a record that was removed */

/* ---- bodies ---- */

#define POOL_BLOCK 4096    /* bytes */
#define POOL_BLOCK_HEAD 16 /* bytes of them: checksum 8, number of records 4, zero 4 */

enum pool_body_kind {
    POOL_BODY_BASE = 1, /* pool_record; owner: the node; serial: that of its report */
    POOL_BODY_DELTA,    /* pool_record; owner and serial likewise; extra: serial of its base */
    POOL_BODY_MARKS,    /* pool_mark; owner: 0; serial: that of the list */
    POOL_BODY_INDEX,    /* pool_indexed; owner: the pack; extra: 1 + length of the pack's file if
                            everything else in the file is zeros, else 0 */
    POOL_BODY_DEAD,     /* offsets of records that were removed; owner: the pack */
    POOL_BODY_KINDS
};

struct pool_body {
    enum pool_body_kind kind;
    uint64_t owner, serial, extra;
    uint64_t count; /* records */
    uint64_t chain; /* of the checksums of all blocks (pool_chain) */
    uint64_t sum;   /* of the fields above: identifies this body; set by encode and decode */
};

size_t pool_body_record_len(enum pool_body_kind kind);
/* How many records fit into one block, and how many blocks of records a body has. */
size_t pool_body_per_block(enum pool_body_kind kind);
uint64_t pool_body_blocks(const struct pool_body *b);
/* The length of the whole file, in bytes. */
uint64_t pool_body_size(const struct pool_body *b);
void pool_body_encode(struct pool_body *b, uint8_t out[POOL_BLOCK]);
/* -EUCLEAN, too, if it is of another kind or owner. Any serial is accepted. */
int pool_body_decode(const uint8_t in[POOL_BLOCK], enum pool_body_kind kind, uint64_t owner,
                     struct pool_body *ret);

/* Completes block `index` (from 0) of records, whose `count` records the caller has put at block +
 * POOL_BLOCK_HEAD: adds the head, zeros behind the records, and the checksum, which is returned. */
uint64_t pool_block_seal(uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                         size_t count);
/* 0: it is block `index` of that body, and whole; *ret_sum (may be NULL) gets its checksum. */
int pool_block_check(const uint8_t block[POOL_BLOCK], const struct pool_body *b, uint64_t index,
                     uint64_t *ret_sum);
/* How many records block `index` of the body has. */
size_t pool_block_count(const struct pool_body *b, uint64_t index);
/* The chain with the checksum of the next block added. It begins as 0. */
uint64_t pool_chain(uint64_t chain, uint64_t block_sum);

/* ---- the head of a node's newest report ---- */

struct pool_head {
    unsigned node;
    uint32_t incarnation;    /* of the node, when the report was written */
    uint64_t serial;         /* rises with each report of the node: below (incarnation + 1) << 32 */
    uint64_t ack;            /* the newest list of marks in force at the node before its snapshot */
    int64_t time;            /* ns since the epoch, by the node's own clock: shown, never trusted */
    uint64_t active, pinned; /* how many keys it names as such */
    /* The files with its records. Serial 0: there is no such file, and it has no records. */
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
    struct id_key key;        /* shared by all members, so that equal bytes have equal ids */
    struct features features; /* if it has any, the text is of version 3 and has a veil */
};

/* Which store a node is, and in which incarnation. */
struct pool_who {
    unsigned node;
    uint32_t incarnation;
    uint8_t token[POOL_TOKEN_LEN]; /* random, new in each incarnation: a copy has an old one */
    int64_t when; /* ns since the epoch, by its clock: when that incarnation began */
    char label[POOL_LABEL_MAX + 1]; /* of the store; printable; may be empty */
};

/* The lease: the node that runs GC cycles. */
struct pool_term {
    uint64_t term;
    unsigned node;
    uint32_t incarnation;
    uint64_t beat; /* the holder raises it while it runs */
    bool released; /* the holder has given it up */
};

/* The file `pool` of a store: which node of which pool the store is. The text is of version 2 if
 * the pool is on a shard. */
#define POOL_PATH_MAX 700
struct pool_home {
    uint8_t id[16]; /* of the pool */
    unsigned node;
    uint32_t incarnation;           /* the last one, or the one that it was about to begin */
    uint8_t token[POOL_TOKEN_LEN];  /* of that incarnation */
    uint8_t before[POOL_TOKEN_LEN]; /* the pool's token before that; once entered: `token` */
    bool is_shard;                  /* the pool is on a shard, and not in a directory */
    /* of the directory of the pool: absolute; or the URL of the shard, "SCHEME:REST"; printable */
    char path[POOL_PATH_MAX + 1];
};

/* Which lists of marks may still exist. */
struct pool_floor {
    uint64_t serial; /* of the oldest list that was kept; at least 1 */
};

/* Each encoder returns the length of the text; `out` has a NUL behind it. */
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
