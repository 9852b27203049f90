// SPDX-License-Identifier: Apache-2.0
/*
 * wait_chain: who waits for whom, from a request to the last cause. For the watchdog.
 *
 *     wait_chain_take_picture(p, now)                     once a second
 *     wait_chain_of_request(p, unique, 0, least, &c)      c.text: `waits for the lock "a" of thread
 *                                         12, which waits for a sync of /store/log/3`
 *
 * A picture has, of each thread, what it waits for (waits.h), and since which picture it is the
 * same wait: so times are exact to the interval of pictures.
 *
 * Threads: one at a time.
 */
#pragma once

#include "waits.h"

#include <stdbool.h>
#include <stdint.h>

#define WAIT_CHAIN_CAUSE 128
#define WAIT_CHAIN_TEXT 192

enum wait_chain_end {
    WAIT_CHAIN_OWN,     /* a lock, a thread that computes, or nothing that is known */
    WAIT_CHAIN_DISK,    /* a file */
    WAIT_CHAIN_KERNEL,  /* the kernel */
    WAIT_CHAIN_PATIENT, /* room, or a shard: it comes, or the wait fails in a limited time */
};

struct wait_chain {
    char cause[WAIT_CHAIN_CAUSE]; /* the last one of the chain; equal texts are equal causes */
    char text[WAIT_CHAIN_TEXT];   /* all of it */
    enum wait_chain_end end;
};

struct wait_chain_picture;

int wait_chain_new(struct wait_chain_picture **ret_p); /* -ENOMEM */
void wait_chain_free(struct wait_chain_picture *p);
void wait_chain_take_picture(struct wait_chain_picture *p, int64_t now);

/* Of the request `unique`, which `worker` will answer (0: the thread that serves it) and which is
 * late since it has waited for `least` ns. If the last cause has not lasted for half of that the
 * cause is "work that goes on", which is nothing that hangs in the process. The thread is then
 * passed over by the other two, until the next picture. */
void wait_chain_of_request(struct wait_chain_picture *p, uint64_t unique, int worker, int64_t least,
                           struct wait_chain *ret);
/* Has the thread of that slot taken a request `least` ns ago or more, and not come back? */
bool wait_chain_of_taker(struct wait_chain_picture *p, unsigned slot, int64_t least,
                         int64_t *ret_age, struct wait_chain *ret);
/* Is the thread of that slot for `least` ns or more in one call of a disk or the kernel, or does it
 * wait so long for a thread that is, or in a circle? */
bool wait_chain_of_thread(struct wait_chain_picture *p, unsigned slot, int64_t least,
                          int64_t *ret_age, struct wait_chain *ret);
