// SPDX-License-Identifier: Apache-2.0
/*
 * pool: a fixed number of worker threads for all background work of a store.
 *
 * Three classes: urgent goes first, idle last. With two workers or more one is kept for urgent
 * work, and with three or more another one is kept from idle work; what an idle job reads and
 * writes has idle I/O priority. Each class has a queue with a limit: at the limit the submitter
 * waits; nothing is dropped (promise 9). Jobs begin in the order of their class's queue, and run
 * side by side: what must be in order, as changes of one namespace must, is put in order before it
 * becomes a job, by that namespace's lock, its frames in the log, and flushes that end as they
 * began.
 *
 *     struct pool_group g;
 *     pool_group_init(&g);
 *     for (...) pool_submit(pool, &g, job, arg);
 *     int r = pool_group_wait(&g);       // first error of any job, or 0
 *
 * A worker never waits for a worker: jobs must not call `pool_submit`, `pool_submit_work`,
 * `pool_shutdown` or `pool_group_wait` on their own pool (asserted); `pool_try_submit` they may.
 * Work that waits for long for something else (a flush, say, which needs workers itself) belongs
 * on a thread of its own.
 *
 * An error is never swallowed: it goes to the job's group; that of a job without one, and
 * -ENOTRECOVERABLE of any, goes to the pool's `fatal`, which is called once.
 *
 * The end: pool_shutdown takes no new jobs and returns when all are done; pool_abort drops what has
 * not begun, in place: whoever dropped is told. Both may be called again, and by several.
 */
#pragma once

#include "clock.h"
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

enum pool_class { POOL_URGENT, POOL_NORMAL, POOL_IDLE, POOL_CLASSES };
extern const char *const pool_class_names[POOL_CLASSES];

/* A job: returns 0 or -errno. */
typedef int pool_job_fn(void *arg);

struct pool_work {
    pool_job_fn *fn;
    /* Called instead of fn when the job will never run: -ECANCELED or -ESHUTDOWN. By the thread
     * that cancels or aborts, without locks of the pool. May be NULL. */
    void (*dropped)(void *arg, int err);
    void *arg;
    struct pool_group *group; /* or NULL */
    const char *name;         /* for `fatal`; static storage, or NULL */
    enum pool_class class;
};

#define POOL_QUEUE_MAX 65536

struct pool_config {
    unsigned threads; /* 1–256 */
    size_t queue;     /* 1–POOL_QUEUE_MAX: jobs of each class that wait */
    /* A job failed in a way that nobody can handle. Called once, by the worker, without locks of
     * the pool. May be NULL. */
    void (*fatal)(void *ctx, const char *name, int err);
    void *ctx;
    const struct clock *clock; /* for `waited_ns`; NULL: clock_real() */
};

/* Start the workers. -EINVAL bad numbers, -ENOMEM, -EAGAIN no threads. The caller owns *ret_pool.
 */
int pool_open(const struct pool_config *config, struct pool **ret_pool);
int pool_create(unsigned threads, size_t queue, struct pool **ret_pool);
/* Other limits, which count at once: of fewer workers those go on that have begun, and what is
 * queued stays. An error (-EINVAL, -ENOMEM, -EAGAIN) leaves them as they were. Not by two at once,
 * nor with pool_destroy. */
int pool_set_threads(struct pool *p, unsigned threads);
int pool_set_queue(struct pool *p, size_t queue);
/* pool_shutdown, then joins the workers. NULL is fine. */
void pool_destroy(struct pool *p);

/* Queue one job of class normal; waits while the queue is full. `g` may be NULL. -ESHUTDOWN: it was
 * not taken, and the group knows nothing of it. */
int pool_submit(struct pool *p, struct pool_group *g, pool_job_fn *fn, void *arg);
/* The same for any job. *ret_id (may be NULL) is what pool_cancel takes. Nothing of *w is kept but
 * what it points to. -EINVAL no such class. */
int pool_submit_work(struct pool *p, const struct pool_work *w, uint64_t *ret_id);
/* -EAGAIN instead of waiting. */
int pool_try_submit(struct pool *p, const struct pool_work *w, uint64_t *ret_id);

/* 0: it will not run; `dropped` was called and its group has -ECANCELED. -EBUSY: it runs (and goes
 * on: what is to stop within a job is the job's own affair). -ENOENT: it has ended. */
int pool_cancel(struct pool *p, uint64_t id);

/* From now on jobs are refused with -ESHUTDOWN, also those whose submitters wait; returns when
 * every job that was taken has ended. `remaining` (may be NULL) is told how many are left, at the
 * beginning unless it is 0, and whenever it has shrunk; by this thread, without locks. */
void pool_shutdown(struct pool *p, void (*remaining)(void *ctx, size_t jobs), void *ctx);
/* The same without waiting, and what has not begun is dropped. Returns how many were. */
size_t pool_abort(struct pool *p);

struct pool_stats {
    struct pool_class_stats {
        size_t queued, running, waiting; /* waiting: submitters that wait for room */
        uint64_t done, failed, dropped;  /* since the start; done has the failed ones, too */
        int64_t waited_ns;               /* all that submitters ever waited for room */
    } of[POOL_CLASSES];
    unsigned threads;
};
void pool_get_stats(struct pool *p, struct pool_stats *ret);

void pool_group_init(struct pool_group *g);
/* Waits for all jobs of the group and releases it. Returns the first error, or 0. */
int pool_group_wait(struct pool_group *g);

/* The I/O priority of the calling thread: idle (served when nobody else wants the disk), or as it
 * was. For threads that do idle work outside of a pool. A kernel that has none is fine. */
void pool_io_idle(bool idle);
