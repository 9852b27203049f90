// SPDX-License-Identifier: Apache-2.0
/* What permute.h promises. */
#include "fault.h"
#include "permute.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define MASK ((UINT64_C(1) << PERMUTE_BITS) - 1)
#define COUNT 100000

static const struct sip_key key = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void are_unlike(uint64_t *v)
{
    qsort(v, COUNT, sizeof *v, by_value);
    for (unsigned i = 1; i < COUNT; i++)
        cr_assert_neq(v[i - 1], v[i]);
}

Test(permute, every_number_comes_back_and_fits)
{
    static const uint64_t edges[] = {
        0, 1, 2, 127, 128, (UINT64_C(1) << 31) - 1, UINT64_C(1) << 31, MASK - 1, MASK};
    uint64_t state = 1;

    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t x = i < sizeof edges / sizeof *edges ? edges[i] : fault_random(&state) & MASK;
        uint64_t y = permute_62(&key, x);

        cr_assert_eq(y & ~MASK, 0);
        cr_assert_eq(permute_62_back(&key, y), x);
        cr_assert_eq(permute_62(&key, permute_62_back(&key, x)), x);
    }
}

Test(permute, no_two_numbers_become_one)
{
    uint64_t *v = malloc(COUNT * sizeof *v);

    for (unsigned i = 0; i < COUNT; i++)
        v[i] = permute_62(&key, i);
    are_unlike(v);
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t x[2] = {i, 7};
        permute_128(&key, x);
        v[i] = x[0];
    }
    are_unlike(v);
    free(v);
}

/* Half of the bits, on the mean; no bit that stays, and none that always follows another. */
Test(permute, a_bit_of_the_number_or_of_the_key_changes_half_of_the_bits)
{
    enum { TIMES = 2000 };
    uint64_t state = 3;

    for (unsigned bit = 0; bit < PERMUTE_BITS; bit++) {
        unsigned changed[PERMUTE_BITS] = {0};
        for (unsigned i = 0; i < TIMES; i++) {
            uint64_t x = fault_random(&state) & MASK;
            uint64_t d = permute_62(&key, x) ^ permute_62(&key, x ^ UINT64_C(1) << bit);
            for (unsigned j = 0; j < PERMUTE_BITS; j++)
                changed[j] += (unsigned)(d >> j & 1);
        }
        for (unsigned j = 0; j < PERMUTE_BITS; j++)
            cr_assert(changed[j] > TIMES * 2 / 5 && changed[j] < TIMES * 3 / 5,
                      "bit %u: bit %u changed %u times of %u", bit, j, changed[j], TIMES);
    }
    for (unsigned bit = 0; bit < 8 * SIP_KEY_LEN; bit++) {
        struct sip_key other = key;
        other.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(permute_62(&other, 12345), permute_62(&key, 12345));
    }
}
