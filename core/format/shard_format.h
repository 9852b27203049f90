// SPDX-License-Identifier: Apache-2.0
/*
 * shard_format: the bytes by which a store and its shards recognise each other (FORMAT.md,
 * "Shards"). Pure codecs that check all bounds.
 *
 *     texts    on the shard: its identity, and which opening may write (text.h)
 *     records  in the store: the table `shards`
 *
 * Decoders return 0, -EUCLEAN (damaged) or -EPROTO (written by a newer version), and leave their
 * output untouched after an error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARD_ID_LEN 16
#define SHARD_TOKEN_LEN 16

/* ---- names on a shard ---- */

#define SHARD_IDENTITY "tally-shard"
#define SHARD_OWNER "owner"
#define SHARD_FENCES "claims" /* the folder of fence files */
/* zeros, removed to make room for a fence file when the shard is full */
#define SHARD_SPARE "spare"
#define SHARD_FENCE_NAME (sizeof SHARD_FENCES "/" + 2 * SHARD_TOKEN_LEN)

/* The name of the fence file by which a new opening takes the shard over from the opening with
 * `token`. */
void shard_fence_name(const uint8_t token[SHARD_TOKEN_LEN], char out[SHARD_FENCE_NAME]);

/* ---- texts ---- */

#define SHARD_TEXT_MAX 512

struct shard_identity {
    uint8_t id[SHARD_ID_LEN];
    uint8_t store[16]; /* id of the store that the shard belongs to */
    uint16_t number;   /* the shard's number in that store; not 0 */
};

size_t shard_identity_encode(const struct shard_identity *i, char out[SHARD_TEXT_MAX]);
int shard_identity_decode(const char *text, size_t len, struct shard_identity *ret);
/* The text of the file `owner`, and of a fence file. */
size_t shard_token_encode(const uint8_t token[SHARD_TOKEN_LEN], char out[SHARD_TEXT_MAX]);
int shard_token_decode(const char *text, size_t len, uint8_t ret_token[SHARD_TOKEN_LEN]);

/* ---- records ---- */

#define SHARD_RECORD_URL 700
#define SHARD_RECORD_HEAD 72
#define SHARD_RECORD_MAX (SHARD_RECORD_HEAD + SHARD_RECORD_URL)

/* A record is that of a shard, or of an archive. An archive belongs to no store alone, so it has no
 * token and no incarnation. */
struct shard_record {
    uint8_t id[SHARD_ID_LEN];       /* of the shard, or of the archive */
    uint8_t token[SHARD_TOKEN_LEN]; /* T, with which this store last had the fence */
    uint8_t next[SHARD_TOKEN_LEN];  /* N, of a fence that is being taken; zeros without has_next */
    bool has_next;
    bool draining;   /* nothing is moved there any more; of an archive: nothing is shipped there */
    bool archive;    /* then all that is of a shard alone is zero or false */
    int64_t drilled; /* of an archive: when a drill succeeded last, ns since the epoch; 0: never */
    bool gap;        /* of an archive: instants that it has are not held here any more */
    bool follows;    /* of an archive: the store follows that lineage (core/follow) */
    uint32_t incarnation; /* of a shard: how often the fence was taken, or begun to be */
    uint32_t lineage;     /* of an archive: which of its lineages; of a shard 0 */
    /* of an archive: no row of `archived` names what the catalogues of the lineage up to this one
     * have given up; of a shard 0 */
    uint32_t seen;
    char url[SHARD_RECORD_URL + 1]; /* printable */
};

/* Returns the length. The number of the shard is the seed of the checksum. */
size_t shard_record_encode(const struct shard_record *r, uint16_t number,
                           uint8_t out[SHARD_RECORD_MAX]);
int shard_record_decode(const void *in, size_t len, uint16_t number, struct shard_record *ret);

/* The row with number 0, which is no shard: the highest incarnation of all shards that were
 * removed. */
#define SHARD_FLOOR_LEN 16
void shard_floor_encode(uint32_t incarnation, uint8_t out[SHARD_FLOOR_LEN]);
int shard_floor_decode(const void *in, size_t len, uint32_t *ret_incarnation);
