// SPDX-License-Identifier: Apache-2.0
/*
 * collide: names that share the hash of an old store, made as an attacker makes them who has
 * learned its seed: XXH3-64 of 16 bytes is undone step by step. The first half of such a name makes
 * one factor of its product zero; then the other half is what it has to be.
 */
#pragma once

#include "bytes.h"
#include "name_hash.h"
#include <string.h>

#define COLLIDING_LEN 16
#define COLLIDING_MAX 512

/* Bytes 24 … 55 of XXH3's own secret. */
static const uint8_t xxh3_secret[] = {
    0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78,
    0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e,
};

static inline uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;

    for (unsigned i = 0; i < 5; i++)
        x *= 2 - odd * x;
    return x;
}

static inline uint64_t undo_shift(uint64_t h, unsigned n)
{
    uint64_t x = h;

    for (unsigned i = 0; i < 64; i += n)
        x = h ^ x >> n;
    return x;
}

static inline uint64_t undo_avalanche(uint64_t h)
{
    return undo_shift(undo_shift(h, 32) * inverse(0x165667919E3779F9u), 37);
}

/* Name number `low` of those with the hash `place`; false: it would have a NUL or a '/'. */
static inline bool colliding_name(uint64_t seed, uint64_t place, unsigned low,
                                  char out[COLLIDING_LEN + 1])
{
    const uint8_t *k = xxh3_secret;
    uint64_t first = (get_le64(k) ^ get_le64(k + 8)) + seed;
    uint64_t last = (get_le64(k + 16) ^ get_le64(k + 24)) - seed;
    uint64_t hash = place >> NAME_INDEX_BITS << 9 | low;

    put_le64(out, first);
    put_le64(out + 8, (undo_avalanche(hash) - COLLIDING_LEN) ^ last);
    out[COLLIDING_LEN] = 0;
    return !memchr(out, 0, COLLIDING_LEN) && !memchr(out, '/', COLLIDING_LEN);
}
