// SPDX-License-Identifier: Apache-2.0
/*
 * power_impl: what power.c (system calls) and power_dir.c (the directory) share. Private to them.
 */
#pragma once

#include "crash.h"
#include "lock.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES 1024
#define MAPS 64

/* A file of the directory that is written, and its double in the shadow. */
struct known {
    ino_t ino;
    struct disk_file *shadow; /* NULL: the entry is empty */
};

struct mapped {
    void *map; /* NULL: the entry is empty */
    void *shadow_map;
    struct disk_file *shadow;
};

struct power {
    bool on;
    char path[PATH_MAX];
    size_t path_len;
    dev_t dev;
    ino_t ino;
    struct fault *fault;
    struct disk *shadow;
    uint64_t boots;
    struct mutex lock; /* guards `known` and `mapped`, and keeps the order of changes the same in
                        * shadow and directory */
    struct known known[FILES];
    struct mapped mapped[MAPS];
};
extern struct power power;

/* Forget all files and mappings of the shadow, after closing them. */
void power_forget(void);

/* Check that a call succeeded: it must not fail where the shadow succeeded. */
static inline long both(long r)
{
    if (r < 0) {
        perror("power: the directory fails");
        abort();
    }
    return r;
}
