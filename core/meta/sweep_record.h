// SPDX-License-Identifier: Apache-2.0
/*
 * sweep_record: what sweeps remember, in the store's table `meta` (FORMAT.md, "Meta"). A commit of
 * a flush does not write it. Each save is a transaction of its own, durable when the call returns.
 *
 * The record lists the lost objects, so that each is reported once and shown until it is found
 * again. So a damaged record is an error, and is never read as that of a store that has lost
 * nothing.
 */
#pragma once

#include "id.h"
#include "kv.h"

#define SWEEP_LOST_MAX 1024 /* so many are listed; of more only the number is kept */

struct ghost_report {
    uint64_t checked, purged, kept, inconclusive, lost; /* a lost ghost counts as kept, too */
};

struct sweep_lost {
    uint64_t number; /* object number, not 0 */
    struct id id;
    uint16_t shard; /* the shard that denies the bytes, not 0 */
    int64_t since;  /* ns since the epoch */
};

struct sweep_record {
    /* end of the last sweep that was not cut short, ns since the epoch; 0: there was none */
    int64_t ended;
    struct ghost_report last;  /* the report of that sweep */
    struct ghost_report total; /* the sum of all reports */
    uint64_t sweeps;           /* sweeps that were not cut short */
    uint64_t purged; /* ghosts that were ever purged, by a sweep or with their last reference */
    uint64_t lost_more;        /* lost in the last sweep, and not in `lost` */
    uint32_t lost_count;
    struct sweep_lost lost[SWEEP_LOST_MAX];
};

#define SWEEP_RECORD_HEAD 128
/* seed of the checksum; each record of the table has its own, so none is taken for another */
#define SWEEP_RECORD_SEED 3
#define SWEEP_LOST_LEN 40
#define SWEEP_RECORD_MAX (SWEEP_RECORD_HEAD + SWEEP_LOST_MAX * SWEEP_LOST_LEN)
/* Returns the length of the record in bytes. */
size_t sweep_record_encode(const struct sweep_record *r, uint8_t out[SWEEP_RECORD_MAX]);
int sweep_record_decode(const void *val, size_t len, struct sweep_record *ret); /* -EUCLEAN */
/* Reads the record; a missing one reads as zeros. -EUCLEAN: it is damaged; -ENOMEM, -EIO. */
int sweep_record_load(struct kv *kv, struct sweep_record *ret);
int sweep_record_load_snap(struct kv_snap *snap, struct sweep_record *ret);
int sweep_record_save(struct kv *kv, const struct sweep_record *r);
