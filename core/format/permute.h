// SPDX-License-Identifier: Apache-2.0
/*
 * permute: keyed permutations. Each number becomes another number of the same width, and no two
 * numbers become the same one. Without the key an attacker cannot reverse it, and learns only which
 * of the numbers are equal.
 *
 * A balanced Feistel network: each round changes one half by SipHash of the other half. If the
 * rounds look random, then so does the permutation to an attacker who sees far fewer than
 * 2^(width / 4) values, with four rounds (Luby, Rackoff, 1988), or far fewer than 2^(width / 2)
 * values, with six rounds (Patarin, 2004).
 *
 * permute_128 makes the ids of a store, so its rounds are part of the format (FORMAT.md, section
 * 8): with another number of rounds no stored content would be found by its id. permute_62 makes
 * the cookies of readdir, and nothing on disk depends on it: another number of rounds only breaks
 * listings that go on after a new mount.
 */
#pragma once

#include "siphash.h"

#define PERMUTE_BITS 62 /* the width of permute_62, and of a cookie */

/* `x` is below 2^62, and so is the result. */
uint64_t permute_62(const struct sip_key *key, uint64_t x);
/* The number for which permute_62 gave `y`. */
uint64_t permute_62_back(const struct sip_key *key, uint64_t y);

/* Changes x in place; x[0] is the left half. */
void permute_128(const struct sip_key *key, uint64_t x[2]);
