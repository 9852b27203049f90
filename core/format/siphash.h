// SPDX-License-Identifier: Apache-2.0
/*
 * siphash: SipHash-2-4 (Aumasson, Bernstein, 2012): a hash of 64 bits under a key of 128 bits.
 *
 * Without the key an attacker cannot distinguish its values from random ones, however many inputs
 * he chooses. So he finds names that collide only by luck. XXH3 is faster, but reveals its key to
 * an attacker who sees its values.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIP_KEY_LEN 16

struct sip_key {
    uint8_t b[SIP_KEY_LEN];
};

/* The hash of `len` bytes. */
uint64_t siphash(const struct sip_key *key, const void *data, size_t len);
/* The hash of the `len` lowest bytes of `bytes` in little-endian order, at most 7. The others must
 * be 0. */
uint64_t siphash_few(const struct sip_key *key, uint64_t bytes, unsigned len);
