// SPDX-License-Identifier: Apache-2.0
/*
 * chain: who waits for whom, from a request to the last cause. For the watchdog.
 *
 *     chain_take_picture(p, now)                 once a second
 *     chain_of_request(p, unique, 0, &c)         c.text: `the lock "tree", which thread 12 holds,
 *                                                which waits for a sync of /store/log/3`
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

#define CHAIN_CAUSE 128
#define CHAIN_TEXT 192

enum chain_end {
    CHAIN_OWN,     /* a lock, a thread that computes, or nothing that is known */
    CHAIN_DISK,    /* a file */
    CHAIN_KERNEL,  /* the kernel */
    CHAIN_PATIENT, /* room, or a shard: it comes, or the wait fails in a limited time */
};

struct chain {
    char cause[CHAIN_CAUSE]; /* the last one of the chain; equal texts are equal causes */
    char text[CHAIN_TEXT];   /* all of it */
    enum chain_end end;
};

struct chain_picture;

int chain_new(struct chain_picture **ret_p); /* -ENOMEM */
void chain_free(struct chain_picture *p);
void chain_take_picture(struct chain_picture *p, int64_t now);

/* Of the request `unique`, which `worker` will answer (0: the thread that serves it) and which is
 * late since it has waited for `least` ns. If the last cause has not lasted for half of that the
 * cause is "work that goes on". The thread is then passed over by the other two, until the next
 * picture. */
void chain_of_request(struct chain_picture *p, uint64_t unique, int worker, int64_t least,
                      struct chain *ret);
/* Has the thread of that slot taken a request `least` ns ago or more, and not come back? */
bool chain_of_taker(struct chain_picture *p, unsigned slot, int64_t least, int64_t *ret_age,
                    struct chain *ret);
/* Is the thread of that slot for `least` ns or more in one call of a disk or the kernel, or does it
 * wait so long for a thread that is, or in a circle? */
bool chain_of_thread(struct chain_picture *p, unsigned slot, int64_t least, int64_t *ret_age,
                     struct chain *ret);
