// SPDX-License-Identifier: Apache-2.0
#include "own_ns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME "TALLY_NS"
#define STORE "TALLY_NS_STORE"

int own_ns_set(const struct tally_mountinfo *m, const char *ns)
{
    return setenv(NAME, ns, 1) < 0 || setenv(STORE, m->source, 1) < 0 ? -errno : 0;
}

const char *own_ns_for(const char *verb)
{
    static const char *const verbs[] = {"commit", "diff", "digest", "redo", "snapshot", "undo"};
    const char *ns = getenv(NAME);
    for (size_t i = 0; ns && *ns && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i], verb) == 0) {
            return ns;
        }
    }
    return NULL;
}

bool own_ns_is_in(const struct tally_mountinfo *m)
{
    const char *store = getenv(STORE);
    return store && strcmp(store, m->source) == 0;
}
