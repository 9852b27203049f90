// SPDX-License-Identifier: Apache-2.0
/* engine_lib: see the header. */
#include "engine_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int engine_load(const char *soname, const char *package, const struct engine_symbol *symbol,
                size_t count, char why[SHARD_WHY])
{
    void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        snprintf(why, SHARD_WHY, "%s is missing: install the package %s", soname, package);
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        void *fn = dlsym(lib, symbol[i].name);

        if (!fn) {
            snprintf(why, SHARD_WHY, "%s is too old, since it lacks %s: upgrade the package %s",
                     soname, symbol[i].name, package);
            return -EINVAL;
        }
        memcpy(symbol[i].at, &fn, sizeof fn);
    }
    return 0;
}
