// SPDX-License-Identifier: Apache-2.0
/*
 * profile: what requests cost, by program, namespace and kind, while somebody records it.
 *
 *     profile_begin(p, &recording);  ... requests are noted ...  profile_end(p, recording);
 *     while (recording_next(recording, &at, &row)) ...
 *     recording_free(recording);
 *
 * Nothing is kept, and a note costs one load, while nobody records. A recording has at most
 * PROFILE_ROWS rows: what does not fit goes to rows of the program PROFILE_OTHERS.
 *
 * The kernel says which thread sent a request; /proc says which program that is. It is asked at
 * most every PROFILE_FRESH_NS for one thread, so the first requests after an exec may be noted for
 * the program before. A program whose name cannot be read is called by the number of its process.
 *
 * Threads: any. The lock "profile" is a leaf.
 */
#pragma once

#include "clock.h"
#include "histogram.h"
#include "sender.h"

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_ROWS 4096
#define PROFILE_RECORDINGS 8 /* at once */
#define PROFILE_FRESH_NS (50 * NSEC_PER_MSEC)
#define PROFILE_PROGRAM SENDER_PROGRAM
#define PROFILE_OTHERS "(others)"
#define PROFILE_NO_NS UINT32_MAX /* the namespace of these rows */

struct profile;
struct recording;

struct profile_request {
    uint32_t kind; /* as in latency.h */
    uint32_t ns;   /* number of the namespace; 0: the root of the mount */
    int32_t tid;   /* the thread that sent it; 0: the kernel itself */
    int64_t took;  /* ns */
};

struct profile_row {
    char program[PROFILE_PROGRAM];
    int32_t pid; /* the only process of that program; 0: there were several */
    uint32_t ns, kind;
    uint64_t max_ns;
    struct histogram took;
};

/* `clock` is borrowed. NULL: no memory. */
struct profile *profile_new(const struct clock *clock);
void profile_free(struct profile *p); /* no recording is under way */
bool profile_records(const struct profile *p);
/* Notes a request in all recordings that are under way. */
void profile_note(struct profile *p, const struct profile_request *r);

/* -ENOMEM; -EBUSY: there are PROFILE_RECORDINGS. */
int profile_begin(struct profile *p, struct recording **ret);
/* Ends the recording: from now on it belongs to the caller. */
void profile_end(struct profile *p, struct recording *r);
/* The next row; *at is 0 for the first. False: there are no more. In no order. */
bool recording_next(const struct recording *r, size_t *at, const struct profile_row **ret);
void recording_free(struct recording *r);
