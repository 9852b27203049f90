// SPDX-License-Identifier: Apache-2.0
/*
 * tried: which different (workload, write, loss pattern) triples were cut.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Note the cut now_at, which lost `lost` (world_lost). False: it was tried before. */
bool tried_cut(uint64_t lost);
/* Note a loss of power at write `n` of the recovery from a cut. False: it was tried before. */
bool tried_recovery(uint64_t lost_before, uint64_t n, uint64_t lost);

struct tried_counts {
    uint64_t cuts;       /* different triples */
    uint64_t real;       /* of these, in a real directory */
    uint64_t recoveries; /* different cuts of a recovery, not among them */
};
struct tried_counts tried_counts(void);

/* Read the cuts that an earlier run or another process tried: they count as tried here. */
void tried_read(FILE *f);
/* Write new cuts to `news` from now on; NULL: nowhere. */
void tried_tell(FILE *news);
void tried_release(void);
