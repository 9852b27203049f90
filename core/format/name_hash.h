// SPDX-License-Identifier: Apache-2.0
/*
 * name_hash: the places of names among the entries of a directory, or among the extended attributes
 * of an inode.
 *
 * The place of a name is 55 bits of a keyed hash and an index of 7 bits. So up to NAMES_OF_HASH
 * names may have the same hash. When all these places are taken, a name goes to its hash of the
 * next level. The item with the last index counts the names that did so. Thus any number of names
 * may collide (FORMAT.md, "Items").
 */
#pragma once

#include "siphash.h"
#include <stdbool.h>

#define NAME_INDEX_BITS 7
#define NAME_PLACES (UINT64_C(1) << NAME_INDEX_BITS)
#define NAMES_OF_HASH (NAME_PLACES - 1)
#define NAME_COUNTER (NAME_PLACES - 1) /* the index of the counter */
#define NAME_LEVELS 255                /* more than any directory can fill */

struct name_key {
    struct sip_key sip;
    /* In a store that was made before version 4 the hash of level 0 is XXH3-64 with `seed`. */
    bool old;
    uint64_t seed;
    /* For tests: changes each hash, to force collisions. NULL in programs. */
    uint64_t (*fold)(uint64_t hash, unsigned level);
};

/* The place of the name on that level, with index 0. It is below 2^62. A name has at most 255 bytes
 * and no NUL. */
uint64_t name_hash(const struct name_key *key, const char *name, size_t len, unsigned level);
/* The lowest level on which the name has the hash of `place`; -1: none. */
int name_level(const struct name_key *key, const char *name, size_t len, uint64_t place);
/* The place with the same hash and index 0. */
static inline uint64_t name_bucket(uint64_t place)
{
    return place & ~(NAME_PLACES - 1);
}
