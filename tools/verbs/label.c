// SPDX-License-Identifier: Apache-2.0
#include "label.h"

#include "identity.h"
#include "store.h"

#include <stdio.h>
#include <string.h>

bool tally_label_ok(const char *label)
{
    size_t len = strlen(label);
    const char *slash = strchr(label, '/');
    if (len > STORE_LABEL_MAX || !slash || slash == label || !slash[1] ||
        strchr(slash + 1, '/')) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)label[i] <= ' ' || label[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

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
    if (!tally_label_ok(out)) {
        snprintf(out, room, "local/store");
    }
}
