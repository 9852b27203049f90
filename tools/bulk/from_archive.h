// SPDX-License-Identifier: Apache-2.0
/*
 * from_archive: reads an archive and gives its files to an intake. libarchive knows the format and
 * the compression. It is to be called in a sandbox: it opens nothing.
 */
#pragma once

#include "accounts.h"
#include "intake.h"

struct archive_source {
    int fd;       /* the archive, at its beginning */
    int spool;    /* an empty file: for files whose length the archive says behind their bytes */
    const struct accounts *accounts; /* for ACLs that have names only */
    bool layer;   /* a layer of an OCI image: names `.wh.` are whiteouts */
    bool owners;  /* files have the owners of the archive; false: this process */
};

/* 0 or -errno; after an error intake_why has a sentence, unless a write failed. The caller ends the
 * intake. */
int from_archive(struct intake *in, const struct archive_source *source,
                 struct intake_counts *counts);
