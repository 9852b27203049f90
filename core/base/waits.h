// SPDX-License-Identifier: Apache-2.0
/*
 * waits: what each thread waits for, so that a watchdog can say it of a thread that hangs.
 *
 *     WAITS_GUARD(WAITS_FILE, "a sync of", fd, NULL);
 *     fdatasync(fd);                      // until the end of the block
 *
 * A thread has a slot in one table. It writes there with relaxed stores and without a clock: who
 * looks at the table now and then sees by `serial` that a wait is still the same one, and measures
 * its time. So a note costs a few nanoseconds. Locks note a wait only when they have to sleep.
 *
 * Notes nest, and the innermost counts; but inside a WAITS_SHARD it stays the one, since a call of
 * a driver has a time limit of its own (shard_ask.h), and nobody waits for the asker beyond it.
 *
 * The table has WAITS_THREADS slots. A thread that finds none is not seen, and works as ever.
 *
 * Threads: any. No locks.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum waits_kind {
    WAITS_NOT,
    WAITS_LOCK,   /* a lock; `what` is its name, and `holder` its owner */
    WAITS_FILE,   /* a system call on the file `number`, a descriptor */
    WAITS_THREAD, /* the work of another thread, `holder` where that is one */
    WAITS_KERNEL, /* the kernel, which may in turn wait for a process */
    WAITS_ROOM,   /* memory, room in the log or on the disk, a flush: it comes, or is tried again */
    WAITS_SHARD,  /* a shard, for a limited time */
};

#define WAITS_THREADS 1024
#define WAITS_WHAT 80 /* bytes of `what` that a reader sees, with the NUL */

struct waits {
    enum waits_kind kind;
    const char *what; /* valid as long as the wait; what follows "it waits for" */
    int number;
    const _Atomic int *holder; /* valid as long as the wait: a thread id, 0: nobody; or NULL */
};

/* The calling thread begins to wait. Returns what it waited for before, for waits_end. */
struct waits waits_begin(struct waits w);
void waits_end(struct waits before);
/* The calling thread begins to serve that request; 0: it has ended. `takes`: it must come back
 * soon, since it takes requests for others, too. */
void waits_serve(uint64_t request, bool takes);
/* The id of the calling thread, without a system call after the first. */
extern _Thread_local int waits_tid;
int waits_ask_tid(void);
static inline int waits_self(void)
{
    return waits_tid ? waits_tid : waits_ask_tid();
}

/* What is noted of a thread. */
struct waits_seen {
    int tid;
    uint64_t serial; /* another one for each wait, and for none */
    uint64_t turn;   /* another one for each request */
    uint64_t request;
    bool takes;
    enum waits_kind kind;
    int number;
    int holder; /* 0: nobody, or not known */
    char what[WAITS_WHAT];
};

/* Reads slot `slot`. False: it belongs to no thread, or it changed meanwhile. */
bool waits_look(unsigned slot, struct waits_seen *ret);

static inline void waits_cleanup(const struct waits *before)
{
    waits_end(*before);
}
#define WAITS_CAT_(a, b) a##b
#define WAITS_CAT(a, b) WAITS_CAT_(a, b)
/* The calling thread waits for this in the rest of the enclosing block. */
#define WAITS_GUARD(kind, what, number, holder)                                                    \
    const struct waits WAITS_CAT(waits_, __LINE__)                                                 \
        __attribute__((cleanup(waits_cleanup), unused)) =                                          \
            waits_begin((struct waits){kind, what, number, holder})
