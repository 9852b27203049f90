// SPDX-License-Identifier: Apache-2.0
/* pool_report_impl: an opened report. Private to the files of pool_report. */
#pragma once

#include "pool_file.h"
#include "pool_report.h"
#include <stdatomic.h>

/* A base or delta that is open and checked. All reports that name it share it. */
struct report_part {
    /* reports that share it; the last one closes it */
    _Atomic unsigned refs;
    struct disk_file *file;
    struct pool_body body;
    struct id *first; /* key of the first record of each block */
    uint64_t blocks;
    /* two bytes of each key that equal ids have in common: most lookups end here */
    uint16_t *prints;
};

struct pool_report {
    struct pool_head head;
    struct report_part *base, *delta; /* NULL: none */
};

/* "nodes/N/base.<16 hex>", "nodes/N/delta.<16 hex>" */
void report_part_name(unsigned node, enum pool_body_kind kind, uint64_t serial,
                      char out[DISK_NAME_MAX + 1]);
