// SPDX-License-Identifier: Apache-2.0
/* job_impl: what jobs.c keeps of an open store. */
#pragma once

#include "job.h"

struct jobs {
    struct mutex lock; /* "jobs": guards the fields below and the fields of each struct job, except
                        * `cancel`, which is atomic */
    struct cond changed; /* signalled when a job has ended or is to end, and when a waiter is
                          * gone */
    struct job **v;
    size_t count, room;
    size_t ended[2]; /* how many in `v` have ended: [1] drains, [0] others */
    uint64_t next;
    unsigned with_workers; /* jobs that are queued, about to be queued, or run by a worker */
    char *lines;           /* the lines of the last job_lines, or NULL */
    uint64_t lines_of;     /* number of the job that `lines` belongs to */
};
