// SPDX-License-Identifier: Apache-2.0
/* scrub_impl: what scrubs and rebuilds of an open store keep. */
#pragma once

#include "lock.h"
#include "scrub_record.h"
#include "strbuf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scrub_of_store {
    _Atomic bool recounting; /* a rebuild, from its snapshot until its corrections are made */
    struct mutex lock;       /* "scrub": a leaf; guards the rest */
    uint64_t job;            /* that runs one; 0: none does */
    struct scrub_record record;
    struct strbuf lines; /* what the last one said of damage, as much as SCRUB_LINES */
};
