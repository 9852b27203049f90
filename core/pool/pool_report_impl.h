// SPDX-License-Identifier: Apache-2.0
/* pool_report_impl: an opened report, for the files of pool_report. */
#pragma once

#include "pool_file.h"
#include "pool_report.h"
#include <stdatomic.h>

/* A base or delta, open and checked; shared by all reports that name it. */
struct report_part {
    _Atomic unsigned refs;
    struct disk_file *file;
    struct pool_body body;
    struct id *first; /* key of the first record of each block, from which on keys are in it */
    uint64_t blocks;
    uint16_t *prints; /* of each record: two bytes that those of one id have in common */
};

struct pool_report {
    struct pool_head head;
    struct report_part *base, *delta; /* NULL: none */
};

/* "nodes/N/base.<16 hex>", "nodes/N/delta.<16 hex>" */
void report_part_name(unsigned node, enum pool_body_kind kind, uint64_t serial,
                      char out[DISK_NAME_MAX + 1]);
