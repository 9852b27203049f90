// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes an operation of the history has, it is refused, or written again it is the same
 * bytes. Input: the bytes.
 */
#include "fuzz.h"
#include "history_entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len + 1), again[HISTORY_ENTRY_MAX]; /* exactly that length, and one */
    struct history_entry e;
    int r;

    MUST(copy);
    copy[0] = 0;
    if (len)
        memcpy(copy + 1, data, len);
    r = history_entry_decode(copy + 1, len, &e);
    MUST(r == 0 || r == -EUCLEAN);
    if (r == 0) {
        MUST(history_entry_word(&e));
        MUST(history_entry_encode(&e, again) == len);
        MUST(memcmp(again, data, len) == 0);
    }
    free(copy);
    return 0;
}
