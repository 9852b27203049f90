// SPDX-License-Identifier: Apache-2.0
/*
 * growth_sample: what a store was at one time, as a few numbers, and which of such samples are
 * kept. The values of the table `growth` (FORMAT.md, section 4). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct growth_sample {
    int64_t time;     /* seconds since the epoch, above 0: the key of the row, not encoded */
    uint64_t inodes;  /* of all namespaces of the root, each counted as if it were alone */
    uint64_t logical; /* bytes of their files in blocks of 512, likewise */
    uint64_t objects; /* distinct contents with a reference */
    uint64_t stored;  /* bytes of these, here and on other shards */
    uint64_t namespaces;
    uint64_t disk_free; /* bytes that the disk of the store has left; UINT64_MAX: not known */
    uint64_t seq;       /* of the last change in it: says in which order samples were taken */
};
#define GROWTH_SAMPLE_LEN 56
#define GROWTH_TIME_MAX (INT64_MAX / 1000000000) /* above it nanoseconds do not fit into 64 bits */

void growth_sample_encode(const struct growth_sample *s, uint8_t out[GROWTH_SAMPLE_LEN]);
/* A later version may write a longer value. `time` is left untouched. -EUCLEAN: it is shorter;
 * then *ret is unchanged. */
int growth_sample_decode(const void *val, size_t len, struct growth_sample *ret);

/* ---- which are kept ---- */

/* In seconds. Samples are GROWTH_EVERY apart at least. Of those that are older than GROWTH_FINE the
 * first one of each hour is kept, of those older than GROWTH_HOURLY the first one of each day, and
 * none that is older than GROWTH_DAILY. */
#define GROWTH_EVERY 900
#define GROWTH_FINE (2 * 86400)
#define GROWTH_HOURLY (60 * 86400)
#define GROWTH_DAILY (3650 * INT64_C(86400))
/* What a clock says is believed so much later (growth_table.h). */
#define GROWTH_AHEAD 86400

/* Is it kept, if it is now `now` and the one before it that is kept was taken at `before` (0: none
 * was)? What is in the future is treated as what is new. */
bool growth_is_kept(int64_t time, int64_t before, int64_t now);
