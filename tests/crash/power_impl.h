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

/* A file that was written to, or is to be. */
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
    struct mutex lock; /* the two below, and what order shadow and directory see */
    struct known known[FILES];
    struct mapped mapped[MAPS];
};
extern struct power power;

/* Every file of the shadow is closed. */
void power_forget(void);

/* What must not fail, because the shadow has done it. */
static inline long both(long r)
{
    if (r < 0) {
        perror("power: the directory fails");
        abort();
    }
    return r;
}
