// SPDX-License-Identifier: Apache-2.0
/*
 * workers: the threads for all background work of a store, and for its jobs.
 *
 * Short work has two classes, of which urgent goes first. With two workers or more one is kept for
 * urgent work. Long work may take hours and may wait, as for a flush. It has two classes, of which
 * `long` goes first, and workers beside those for short work. With two of them or more, each class
 * leaves one to the other. Work of the class `long_idle` begins with idle I/O priority.
 *
 * Each class has a queue with a limit: at the limit the submitter waits; nothing is dropped
 * (promise 9). Work begins in the order of its class's queue, and runs side by side, except work
 * of one key (not 0), which is long work of one class: it begins in the order in which it was
 * submitted, and one at a time. Work that is behind another of its key takes no worker.
 *
 *     struct workers_group g;
 *     workers_group_init(&g);
 *     for (...) workers_submit(workers, &g, job, arg);
 *     int err = workers_group_wait(&g);    // first error of any job, or 0
 *
 * Long work that only waits may rest (`workers_rest_begin`). It then counts as resting and not as
 * running, so that other long work can begin in its place, on one more thread. Before it goes on
 * it waits for a place, and goes before work that has not begun.
 *
 * Who may wait for whom: short work waits for no work at all, and long work for short work only.
 * So short work must not call `workers_submit`, `workers_submit_work` or `workers_group_wait` for
 * the workers that run it; long work must not for long work; and neither may call
 * `workers_shutdown` (asserted, but for a group of long work that long work waits for).
 * `workers_try_submit` never waits, and all may call it.
 *
 * Why nothing waits for ever:
 *  - Long work never begins if fewer than `threads` workers would be left. So the classes of
 *    short work share `threads` workers as if there were no long work.
 *  - Short work waits for no work, so each piece ends and each queue of short work gets shorter.
 *    One worker begins urgent work only: an urgent piece waits for urgent pieces alone.
 *  - What long work waits for is short work, a thread that is no worker, or time. None of them
 *    waits for long work, so all long work ends, or fails as what it waits for fails.
 *  - Long work of a class begins when an earlier piece of it ends, rests, or is submitted again
 *    (`workers_try_submit`, which puts it behind the others), for the other class leaves one
 *    worker to it. With `long_threads` 1 there is one worker for both, and `long` goes first.
 *  - Long work that ends its rest waits for work that runs, and that work waits for nothing that
 *    a resting piece holds: long work must not rest while it holds a lock, or anything else that
 *    other long work waits for.
 *  - No work of a key waits for work behind it, as the order of a key is that of the submits.
 *  - A worker for long work is there from the start. If others cannot be started, long work waits
 *    for the one.
 *
 * No error is lost. The error of a job goes to its group. The error of a job without a group, and
 * -ENOTRECOVERABLE of any job, goes to `fatal`, which is called once.
 *
 * The end: after workers_shutdown new jobs are refused, and it returns when all jobs have ended. It
 * may be called again, and by several threads.
 */
#pragma once

#include "clock.h"
#include "lock.h"
#include <pthread.h>
#include <stddef.h>

struct workers;

/* A batch of jobs that one caller waits for. It is on the stack of that caller until
 * workers_group_wait() returns. */
struct workers_group {
    struct mutex lock;
    struct cond done;
    const struct workers *workers; /* guarded by: lock; of the last submit, for an assertion */
    size_t left;                   /* guarded by: lock; jobs that have not ended */
    int error;                     /* guarded by: lock; the first result other than 0 */
};

enum workers_class {
    WORKERS_URGENT,
    WORKERS_NORMAL,
    WORKERS_LONG, /* from here on: long work */
    WORKERS_LONG_IDLE,
    WORKERS_CLASSES
};
extern const char *const workers_class_names[WORKERS_CLASSES];

/* A job: returns 0 or -errno. */
typedef int workers_job_fn(void *arg);

struct workers_work {
    workers_job_fn *fn;
    /* Called with -ECANCELED instead of fn if the job will never run. The thread that cancels the
     * job calls it, without a lock of the workers. May be NULL. */
    void (*dropped)(void *arg, int err);
    void *arg;
    struct workers_group *group; /* or NULL */
    const char *name;            /* for `fatal`; static storage, or NULL */
    enum workers_class class;
    uint64_t key; /* long jobs with one key run in order, one at a time; 0: no key */
};

#define WORKERS_QUEUE_MAX 65536

struct workers_config {
    unsigned threads;      /* 1–256: workers for short work */
    unsigned long_threads; /* 1–256: the most workers for long work, beside the others */
    size_t queue;          /* 1–WORKERS_QUEUE_MAX: the most jobs of each class that wait */
    /* Called when a job failed and no group takes its error. Called once, by the worker, without
     * a lock of the workers. May be NULL. */
    void (*fatal)(void *ctx, const char *name, int err);
    void *ctx;
    const struct clock *clock; /* for `waited_ns`; NULL: clock_real() */
};

/* Starts the workers. The caller owns *ret_workers. -EINVAL: a number is out of its range. -ENOMEM.
 * -EAGAIN: no threads. */
int workers_open(const struct workers_config *config, struct workers **ret_workers);
/* Change the limits; the new ones hold at once. If they are lower, running jobs go on and queued
 * jobs stay queued. After an error (-EINVAL, -ENOMEM, -EAGAIN) the old limits hold. The caller
 * makes sure that no other thread calls these two or workers_destroy meanwhile. */
int workers_set_threads(struct workers *p, unsigned threads, unsigned long_threads);
int workers_set_queue(struct workers *p, size_t queue);
/* workers_shutdown, then joins the workers. NULL is fine. */
void workers_destroy(struct workers *p);

/* Queues a job of the class normal, and waits while the queue is full. `g` may be NULL. -ESHUTDOWN,
 * -ENOMEM: the job was refused, and is not counted in the group. */
int workers_submit(struct workers *p, struct workers_group *g, workers_job_fn *fn, void *arg);
/* The same for any job. *ret_id (may be NULL) is the number for workers_cancel. *w is copied; what
 * it points to must live until the job has ended. -EINVAL: there is no such class, or no fn. */
int workers_submit_work(struct workers *p, const struct workers_work *w, uint64_t *ret_id);
/* Like workers_submit_work, but returns -EAGAIN instead of waiting for room. */
int workers_try_submit(struct workers *p, const struct workers_work *w, uint64_t *ret_id);

/* The calling job only waits from now on: it gives its place to other long work. At most
 * `long_threads` jobs of a class rest; another one keeps its place. In a thread that does no long
 * work of these workers both do nothing. The caller holds no lock. */
void workers_rest_begin(struct workers *p);
/* The rest is over. Waits for a place. With `at_once` it waits for nothing, and the limit may be
 * exceeded by this job: for one that is about to end, or to be submitted again. So it is once
 * *stop is true, which is looked at every 50 ms; NULL: nobody stops this job. */
void workers_rest_end(struct workers *p, bool at_once, const _Atomic bool *stop);

/* Cancels a job that has not begun. 0: it will not run; `dropped` was called, and its group has
 * -ECANCELED. -EBUSY: it is running, and goes on. -ENOENT: it has ended. */
int workers_cancel(struct workers *p, uint64_t id);

/* From now on jobs are refused with -ESHUTDOWN, also those whose submitters wait; returns when
 * every job that was taken has ended. */
void workers_shutdown(struct workers *p);

struct workers_stats {
    struct workers_class_stats {
        size_t queued, running, waiting; /* jobs; `waiting`: submitters that wait for room */
        size_t resting; /* jobs that rest. They are not in `running`, and those whose rest is over
                         * and that wait for a place are in `queued` */
        uint64_t done, failed, dropped; /* jobs since the start; `done` includes `failed` */
        int64_t waited_ns;              /* sum of the times submitters waited for room */
    } of[WORKERS_CLASSES];
    unsigned threads, long_threads;
};
void workers_get_stats(struct workers *p, struct workers_stats *ret);
/* Is the calling thread one of these workers? */
bool workers_here(const struct workers *p);

void workers_group_init(struct workers_group *g);
/* Waits for all jobs of the group and releases it. Returns the first error, or 0. */
int workers_group_wait(struct workers_group *g);
