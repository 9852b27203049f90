// SPDX-License-Identifier: Apache-2.0
/* siphash: see the header. Two rounds for each 8 bytes, four at the end. */
#include "siphash.h"
#include "bytes.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void round_of(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

/* Hashes one word of 8 bytes, with two rounds. */
static inline void sip_take(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    round_of(s);
    round_of(s);
    s->v0 ^= word;
}

static inline struct sip sip_begin(const struct sip_key *key)
{
    const uint64_t k0 = get_le64(key->b), k1 = get_le64(key->b + 8);

    /* "somepseudorandomlygeneratedbytes": the constants of the paper. */
    return (struct sip){k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
                        k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
}

/* The last four rounds. */
static inline uint64_t end(struct sip *s)
{
    s->v2 ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        round_of(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t siphash(const struct sip_key *key, const void *data, size_t len)
{
    struct sip s = sip_begin(key);
    const uint8_t *at = data;
    uint8_t last[8] = {0};

    for (size_t left = len; left >= 8; left -= 8, at += 8)
        sip_take(&s, get_le64(at));
    if (len % 8)
        memcpy(last, at, len % 8);
    last[7] = (uint8_t)len;
    sip_take(&s, get_le64(last));
    return end(&s);
}

uint64_t siphash_few(const struct sip_key *key, uint64_t bytes, unsigned len)
{
    struct sip s = sip_begin(key);

    sip_take(&s, bytes | (uint64_t)len << 56);
    return end(&s);
}
