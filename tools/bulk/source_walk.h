// SPDX-License-Identifier: Apache-2.0
/*
 * source_walk: reads a directory with all that is below it, with the rights of the caller, and
 * gives its files to a visitor, a directory before what is in it. Several threads read ahead.
 * Symlinks are not followed.
 */
#pragma once

#include "source_file.h"

#define SOURCE_WALK_WHY 8192

struct source_walk {
    int fd; /* the directory */
    /* Called by the calling thread, for each file after it was read: an error of reading one ends
     * the walk before. `path` is relative to the directory, whose own is "". Returns 0 or -errno,
     * which ends the walk. */
    int (*visit)(struct source_file *f, const char *path, void *ctx);
    void *ctx;
    bool stream_failed; /* set by source_stream */
    char why[SOURCE_WALK_WHY]; /* after an error: a sentence, or "" if it is of `visit` */
};

/* 0 or -errno */
int source_walk(struct source_walk *t);
