// SPDX-License-Identifier: Apache-2.0
/*
 * tried: which different (workload, write, loss pattern) triples were cut.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The cut of now_at, which lost that (world_lost). False: it was tried before. */
bool tried_cut(uint64_t lost);
/* The power went at write `n` of the recovery from a cut, and lost that. */
bool tried_recovery(uint64_t lost_before, uint64_t n, uint64_t lost);

struct tried_counts {
    uint64_t cuts;       /* different triples */
    uint64_t real;       /* of these, in a real directory */
    uint64_t recoveries; /* different cuts of a recovery, not among them */
};
struct tried_counts tried_counts(void);

/* What an earlier run or another process tried counts as tried here. */
void tried_read(FILE *f);
/* Write there what is tried from now on that was not before; NULL: nowhere. */
void tried_tell(FILE *news);
void tried_release(void);
