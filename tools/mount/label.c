// SPDX-License-Identifier: Apache-2.0
#include "label.h"

#include "store_dir.h"

#include <stdio.h>
#include <string.h>

void tally_default_label(const char *store, char *out, size_t room)
{
    size_t end = strlen(store);
    while (end > 0 && store[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && store[start - 1] != '/') {
        start--;
    }
    snprintf(out, room, "local/%.*s", (int)(end - start < 100 ? end - start : 100), store + start);
    if (!store_label_ok(out)) {
        snprintf(out, room, "local/store");
    }
}
