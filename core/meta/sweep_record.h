// SPDX-License-Identifier: Apache-2.0
/*
 * sweep_record: what sweeps remember, in the store's table `meta` (FORMAT.md, "Meta"). It does not
 * travel with the flush: each is a transaction of its own.
 *
 * What was lost stands here so that it is told once and shown until it is over; so a damaged record
 * is an error, and never read as that of a store that has lost nothing.
 */
#pragma once

#include "id.h"
#include "kv.h"

#define SWEEP_LOST_MAX 1024 /* that are remembered one by one; of others how many there were */

struct ghost_report {
    uint64_t checked, purged, kept, inconclusive, lost; /* what is lost counts as kept, too */
};

struct sweep_lost {
    uint64_t number; /* of the object */
    struct id id;
    uint16_t shard; /* that denies the bytes */
    int64_t since;  /* ns since the epoch */
};

struct sweep_record {
    int64_t ended;             /* ns since the epoch, of the last whole one; 0: there was none */
    struct ghost_report last;  /* its report, */
    struct ghost_report total; /* and that of all */
    uint64_t sweeps;           /* whole ones */
    uint64_t purged;           /* ghosts that ever went, by sweeps or by themselves */
    uint64_t lost_more;        /* of the last one: lost, and not among these */
    uint32_t lost_count;
    struct sweep_lost lost[SWEEP_LOST_MAX];
};

#define SWEEP_RECORD_HEAD 128
#define SWEEP_LOST_LEN 40
#define SWEEP_RECORD_MAX (SWEEP_RECORD_HEAD + SWEEP_LOST_MAX * SWEEP_LOST_LEN)
/* Returns the length. */
size_t sweep_record_encode(const struct sweep_record *r, uint8_t out[SWEEP_RECORD_MAX]);
int sweep_record_decode(const void *val, size_t len, struct sweep_record *ret); /* -EUCLEAN */
/* All zeros if there is none. -EUCLEAN: it is damaged. */
int sweep_record_load(struct kv *kv, struct sweep_record *ret);
int sweep_record_load_snap(struct kv_snap *snap, struct sweep_record *ret);
int sweep_record_save(struct kv *kv, const struct sweep_record *r);
