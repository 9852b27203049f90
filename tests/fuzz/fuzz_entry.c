// SPDX-License-Identifier: Apache-2.0
/* Whatever bytes an entry has, it is refused, or written again it is the same bytes. */
#include "entry.h"

#include "fuzz.h"

#include <string.h>

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fuzz_fail(#claim);                                                                     \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t again[ENTRY_MAX];
    struct entry e;

    if (entry_decode(data, len, &e) < 0)
        return 0;
    MUST(e.kind <= ENTRY_ALIAS);
    MUST(!entry_is_sealed(&e) || e.where > 0);
    MUST(entry_encode(&e, again) == len);
    MUST(memcmp(again, data, len) == 0);
    return 0;
}
