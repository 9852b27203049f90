// SPDX-License-Identifier: Apache-2.0
/*
 * from_directory: reads a directory with all that is below it, with the rights of the caller, and
 * gives its files to an intake. Several threads read ahead. Symlinks are not followed; names of one
 * file (hard links) stay names of one file, if all are below the directory.
 *
 * A file that changes while it is read is read again; one that goes on changing is told to
 * `changed`, and has what the last reading gave. Everything else that cannot be read is an error
 * that names it.
 */
#pragma once

#include "intake.h"

struct directory_source {
    int fd;      /* the directory */
    bool owners; /* files keep their owners; false: this process */
    /* Called now and then, by the calling thread. NULL: not. */
    void (*tick)(void *ctx);
    void (*changed)(const char *path, void *ctx); /* NULL: not called */
    void *ctx;
};

/* 0 or -errno, as from_archive. */
int from_directory(struct intake *in, const struct directory_source *source,
                   struct intake_counts *counts);
