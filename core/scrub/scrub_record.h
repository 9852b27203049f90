// SPDX-License-Identifier: Apache-2.0
/*
 * scrub_record: how far a scrub is and what the last complete one found, in the store's table
 * `meta` (FORMAT.md, "Meta"). The record is not part of a flush: each save is a transaction of its
 * own.
 */
#pragma once

#include "kv.h"

enum scrub_phase { SCRUB_NONE, SCRUB_PAGES, SCRUB_OBJECTS, SCRUB_VALUES_OF_TABLES, SCRUB_PHASES };

struct scrub_counts {
    uint64_t objects, pages, bytes, damaged;
    uint64_t unasked; /* those on shards that could not be asked, or of a later version */
};

struct scrub_record {
    enum scrub_phase phase; /* SCRUB_NONE: no scrub is under way */
    bool running;           /* the scrub continues by itself after a restart */
    uint64_t next;          /* number of the page, object or table where the scrub continues */
    uint64_t seen;          /* pages and object entries that were looked at */
    int64_t started;        /* ns since the epoch */
    struct scrub_counts now;
    int64_t ended; /* ns since the epoch: end of the last complete scrub; 0: there was none */
    struct scrub_counts last;
};

#define SCRUB_RECORD_LEN 128
void scrub_record_encode(const struct scrub_record *r, uint8_t out[SCRUB_RECORD_LEN]);
int scrub_record_decode(const void *val, size_t len, struct scrub_record *ret); /* -EUCLEAN */
/* All zeros if there is none. -EUCLEAN: it is damaged. */
int scrub_record_load(struct kv *kv, struct scrub_record *ret);
int scrub_record_save(struct kv *kv, const struct scrub_record *r);
