// SPDX-License-Identifier: Apache-2.0
/*
 * lost_start: a start deletes packs, slots and object files that no row names, for they were never
 * committed; where the row is lost they are all that is left of somebody's bytes. So before any
 * goes that the last commit may have had, it is asked who names it. Where all is sound there is
 * nothing to ask about, or little after a loss of power.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct project;

/* Before packs are opened: packs below `next` that entries name and the table does not have are put
 * back into it, with an alarm. Walks the entries only if there is a pack that it does not have. */
int lost_start_packs(struct project *p, uint64_t next);
/* Is a number named that has no entry? Then a file without one stays. Walks all trees when it is
 * asked for the first time. When in doubt it is so. `ctx`: the project. */
bool lost_start_keep(void *ctx);
