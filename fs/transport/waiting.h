// SPDX-License-Identifier: Apache-2.0
/*
 * waiting: which requests are not answered yet, and for how long.
 *
 *     waiting_add                      a request was read from the kernel
 *     waiting_done                     its answer is about to be sent
 *
 * A client whose request is not answered cannot be killed. It may also hold the lock of a
 * directory, so that others wait for it in turn. So the watchdog (watchdog.h) looks here for
 * requests that wait too long. Requests for `.tally` are not added: they wait for as long as the
 * client has asked for.
 *
 * Threads: any; the lock "waiting" is a leaf. Every function accepts NULL, for a session without a
 * store.
 */
#pragma once

#include "clock.h"
#include "view.h"

#include <stdbool.h>
#include <stdint.h>

struct waiting;

struct waiting_request {
    uint64_t unique;
    uint64_t nodeid;
    uint32_t opcode;
    int32_t tid;  /* the thread that sent it; 0: the kernel itself */
    int worker;   /* the thread here that will answer it; 0: the one that serves it, or none yet */
    int64_t took; /* ns since waiting_add; set by waiting_done and waiting_late */
};

/* `clock` belongs to the caller and must outlive it. -ENOMEM. */
int waiting_new(const struct clock *clock, struct waiting **ret_w);
void waiting_free(struct waiting *w);

/* Without memory the request is not added, which only leaves it out of the views. */
void waiting_add(struct waiting *w, const struct waiting_request *r);
/* From now on the thread `worker` has to answer it. */
void waiting_hand(struct waiting *w, uint64_t unique, int worker);
/* Removes a request. False: it is not known, and *ret is left as it was. */
bool waiting_done(struct waiting *w, uint64_t unique, struct waiting_request *ret);

/* Fills the fields of *ret that are about waiting requests. */
void waiting_describe(struct waiting *w, struct view_edge *ret);
/* Copies the requests that have waited for `least` ns or more, up to `max` of them, in no order.
 * Returns how many there are. */
size_t waiting_late(struct waiting *w, int64_t least, struct waiting_request *ret, size_t max);
