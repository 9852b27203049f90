// SPDX-License-Identifier: Apache-2.0
/*
 * requests: how many requests of each kind the kernel has sent since the mount began.
 *
 * Every message is counted when it is read, whatever its answer is; those for `.tally`, too. Counts
 * only grow. They are read one after the other, so two of them are not of the same instant.
 * Threads: any, without locks.
 */
#pragma once

#include "view.h"

#include <stdatomic.h>
#include <stdint.h>

#define REQUESTS_KINDS 64 /* the opcodes below it; 0 stands for all without a name here */

struct requests {
    _Atomic uint64_t of[REQUESTS_KINDS]; /* by opcode of the kernel's fuse.h */
};

void requests_count(struct requests *r, uint32_t opcode);
const char *const *requests_names(void);    /* REQUESTS_KINDS static texts; NULL: no name here */
const char *requests_name(uint32_t opcode); /* static text; "OTHER" if it has no name here */
/* The kinds that have been seen so far, in the order of opcodes, for view_render. The names are
 * static text. Returns how many there are. */
size_t requests_list(const struct requests *r, struct view_count ret[static REQUESTS_KINDS]);
