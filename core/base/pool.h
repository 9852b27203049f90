// SPDX-License-Identifier: Apache-2.0
/*
 * pool: a fixed number of worker threads over one bounded queue.
 *
 * At the limit the submitter waits; nothing is dropped (promise 9). A worker never waits for a
 * worker: jobs must not call `pool_submit` or `pool_group_wait` on their own pool (asserted).
 *
 *     struct pool_group g;
 *     pool_group_init(&g);
 *     for (...) pool_submit(pool, &g, job, arg);
 *     int r = pool_group_wait(&g);       // first error of any job, or 0
 */
#pragma once

#include "lock.h"
#include <stddef.h>

struct pool;

/* One batch of jobs to wait for. Lives on the caller's stack until pool_group_wait() returned. */
struct pool_group {
    struct mutex lock;
    struct cond done;
    const struct pool *pool; /* of the submits, for the assertion; guarded by lock */
    size_t left;             /* jobs submitted and not ended; guarded by lock */
    int error;               /* first non-zero result; guarded by lock */
};

/* A job: returns 0 or -errno. */
typedef int pool_job_fn(void *arg);

/* Start `threads` (1–256) workers with room for `queue` (≥ 1) waiting jobs.
 * -EINVAL bad numbers, -ENOMEM, -EAGAIN no threads. The caller owns *ret_pool. */
int pool_create(unsigned threads, size_t queue, struct pool **ret_pool);
/* Runs what is queued, then joins the workers. NULL is fine. */
void pool_destroy(struct pool *p);

/* Queue one job; waits while the queue is full. `g` may be NULL. */
void pool_submit(struct pool *p, struct pool_group *g, pool_job_fn *fn, void *arg);

void pool_group_init(struct pool_group *g);
/* Waits for all jobs of the group and releases it. Returns the first error, or 0. */
int pool_group_wait(struct pool_group *g);
