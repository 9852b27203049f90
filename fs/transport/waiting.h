// SPDX-License-Identifier: Apache-2.0
/*
 * waiting: which requests are not answered yet, and for how long.
 *
 *     waiting_add                      a request was read from the kernel
 *     waiting_done                     its answer is about to be sent
 *
 * A client whose request is not answered cannot be killed. It may also hold the lock of a
 * directory, so that others wait for it in turn. So a request that waits longer than
 * WAITING_ALARM_NS is reported once, and shown by `tally status`. Requests for `.tally` are not
 * added: they wait for as long as the client has asked for.
 *
 * Threads: any; the lock "waiting" is a leaf. Every function accepts NULL, for a session without a
 * store.
 */
#pragma once

#include "clock.h"
#include "view.h"

#include <stdbool.h>
#include <stdint.h>

#define WAITING_ALARM_NS (60 * NSEC_PER_SEC)
#define WAITING_LOOK_NS (10 * NSEC_PER_SEC) /* how often the thread looks */

struct waiting;

struct waiting_request {
    uint64_t nodeid;
    uint32_t opcode;
    int32_t tid;  /* the thread that sent it; 0: the kernel itself */
    int64_t took; /* ns since waiting_add; set by waiting_done */
};

/* Makes the struct and its thread. `clock` belongs to the caller and must outlive it. -ENOMEM,
 * -EAGAIN. */
int waiting_start(const struct clock *clock, struct waiting **ret_w);
void waiting_stop(struct waiting *w); /* ends the thread and frees `w` */

/* Without memory the request is not added, which only leaves it out of the views. */
void waiting_add(struct waiting *w, uint64_t unique, const struct waiting_request *r);
/* Removes a request. False: it is not known, and *ret is left as it was. */
bool waiting_done(struct waiting *w, uint64_t unique, struct waiting_request *ret);

/* Fills the fields of *ret that are about waiting requests. */
void waiting_describe(struct waiting *w, struct view_edge *ret);
/* Reports each request that has waited for too long and was not reported before. Returns how
 * many. */
unsigned waiting_look(struct waiting *w);
