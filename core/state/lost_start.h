// SPDX-License-Identifier: Apache-2.0
/*
 * lost_start: a start deletes packs, slots and object files that no row names, for they were never
 * committed. But if the row is lost, they are all that is left of a file's bytes. So before a start
 * deletes one that the last commit may have had, it asks here whether something names it. In a
 * sound store there is nothing to ask about; after a loss of power there is little.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

/* Before packs are opened: packs below `next` that entries name and the table does not have are put
 * back into it, with an alarm. Walks the entries only if there is a pack that it does not have. */
int lost_start_packs(struct state *p, uint64_t next);
/* Is a number named that has no entry? Then a file without one stays. Walks all trees when it is
 * asked for the first time. When in doubt it is so. `ctx`: the state. */
bool lost_start_keep(void *ctx);
