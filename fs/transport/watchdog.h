// SPDX-License-Identifier: Apache-2.0
/*
 * watchdog: sees what hangs in the daemon, and says what it waits for.
 *
 * Once a second its thread looks at the requests that are not answered (waiting.h) and at what
 * threads wait for (waits.h). A *finding* is what has lasted for the setting watchdog_patience:
 *
 *   - a request that is not answered,
 *   - a thread that takes requests and has not come back from one,
 *   - any thread in one and the same call of a disk or the kernel, or in a circle of locks.
 *
 * It follows who waits for whom, from a request to its thread, from a lock to its owner, up to the
 * last cause. What has the same last cause is one finding, which is reported once when it begins
 * and once when it ends. It is an alarm, unless the last cause is room or a shard: such waits end
 * by themselves, so a note says them.
 *
 * With WATCHDOG_USEC in its environment the daemon tells systemd that it lives (sd_notify(3)). It
 * stops that while something hangs and no disk, no kernel, no shard and no lack of room is the
 * cause of anything that hangs: a restart mends what hangs in the process. It does not mend a disk,
 * and while a disk hangs it would be one restart after the other. A daemon whose watchdog does not
 * run tells nothing, either.
 *
 * Threads: any. The lock "watchdog" is a leaf, and is not held while anything is reported or read.
 */
#pragma once

#include "clock.h"
#include "view.h"

#include <stdbool.h>
#include <stdint.h>

struct waiting;
struct watchdog;

#define WATCHDOG_PATIENCE (30 * NSEC_PER_SEC) /* until a store says what its setting is */

/* Makes it, without a thread. `clock` and `waiting` belong to the caller and must outlive it. It
 * reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. -ENOMEM. */
int watchdog_new(const struct clock *clock, struct waiting *waiting, struct watchdog **ret_w);
/* Starts its thread. -EAGAIN and the like. */
int watchdog_run(struct watchdog *w);
/* Ends the thread, and frees `w`. NULL is fine. */
void watchdog_free(struct watchdog *w);

/* The value of watchdog_patience, in ns. 0: nothing is looked for. */
void watchdog_set_patience(struct watchdog *w, int64_t ns);
/* Fills the fields of *ret that are about what hangs, as the last look has found it. */
void watchdog_describe(struct watchdog *w, struct view_edge *ret);

/* What the thread does each second. The first returns how many findings there are, the second
 * whether systemd was told that all is well. */
unsigned watchdog_look(struct watchdog *w);
bool watchdog_tell_systemd(struct watchdog *w);
