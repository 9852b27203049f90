// SPDX-License-Identifier: Apache-2.0
/*
 * requests: how many requests of each kind the kernel has sent since the mount began.
 *
 * Every message is counted as it is read from the device, those for `.tally` too, whatever is
 * answered. Counts only grow; they are read one after the other, so two of them are not of one
 * instant. Threads: any, without locks.
 */
#pragma once

#include "view.h"

#include <stdatomic.h>
#include <stdint.h>

#define REQUESTS_KINDS 64 /* 0: an opcode that has no name here */

struct requests {
    _Atomic uint64_t of[REQUESTS_KINDS]; /* by opcode of the kernel's fuse.h */
};

void requests_count(struct requests *r, uint32_t opcode);
const char *requests_name(uint32_t opcode); /* "OTHER": it has none here */
/* The kinds seen so far, by opcode: what view_render wants. Their names live as long as the
 * program. Returns how many. */
size_t requests_list(const struct requests *r, struct view_count ret[static REQUESTS_KINDS]);
