// SPDX-License-Identifier: Apache-2.0
/*
 * catalogue: what is kept of a lineage of an archive, and what of it is given up (FORMAT.md,
 * section 19). A pure codec.
 *
 * All segments from the *begin* on are kept. Of those before it the catalogue says which are: some
 * of them are *states*, which can be restored; the others are on the way of a restore. What is
 * given up, segments, packs and files, is deleted later. Nobody uses it any more, but for a pack of
 * which a little is needed: before it is deleted that is put a second time (thin_pack.h).
 *
 * Decoders return 0, -EUCLEAN (damaged, or of another place), -EPROTO (written by a newer version)
 * or -ENOMEM, and leave their output untouched after an error.
 */
#pragma once

#include "id.h"
#include "segment.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kept_state {
    struct segment_pos at;
    uint64_t seq; /* number of the last change that it has */
    int64_t time; /* of its instant */
};
/* The segments first … last of an epoch. */
struct kept_run {
    uint64_t epoch, first, last;
};
/* The packs first … last; not 0. */
struct pack_run {
    uint64_t first, last;
};
struct kept_file {
    struct id id;
    uint64_t where;
};

struct catalogue {
    uint32_t lineage, number; /* from 1 */
    int64_t time;             /* when it was made, by the clock of the writer */
    struct kept_state begin;
    uint64_t bytes; /* of all that is given up */
    /* All are ascending, without overlaps. States and runs of `kept` are before the begin; each
     * state is in a run. */
    struct kept_state *states;
    struct kept_run *kept, *gone; /* segments; `gone` is given up, with the bodies */
    struct pack_run *packs;       /* given up */
    struct kept_file *files;      /* given up; ascending by `where` */
    uint32_t state_count, kept_count, gone_count, pack_count, file_count;
};

/* Bytes of a catalogue, at most: it is put by one request. */
#define CATALOGUE_MAX ((size_t)8 << 20)
/* Epochs have 24 bits (archive_text.h), and no epoch has 2^40 segments. */
#define CATALOGUE_EPOCH ((UINT64_C(1) << 24) - 1)
#define CATALOGUE_SERIAL ((UINT64_C(1) << 40) - 1)
/* How many there are of each, at most: so it fits. */
#define CATALOGUE_STATES 16384u
#define CATALOGUE_RUNS 120000u /* of `kept`, and of `gone` */
#define CATALOGUE_PACKS 60000u
#define CATALOGUE_FILES 24000u

/* Adds the bytes to `out`. -ENOMEM. It is given what the decoder accepts. */
int catalogue_encode(const struct catalogue *c, struct strbuf *out);
/* The caller releases *ret. */
int catalogue_decode(const void *bytes, size_t len, uint32_t lineage, uint32_t number,
                     struct catalogue *ret);
void catalogue_release(struct catalogue *c); /* a second call is fine */

/* The time of the oldest state that is kept; 0: the catalogue has the number 0. */
int64_t catalogue_oldest(const struct catalogue *c);
/* Is the segment kept? Those from the begin on are. */
bool catalogue_keeps(const struct catalogue *c, struct segment_pos at);
/* Is that pack, or that file, given up? */
bool catalogue_gives_up(const struct catalogue *c, bool in_pack, uint64_t where);
