// SPDX-License-Identifier: Apache-2.0
/* permute: see the header. */
#include "permute.h"
#include "bytes.h"

#define ROUNDS_62 6
#define ROUNDS_128 6 /* on disk: FORMAT.md, section 8 */
#define HALF (PERMUTE_BITS / 2)
#define HALF_MASK ((UINT64_C(1) << HALF) - 1)

/* What round `i` adds (by exclusive or) to the other half. The number of the round is hashed, too,
 * so that no two rounds are the same function. */
static uint64_t round_31(const struct sip_key *key, unsigned i, uint64_t half)
{
    return siphash_few(key, half | (uint64_t)i << 32, 5) & HALF_MASK;
}

static uint64_t round_64(const struct sip_key *key, unsigned i, uint64_t half)
{
    uint8_t in[9];

    put_le64(in, half);
    in[8] = (uint8_t)i;
    return siphash(key, in, sizeof in);
}

uint64_t permute_62(const struct sip_key *key, uint64_t x)
{
    uint64_t left = x >> HALF, right = x & HALF_MASK;

    for (unsigned i = 0; i < ROUNDS_62; i++) {
        uint64_t next = left ^ round_31(key, i, right);
        left = right;
        right = next;
    }
    return left << HALF | right;
}

uint64_t permute_62_back(const struct sip_key *key, uint64_t y)
{
    uint64_t left = y >> HALF, right = y & HALF_MASK;

    for (unsigned i = ROUNDS_62; i-- > 0;) {
        uint64_t before = right ^ round_31(key, i, left);
        right = left;
        left = before;
    }
    return left << HALF | right;
}

void permute_128(const struct sip_key *key, uint64_t x[2])
{
    for (unsigned i = 0; i < ROUNDS_128; i++) {
        uint64_t next = x[0] ^ round_64(key, i, x[1]);
        x[0] = x[1];
        x[1] = next;
    }
}
