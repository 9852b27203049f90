// SPDX-License-Identifier: Apache-2.0
/*
 * lost_start: a start deletes packs, slots and object files that no row names, since they were
 * never committed. But if the row was lost, they are all that is left of a file's bytes. So before
 * a start deletes one that the last commit may have had, it asks here whether something names it.
 * In a sound store there is nothing to ask about, and after a loss of power little. Threads: that
 * of the start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

/* Called before packs are opened. Puts packs below `next` that entries name and the table does not
 * have back into the table, with an alarm. It walks the entries only if the directory has a pack
 * that the table does not have. */
int lost_start_packs(struct state *p, uint64_t next);
/* Is a number named that has no entry? Then a file without an entry must stay. The first call walks
 * all trees. In doubt the answer is true. `ctx` is the state. */
bool lost_start_keep(void *ctx);
