// SPDX-License-Identifier: Apache-2.0
/*
 * name_hash: where names stand among the entries of a directory, or the attributes of an inode.
 *
 * A name's place is 55 bits of a keyed hash and an index of 7 bits: NAMES_OF_HASH names may have
 * the same. Where these places are taken a name goes to its hash of the next level, and the item
 * with the index that is left counts those that did: so there may be any number of them (FORMAT.md,
 * "Items").
 */
#pragma once

#include "siphash.h"
#include <stdbool.h>

#define NAME_INDEX_BITS 7
#define NAME_PLACES (UINT64_C(1) << NAME_INDEX_BITS)
#define NAMES_OF_HASH (NAME_PLACES - 1)
#define NAME_COUNTER (NAME_PLACES - 1) /* the index that is left */
#define NAME_LEVELS 255                /* more than anybody can fill */

struct name_key {
    struct sip_key sip;
    /* Of a store made before version 4 the hash of level 0 is XXH3-64 with this seed. */
    bool old;
    uint64_t seed;
    /* Tests only: changes each hash (to force collisions); NULL in programs. */
    uint64_t (*fold)(uint64_t hash, unsigned level);
};

/* The place with index 0; below 2^62. A name has at most 255 bytes and no NUL. */
uint64_t name_hash(const struct name_key *key, const char *name, size_t len, unsigned level);
/* The lowest level on which it has the hash of that place; -1: on none. */
int name_level(const struct name_key *key, const char *name, size_t len, uint64_t place);
/* Of the places with that hash, the one with index 0. */
static inline uint64_t name_bucket(uint64_t place)
{
    return place & ~(NAME_PLACES - 1);
}
