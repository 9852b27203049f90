// SPDX-License-Identifier: Apache-2.0
/*
 * schedule: what namespaces do by the clock (ladder_run.h, ttl.h). The flush thread asks after each
 * of its runs whether anything is due, so `flush_interval` says how exact the times are.
 *
 * Threads: any; the caller holds no lock.
 */
#pragma once

#include "state.h"

/* Is anything due? It looks only at namespaces that have such a setting. */
bool schedule_is_due(struct state *p);
/* Does what is due. It may wait for a flush. What failed is reported, and tried again when this is
 * called again. */
void schedule_run(struct state *p);
