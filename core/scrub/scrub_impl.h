// SPDX-License-Identifier: Apache-2.0
/* scrub_impl: what scrubs and rebuilds of an open store keep. */
#pragma once

#include "lock.h"
#include "scrub_record.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scrub_of_store {
    _Atomic bool recounting; /* somebody recounts, between a snapshot and the corrections */
    struct mutex lock;       /* "scrub": a leaf; guards the fields below */
    uint64_t job;            /* number of the job that scrubs; 0: none */
    struct scrub_record record;
};
