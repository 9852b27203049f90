// SPDX-License-Identifier: Apache-2.0
/* export: what to_archive and to_directory share. */
#pragma once

#include "source_walk.h"

#include <stdbool.h>
#include <stdint.h>

#define EXPORT_WHY 8192

struct export {
    int session; /* on `.tally/export`, whose stream is read; -1: `fd` is */
    int fd;      /* the directory that is read through the mount */
    void (*tick)(void *ctx); /* called now and then */
    void *ctx;
    uint64_t files, bytes; /* so far */
    char why[EXPORT_WHY];
};

/* Gives all files to a visitor, as source_walk does. */
int export_walk(struct export *e, int (*visit)(struct source_file *f, const char *path, void *ctx),
                void *ctx);
/* Visits the data of a file and leaves out its holes. `fn` gets at least one byte at a time.
 * Returns 0, -errno of reading, or what `fn` returns. */
int export_data(const struct source_file *f,
                int (*fn)(const void *bytes, size_t len, uint64_t off, void *ctx), void *ctx);
/* Sets the sentence, and returns `err`. */
int export_fail(struct export *e, int err, const char *path, const char *what);
