// SPDX-License-Identifier: Apache-2.0
/*
 * damage_live: reports which files use what was found damaged (damage.h) while the store is in use.
 *
 * All namespaces are looked through, and the tree of unlinked inodes. An alias counts for its
 * target. For each damaged thing DAMAGE_PATHS paths are reported, and how many more inodes there
 * are. Namespaces that share an item are reported separately. Threads: one, that of the caller,
 * which holds no lock.
 */
#pragma once

#include "damage.h"
#include "state.h"

/* Calls `say` with each line, and empties *d. Each thing of *d has a name. `pause` (may be NULL) is
 * called between pieces of work, with no lock held. A result other than 0 of it ends the report,
 * and *d keeps all. */
int damage_tell(struct state *p, struct damage *d, void (*say)(const char *line, void *ctx),
                int (*pause)(void *ctx), void *ctx);
/* Raises an alarm of `who` with such a line. */
void damage_alarm(const char *who, const char *line);
