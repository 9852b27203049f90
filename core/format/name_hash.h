// SPDX-License-Identifier: Apache-2.0
/*
 * name_hash: where names stand among the entries of a directory, or the attributes of an inode.
 *
 * A name's place is 55 bits of a keyed hash and an index of 7 bits: NAMES_OF_HASH names may share the
 * hash. Where all these places are taken, the name is kept under its hash of the next level, and the
 * item with the index that is left says how many were: so there may be any number (FORMAT.md, "Items").
 */
#pragma once

#include "siphash.h"
#include <stdbool.h>

#define NAME_INDEX_BITS 7
#define NAME_PLACES (UINT64_C(1) << NAME_INDEX_BITS)
#define NAMES_OF_HASH (NAME_PLACES - 1)
#define NAME_MORE (NAME_PLACES - 1) /* the index of the item that counts names of the next levels */
#define NAME_LEVELS 255             /* more than anybody can fill */

struct name_key {
    struct sip_key sip;
    /* Of a store made before version 4 the hash of level 0 is XXH3-64 with this seed. */
    bool old;
    uint64_t seed;
};

/* The place with index 0; below 2^62. A name has at most 255 bytes and no NUL. */
uint64_t name_hash(const struct name_key *key, const char *name, size_t len, unsigned level);
/* Of the places with that hash, the one with index 0. */
static inline uint64_t name_bucket(uint64_t place)
{
    return place & ~(NAME_PLACES - 1);
}
