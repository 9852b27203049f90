// SPDX-License-Identifier: Apache-2.0
/*
 * growth_table: how a store has grown: samples of a few numbers, in memory and as rows of the table
 * `growth`. A sample is taken as part of a commit that happens anyway, and GROWTH_EVERY after the
 * one before it at the earliest. So a store that nobody changes writes nothing.
 *
 *     if (growth_is_due(g, now)) measure(&sample);
 *     growth_freeze(g, &sample, &now_row, &batch)     with the freeze lock for writing; can fail
 *     growth_frozen(g, &batch)                        cannot
 *     growth_write(&batch, t)                         in the transaction of the commit
 *
 * Samples are thinned as they get old (growth_sample.h), with the next sample; there are
 * GROWTH_ROWS_MAX at most. Memory: 56 bytes each.
 *
 * Threads: any; the lock "growth" inside is a leaf. Errors: 0 or -errno.
 */
#pragma once

#include "growth_sample.h"
#include "kv.h"
#include "lock.h"

#define GROWTH_ROWS_MAX 11000 /* reached only where the clock went back and forth */

struct growth {
    struct mutex lock;       /* "growth" */
    struct growth_sample *v; /* lock; by time */
    size_t count, room;      /* lock */
};

/* What a commit writes. */
struct growth_batch {
    struct growth_now now;
    struct growth_sample put; /* time 0: there is no sample */
    int64_t *gone;            /* times of rows that go */
    size_t gones;
};

void growth_init(struct growth *g);
void growth_release(struct growth *g);
/* Is a sample due at that time, in seconds? */
bool growth_is_due(struct growth *g, int64_t now);
/* Collects what the commit writes: `sample` unless it is NULL, what is thinned then, and `now`.
 * Nothing changes before growth_frozen, which has the same thread. The caller releases *ret, also
 * after an error. -ENOMEM */
int growth_freeze(struct growth *g, const struct growth_sample *sample,
                  const struct growth_now *now, struct growth_batch *ret);
void growth_frozen(struct growth *g, const struct growth_batch *b);
int growth_write(const struct growth_batch *b, struct kv_txn *t);
void growth_batch_release(struct growth_batch *b);

/* The first sample at that time or later. -ENOENT */
int growth_from(struct growth *g, int64_t time, struct growth_sample *ret);

/* Reads the samples. A damaged row is reported, and is as if it were not. -ENOMEM, -EIO */
int growth_load(struct growth *g, struct kv *kv);
/* How many bytes are stored as of the commit whose last change is `seq`, as the row of key 0 says.
 * -ENOENT: it says nothing of that commit: an older version has made it. */
int growth_stored(struct kv *kv, uint64_t seq, uint64_t *ret);
