// SPDX-License-Identifier: Apache-2.0
/*
 * waiting: which requests are not answered yet, and for how long.
 *
 *     waiting_add                      it was read from the kernel, however it came
 *     waiting_done                     its answer is on its way
 *
 * A client whose request is not answered cannot be killed, and may hold a directory's lock, so that
 * others wait for it in turn: what waits for longer than WAITING_ALARM_NS is said once in the
 * journal, and shown by `tally status`. Requests for `.tally` are not counted here: they wait for
 * as long as the client asked for.
 *
 * Threads: any; the lock "waiting" is a leaf. All of it takes NULL, for a session without a
 * store.
 */
#pragma once

#include "clock.h"
#include "view.h"

#include <stdint.h>

#define WAITING_ALARM_NS (60 * NSEC_PER_SEC)
#define WAITING_LOOK_NS (10 * NSEC_PER_SEC) /* how often its thread looks */

struct waiting;

/* With a thread of its own. `clock` stays the caller's. -ENOMEM, -EAGAIN. */
int waiting_start(const struct clock *clock, struct waiting **ret_w);
void waiting_stop(struct waiting *w); /* ends the thread, and frees */

/* One for which there is no memory is not counted. */
void waiting_add(struct waiting *w, uint64_t unique, uint32_t opcode, uint64_t nodeid);
void waiting_done(struct waiting *w, uint64_t unique); /* one that is not there is fine */

/* Fills what a view tells of it. */
void waiting_describe(struct waiting *w, struct view_edge *ret);
/* Reports each that has waited for too long, once. How many it reported. */
unsigned waiting_look(struct waiting *w);
