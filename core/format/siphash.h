// SPDX-License-Identifier: Apache-2.0
/*
 * siphash: SipHash-2-4 (Aumasson, Bernstein, 2012): 64 bits of some bytes under a key of 128 bits.
 *
 * Who does not know the key cannot tell its values from random ones, however many he chose and saw,
 * so he finds no names that collide but by luck. XXH3 is faster, and tells its key to who asks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIP_KEY_LEN 16

struct sip_key {
    uint8_t b[SIP_KEY_LEN];
};

uint64_t siphash(const struct sip_key *key, const void *data, size_t len);
/* The same of at most 7 bytes, the lowest ones of `bytes`, little-endian; the others are 0. */
uint64_t siphash_few(const struct sip_key *key, uint64_t bytes, unsigned len);
