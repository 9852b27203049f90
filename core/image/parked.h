// SPDX-License-Identifier: Apache-2.0
/*
 * parked: what arrived of streams that were interrupted is kept for PARKED_NS, so that it need not
 * be sent again. Each is kept by a job that rests until then: people see it among the jobs and can
 * cancel it, and the end of the mount ends it. What is kept is in memory and in a draft, so the
 * death of the daemon and the end of the mount give it up.
 *
 * Threads: any. The caller holds no lock. Inside is the lock "parked", a leaf.
 */
#pragma once

#include "lock.h"
#include "strbuf.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct import;
struct state;

#define PARKED_NS (INT64_C(3600) * 1000000000) /* an hour */
#define PARKED_MAX 4                           /* so many are kept at a time */

/* How far a stream was taken: up to the end of a record. */
struct parked_at {
    uint64_t bytes; /* of the stream */
    uint64_t sum;   /* of its last record (image.h), which follows from all bytes so far */
};

struct parked {
    LIST_ENTRY(parked) list;
    char *name, *label; /* of the namespace; what the sender calls the stream */
    struct parked_at at;
    struct import *what; /* NULL: it was taken */
    uint64_t job;        /* 0: it is not known yet */
    int64_t until;       /* fixed; monotonic ns */
};
/* What is kept of a store (state.imports). */
struct imports_of_store {
    struct mutex lock; /* "parked": guards the rest, and all of what is in the list */
    LIST_HEAD(, parked) list;
    size_t count;
};

void parked_init(struct imports_of_store *i);
/* Keeps it, and calls import_drop for it in the end. False: it is not kept, and stays the caller's.
 * Copies of name and label are made. */
bool parked_put(struct state *p, const char *name, const char *label, const struct parked_at *at,
                struct import *what);
/* Takes what is kept under that name, and was taken so far; `at` NULL: however far. NULL: there is
 * none. The caller owns it. */
struct import *parked_take(struct state *p, const char *name, const struct parked_at *at);
/* Adds a line for each: partial NAME BYTES SUM LABEL. */
void parked_list(struct state *p, struct strbuf *out);
