// SPDX-License-Identifier: Apache-2.0
/*
 * permute: numbers changed into others of the same width, each into its own, under a key without
 * which nobody can go back or tell anything of them but that two are equal.
 *
 * A balanced Feistel network: each round changes one half by SipHash of the other one. Where nobody
 * can tell the function of the rounds from a random one, four rounds make a permutation that nobody
 * can tell from a random one who sees far fewer than 2^(width / 4) values (Luby, Rackoff, 1988),
 * and six one for who sees far fewer than 2^(width / 2) of them (Patarin, 2004).
 */
#pragma once

#include "siphash.h"

#define PERMUTE_BITS 62 /* of what permute_62 takes and gives: it stands where a cookie does */

uint64_t permute_62(const struct sip_key *key, uint64_t x);
/* permute_62 gave `y` for it. */
uint64_t permute_62_back(const struct sip_key *key, uint64_t y);

/* The same for two words of 64 bits. */
void permute_128(const struct sip_key *key, uint64_t x[2]);
