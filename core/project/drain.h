// SPDX-License-Identifier: Apache-2.0
/*
 * drain: what project_drain waits for, looked at from outside.
 *
 * Who has a deadline must be able to say at that moment whether all is done, whatever lock a disk
 * that does not answer makes somebody hold: so no more than DRAIN_LOOK is waited for any. Threads:
 * any, holding nothing.
 */
#pragma once

#include "clock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct project;
struct strbuf;

#define DRAIN_LOOK (20 * NSEC_PER_MSEC)

struct drain_left {
    uint64_t seq, durable; /* numbers of the last change, and of the last one that is committed */
    size_t flushes;        /* on their way */
    size_t unsealed;       /* contents */
    size_t dropped_pages;
    uint64_t dying; /* objects to delete */
    bool slow;      /* who counts these waits for a disk: `dying` is 0 */
};

void drain_look(struct project *p, struct drain_left *ret);
/* Is all done that a drain waits for: up to the change `seq`; `idle`: all there is. */
bool drain_done(struct project *p, bool idle, uint64_t seq);
/* "seq=… durable=…, …" */
void drain_describe(const struct drain_left *left, struct strbuf *out);
