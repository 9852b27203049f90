// SPDX-License-Identifier: Apache-2.0
/*
 * engine_lib: loads the library of an engine when the first URL of that engine is used. Most
 * programs of tallyfs use no engine, and linked to these libraries each of them would start 10 to
 * 20 ms later (measured with libcurl and librados of Debian 12).
 *
 * A library stays loaded until the process ends. Threads: any.
 */
#pragma once

#include "shard.h"
#include <stddef.h>

struct engine_symbol {
    const char *name;
    void *at; /* address of a pointer to a function, which gets the function */
};

/* Loads the library `soname`, and sets `count` pointers. -EINVAL: it is missing or lacks a
 * function, and `why` names `package`, the package of Debian that has it. */
int engine_load(const char *soname, const char *package, const struct engine_symbol *symbol,
                size_t count, char why[SHARD_WHY]);
