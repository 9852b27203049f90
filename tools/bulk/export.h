// SPDX-License-Identifier: Apache-2.0
/* export: what to_archive and to_directory share. */
#pragma once

#include "source_walk.h"

#include <stdbool.h>
#include <stdint.h>

#define EXPORT_WHY 8192

struct export {
    int session; /* on `.tally/export`, to which a line was written; -1: `fd` is read instead */
    int fd;      /* the directory, opened through the mount */
    bool session_failed; /* a call of it failed, so a read of it gives the sentence */
    void (*tick)(void *ctx); /* called now and then */
    void *ctx;
    uint64_t files, bytes; /* so far */
    char why[EXPORT_WHY];
};

/* Uses a part of the data of a file, at least one byte. 0 or -errno, which ends the reading. */
typedef int export_data_fn(const void *bytes, size_t len, uint64_t off, void *ctx);

/* Gives all files to a visitor, as source_walk does. */
int export_walk(struct export *e, int (*visit)(struct source_file *f, const char *path, void *ctx),
                void *ctx);
/* Visits the data of a file and leaves out its holes; of a file that comes from a stream, once.
 * Returns 0, -errno of reading, or what `fn` returns. One thread at a time. */
int export_data(const struct source_file *f, export_data_fn *fn, void *ctx);
/* Sets the sentence, and returns `err`. */
int export_fail(struct export *e, int err, const char *path, const char *what);
