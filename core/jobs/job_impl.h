// SPDX-License-Identifier: Apache-2.0
/* job_impl: what jobs.c keeps of an open store. */
#pragma once

#include "job.h"

struct jobs {
    struct mutex lock; /* "jobs": it guards all that is below, and what a struct job has in it, but
                        * `cancel`, which is atomic */
    struct cond changed; /* a job ended, or is to, or the queue of drops was seen empty */
    struct job **v;
    size_t count, room;
    uint64_t next;
    uint64_t drop_tickets; /* the last drop_ticket that a job of a drop got (job.h) */
    unsigned with_workers; /* jobs that are queued, are to be, or that a worker runs */
    char *lines;           /* what job_lines was last given, or NULL */
    uint64_t lines_of;     /* the number of the job that it is of */
};
