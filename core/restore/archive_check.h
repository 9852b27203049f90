// SPDX-License-Identifier: Apache-2.0
/*
 * archive_check: is all there that a lineage says is there?
 *
 *     archive_check(p, archive, &ask, found, ...)
 *
 * It reads every segment that is kept: without a catalogue all, else those from its begin on, and
 * of those before it the ones that it keeps. It follows how each names the one before with its sum,
 * reads bodies, and asks for the size of each pack and file that an item names. Of a pack that a
 * prune has thinned it looks whether all contents are left that items name. `read` of the packs and
 * files in a hundred are read and compared with their own checksums.
 *
 * What is wrong is given to `found`, each thing once, and the check goes on behind it as far as
 * that is possible. So are segments with contents that the store could not read when it made them
 * (ship.h), though nothing is wrong with the archive then.
 *
 * Threads: any; the caller holds no lock and may wait. Errors: 0, also if something was found; or
 * -errno: the archive cannot be asked; -ENOMEM; what `progress` returned. Memory: 48 bytes for each
 * pack and file, and what check_thin.h says.
 */
#pragma once

#include "segment.h"
#include "strbuf.h"

struct state;

struct archive_check_result {
    uint64_t segments, bodies, items;
    uint64_t places; /* packs and files that items name */
    uint64_t read;   /* of these, read and compared */
    uint64_t found;  /* things that are wrong */
    uint64_t lost;   /* items whose content was lost when they were shipped */
};

struct archive_check_ask {
    unsigned read; /* percent of packs and files, 0 … 100 */
    /* `what` is a key in the archive, `sentence` says what is wrong with it */
    void (*found)(const char *what, const char *sentence, void *ctx);
    int (*progress)(uint64_t segments, void *ctx); /* now and then; NULL: none */
    void *ctx;
};

int archive_check(struct state *p, uint16_t archive, const struct archive_check_ask *ask,
                  struct archive_check_result *ret);
