// SPDX-License-Identifier: Apache-2.0
/* rados_lib: see the header. */
#include "rados_lib.h"

#include "engine_lib.h"
#include <pthread.h>
#include <stdio.h>

static struct rados_lib lib;
static int loaded; /* 0, or the error of loading */
static char reason[SHARD_WHY];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    static const struct engine_symbol symbols[] = {
#define X(name) {"rados_" #name, &lib.name},
        RADOS_CALLS(X)
#undef X
    };

    loaded = engine_load("librados.so.2", "librados2", symbols, sizeof symbols / sizeof symbols[0],
                         reason);
}

int rados_lib_get(const struct rados_lib **ret_lib, char why[SHARD_WHY])
{
    (void)pthread_once(&once, load);
    if (loaded < 0)
        snprintf(why, SHARD_WHY, "%s", reason);
    *ret_lib = &lib;
    return loaded;
}
