// SPDX-License-Identifier: Apache-2.0
/* What siphash.h promises: the values that its authors published. */
#include "bytes.h"
#include "siphash.h"

#include <criterion/criterion.h>

/* Of the messages "", 00, 00 01, … under the key 00 01 … 0f. */
static const uint64_t published[] = {
    0x726fdb47dd0e0e31u, 0x74f839c593dc67fdu, 0x0d6c8009d9a94f5au, 0x85676696d7fb7e2du,
    0xcf2794e0277187b7u, 0x18765564cd99a68du, 0xcbc9466e58fee3ceu, 0xab0200f58b01d137u,
    0x93f5f5799a932462u, 0x9e0082df0ba9e4b0u, 0x7a5dbbc594ddb9f3u, 0xf4b32f46226bada7u,
    0x751e8fbc860ee5fbu, 0x14ea5627c0843d90u, 0xf723ca908e7af2eeu, 0xa129ca6149be45e5u,
    0x3f2acc7f57c29bdbu, 0x699ae9f52cbe4794u, 0x4bc1b3f0968dd39cu,
};

static struct sip_key key_of_authors(void)
{
    struct sip_key key;

    for (unsigned i = 0; i < SIP_KEY_LEN; i++)
        key.b[i] = (uint8_t)i;
    return key;
}

Test(siphash, has_the_published_values)
{
    struct sip_key key = key_of_authors();
    uint8_t in[64];

    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    for (size_t len = 0; len < sizeof published / sizeof *published; len++)
        cr_assert_eq(siphash(&key, in, len), published[len], "length %zu", len);
    for (unsigned len = 0; len < 8; len++)
        cr_assert_eq(siphash_few(&key, 0x06050403020100 & ((UINT64_C(1) << 8 * len) - 1), len),
                     published[len], "length %u", len);
    cr_assert_eq(siphash(&key, in, 63), 0x958a324ceb064572u);
}

Test(siphash, every_bit_of_the_key_and_of_the_message_counts)
{
    struct sip_key key = key_of_authors();
    uint8_t in[20] = "some name or other.";
    uint64_t was = siphash(&key, in, sizeof in);

    for (unsigned i = 0; i < 8 * SIP_KEY_LEN; i++) {
        key.b[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert_neq(siphash(&key, in, sizeof in), was, "bit %u of the key", i);
        key.b[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (unsigned i = 0; i < 8 * sizeof in; i++) {
        in[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert_neq(siphash(&key, in, sizeof in), was, "bit %u of the message", i);
        in[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}
