// SPDX-License-Identifier: Apache-2.0
/*
 * confined: reads an archive in a process of its own without rights (sandbox.h), which writes the
 * image of its files to a descriptor. This process only waits, and shows how far it is.
 */
#pragma once

#include "from_archive.h"

struct confined_result {
    int err;      /* 0 or -errno */
    char why[INTAKE_WHY]; /* "": it is an error of a write, of which the reader has the sentence */
    uint64_t files, bytes, absolute, passed;
};

/* Reads the archive, and ends the image on `out` if there was no error. `tick` is called five times
 * a second with what was read so far; NULL: it is not. Only one thread may exist. */
void confined_run(int out, const struct archive_source *source,
                  void (*tick)(const struct intake_counts *counts, void *ctx), void *ctx,
                  struct confined_result *ret);
