// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a row of the table `growth` has, it is refused, or written again it is the bytes
 * that this version knows. Input: the bytes.
 */
#include "fuzz.h"
#include "growth_sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = calloc(1, len + 1), again[GROWTH_SAMPLE_LEN]; /* exactly that length, and one */
    struct growth_sample s;
    int r;

    MUST(copy);
    if (len)
        memcpy(copy + 1, data, len);
    r = growth_sample_decode(copy + 1, len, &s);
    MUST(r == (len < GROWTH_SAMPLE_LEN ? -EUCLEAN : 0));
    if (r == 0) {
        growth_sample_encode(&s, again);
        MUST(memcmp(again, data, GROWTH_SAMPLE_LEN) == 0);
    }
    free(copy);
    return 0;
}
