// SPDX-License-Identifier: Apache-2.0
/*
 * growth_table: how a store has grown: samples of a few numbers, in memory and as rows of the table
 * `growth`. A sample is taken as part of a commit that happens anyway, and GROWTH_EVERY after the
 * one before it at the earliest. So a store that nobody changes writes nothing.
 *
 *     if (growth_is_due(g, now)) measure(&sample);
 *     growth_freeze(g, &sample, &batch)      with the freeze lock for writing; can fail
 *     growth_frozen(g, &batch)               cannot
 *     growth_write(&batch, t)                in the transaction of the commit
 *
 * Samples are thinned as they get old (growth_sample.h), with the next sample; there are
 * GROWTH_ROWS_MAX at most. Memory: 64 bytes each.
 *
 * The clock of a machine may be wrong for a time. What it says is believed a day after it said so
 * (GROWTH_AHEAD): only then samples are thinned by it, and those that are in its future go if they
 * were taken before. Until then nobody knows whether it was wrong then or is now. Samples in the
 * future keep no other from being taken.
 *
 * Threads: any; the lock "growth" inside is a leaf. Errors: 0 or -errno.
 */
#pragma once

#include "growth_sample.h"
#include "kv.h"
#include "lock.h"

/* Twice what the past can have: where the clock went back there may be as many in its future for a
 * day. */
#define GROWTH_ROWS_MAX 11000
_Static_assert(2 * (GROWTH_FINE / GROWTH_EVERY + GROWTH_HOURLY / 3600 + GROWTH_DAILY / 86400 +
                    GROWTH_AHEAD / GROWTH_EVERY) <=
                   GROWTH_ROWS_MAX,
               "no sample that is to be kept is lost");

struct growth {
    struct mutex lock;       /* "growth" */
    struct growth_sample *v; /* lock; by time */
    size_t count, room;      /* lock */
};

/* What a commit writes. */
struct growth_batch {
    struct growth_sample put; /* time 0: there is no sample */
    int64_t *gone;            /* times of rows that go */
    size_t gones;
};

void growth_init(struct growth *g);
void growth_release(struct growth *g);
/* Is a sample due at that time, in seconds? */
bool growth_is_due(struct growth *g, int64_t now);
/* Collects what the commit writes: `sample` and what is thinned then; nothing if it is NULL.
 * Nothing changes before growth_frozen, which has the same thread. The caller releases *ret, also
 * after an error. -ENOMEM */
int growth_freeze(struct growth *g, const struct growth_sample *sample, struct growth_batch *ret);
void growth_frozen(struct growth *g, const struct growth_batch *b);
int growth_write(const struct growth_batch *b, struct kv_txn *t);
void growth_batch_release(struct growth_batch *b);

/* The first sample at that time or later. -ENOENT */
int growth_from(struct growth *g, int64_t time, struct growth_sample *ret);

/* Reads the samples. A damaged row is reported, and is as if it were not. -ENOMEM, -EIO */
int growth_load(struct growth *g, struct kv *kv);
