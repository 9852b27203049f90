// SPDX-License-Identifier: Apache-2.0
/*
 * id: the name of a content: XXH3-128 of its bytes, keyed by the store's secret.
 *
 * XXH3 is fast but not cryptographic: equal ids are a hint, never a proof (DESIGN 4.1). Nor is it a
 * MAC: the hash of a short content reveals the secret. So the hash is never shown. An id is
 * "veiled": it is the result of a keyed permutation (permute.h) of the hash. In stores that were
 * made before version 4 ids are not veiled.
 *
 * Text form: exactly 32 lower-case hex digits, most significant first. The bytes on disk have the
 * same order, so ids sort alike everywhere.
 */
#pragma once

#include "siphash.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_LEN 16
#define ID_HEX 32
#define ID_SECRET_LEN 192 /* bytes; XXH3_SECRET_DEFAULT_SIZE of xxhash 0.8 */

struct id {
    uint8_t b[ID_LEN];
};

/* The keys from which the ids of one store are made. */
struct id_key {
    uint8_t secret[ID_SECRET_LEN];
    bool veiled;         /* false: an id is the value of XXH3 itself */
    struct sip_key veil; /* zeros if `veiled` is false */
    /* For tests: changes each id of a content, to force collisions. NULL in programs. */
    void (*fold)(struct id *id);
};

/* Do both make the same ids? */
bool id_key_equal(const struct id_key *a, const struct id_key *b);

/* Makes random keys. -EIO: the kernel gave no random bytes. */
int id_key_make(struct id_key *ret);

/* The id of a content. */
void id_of(const struct id_key *key, const void *data, size_t len, struct id *ret_id);
/* The next id of the chain: the hash of the id. It is tried for a content if the id is taken by
 * another content. It is not folded. */
void id_derive(const struct id_key *key, const struct id *id, struct id *ret_id);
/* The length of a chain: how many ids are tried for one content, from its hash on. More contents of
 * one hash are an attack, and get a salted id each (id_salt). The number may change without a new
 * version of the store, since id_fits accepts the ids of every length that there ever was, up to
 * 1,000. If it is lowered, contents further down in a chain are not found any more, and are stored
 * again. FORMAT.md, section 8, names it. */
#define ID_CHAIN_MAX 16
/* A salted id for a content with that hash; no chain leads to it. `salt` is random. The id has the
 * salt and 8 bytes that follow from salt and hash, so id_fits recognises it. */
void id_salt(const struct id_key *key, const struct id *hash, uint64_t salt, struct id *ret_id);
/* May a content with that hash have this id, as a part of its chain or as a salted id? */
bool id_fits(const struct id_key *key, const struct id *id, const struct id *hash);

/* Makes the id of a content that comes in pieces. */
struct id_stream;
int id_stream_create(const struct id_key *key, struct id_stream **ret_s); /* -ENOMEM */
int id_stream_add(struct id_stream *s, const void *data, size_t len);
/* The id of what was added so far. More may be added afterwards. */
void id_stream_end(struct id_stream *s, struct id *ret_id);
void id_stream_restart(struct id_stream *s); /* forgets what was added */
void id_stream_destroy(struct id_stream *s);

/* A checksum of bytes on disk (XXH3-64, not keyed). The seed says where they belong, so that bytes
 * in the wrong place do not pass. */
uint64_t id_checksum(const void *data, size_t len, uint64_t seed);
/* A checksum of 128 bits (XXH3-128, not keyed): its low half, then its high half. */
void id_checksum_128(const void *data, size_t len, uint64_t ret_sum[2]);

/* The same checksum of bytes that come in pieces. */
struct id_sum;
struct id_sum *id_sum_create(void); /* NULL: no memory */
void id_sum_restart(struct id_sum *s, uint64_t seed);
void id_sum_add(struct id_sum *s, const void *data, size_t len);
uint64_t id_sum_end(struct id_sum *s); /* of what was added so far; more may be added */
void id_sum_destroy(struct id_sum *s); /* NULL is fine */

int id_compare(const struct id *a, const struct id *b); /* as memcmp */
/* The index of the first element whose id is not below `id`; `n`: there is none. The elements of
 * `v` have `size` bytes each, begin with their ids, and are ascending by them. */
size_t id_lower_bound(const void *v, size_t n, size_t size, const struct id *id);
static inline bool id_equal(const struct id *a, const struct id *b)
{
    return id_compare(a, b) == 0;
}
static inline bool id_is_zero(const struct id *id)
{
    return id_equal(id, &(struct id){{0}});
}
/* `out` gets 32 digits and a NUL. */
void id_to_hex(const struct id *id, char out[ID_HEX + 1]);
/* Reads exactly 32 hex digits of either case. -EINVAL: it is something else; *ret_id is unchanged
 * then. */
int id_from_hex(const char *text, struct id *ret_id);
