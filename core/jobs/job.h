// SPDX-License-Identifier: Apache-2.0
/*
 * job: long work that a person can look at, wait for and cancel (jobs.c, view_jobs.c).
 *
 *     job_start(p, verb, detail, &j)     the job has a number
 *     job_run(p, j, &work, …)            a worker will call work.fn
 *     job_progress, job_pause, job_pay   called by work.fn
 *     job_result(p, j, words)            likewise; then work.fn returns, and the job has ended
 *
 * Errors: 0 or -errno. Threads: any, where nothing else is said. Inside is the lock "jobs", which
 * comes before "workers" and is a leaf otherwise.
 */
#pragma once

#include "lock.h"
#include "rate.h"
#include "settings.h"
#include "strbuf.h"
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* QUEUED: no worker has begun the job. RUNNING: a worker runs it, or it was started without
 * job_run. The other three: it has ended. */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };
#define JOB_KEEP 64       /* ended jobs that stay readable, drains not counted */
#define JOB_KEEP_DRAINS 8 /* ended drains that stay readable */

struct job;
/* The work of a job, called on a worker. Returns the error that the job ends with, or JOB_AGAIN:
 * then the function is called again, after a worker has begun the work that was queued before. */
typedef int job_fn(struct state *p, struct job *j, void *arg);
#define JOB_AGAIN INT_MAX

/* What a job does. */
struct job_work {
    job_fn *fn;
    /* Called when the job ends before `fn` is called, or called again. NULL: free(arg). The caller
     * holds no lock. */
    void (*dropped)(struct state *p, void *arg, int err);
    void *arg;
    uint64_t key; /* if not 0: jobs of the same key begin in order, and one at a time */
    bool waits;   /* the job mostly waits, as a drain does: it does not queue behind all other
                   * jobs */
    bool prompt;  /* the job has normal I/O priority also while nobody waits for it */
    bool alone;   /* for job_try: -EBUSY if an unfinished job has the same verb */
};

/* guarded by: "jobs", except `cancel`, and members that do not change after job_start */
struct job {
    uint64_t number;
    const char *verb;
    char detail[300];
    enum job_state state;
    uint64_t done, total;             /* items; total 0: unknown. Neither ever decreases */
    uint64_t bytes_done, bytes_total; /* bytes, likewise; 0 for a job that does not count bytes */
    uint64_t bytes_first;             /* bytes that an earlier job had done, which this one
                                       * continues */
    unsigned permille;                /* the part last shown: 0 to 999, and 1000 after a good end */
    int64_t started, ended;           /* realtime ns */
    int64_t began, lasted;            /* monotonic ns; lasted: when it has ended */
    uint64_t first;                   /* drops: entries worked off before this job began; drains:
                                       * the most that was pending */
    int error;
    char result[256]; /* key=value words of the reply */
    _Atomic bool cancel;
    unsigned waiters;
    struct state *p;
    struct job_work work;
    uint64_t id;          /* number of the work at the workers; 0: never submitted */
    bool queued;          /* drops: their pages are in the queue of drops */
    uint64_t dropped;     /* drops_pushed at that time */
};

static inline bool job_is_over(const struct job *j)
{
    return j->state > JOB_RUNNING;
}

/* Start a job for the drops that an earlier mount of the store left unfinished. */
void jobs_resume(struct state *p);
/* Register a running job. `*ret_job` is valid until job_end; to name the job later, keep its
 * number. -ESHUTDOWN, -ENOMEM. */
int job_start(struct state *p, const char *verb, const char *detail, struct job **ret_job);
/* As job_start, for work of which only one job may exist at a time. `detail` says everything that
 * the job was asked for. 1: a job with the same `detail` is running, *ret_number; -EBUSY: the
 * running job *ret_number has another `detail`. */
int job_start_one(struct state *p, const char *verb, const char *detail, struct job **ret_job,
                  uint64_t *ret_number);
void job_progress(struct state *p, struct job *j, uint64_t done, uint64_t total);
void job_progress_bytes(struct state *p, struct job *j, uint64_t done, uint64_t total);
/* In a thread that works for the job beside its worker: takes over the I/O priority that the job
 * has now. */
void job_lend_priority(struct state *p, struct job *j);
/* An earlier job had done `bytes` already, so they took this job no time. */
void job_goes_on_from(struct state *p, struct job *j, uint64_t bytes);
/* Rest for `duration_ns`, or until the job is to end: -ECANCELED, -ESHUTDOWN. Called by the job's
 * own worker, which holds no lock, nor anything that another job waits for: other jobs run in its
 * place meanwhile (workers.h). With 0 ns it only asks whether the job is to end. */
int job_pause(struct state *p, struct job *j, int64_t duration_ns);
/* Take the turn of work that is done by one caller at a time, and set *taken; the caller clears it
 * afterwards. The job pauses until it is free; without a job (NULL) it is -EBUSY. Errors and locks
 * as job_pause. */
int job_take_turn(struct state *p, struct job *j, _Atomic bool *taken);
/* Account `amount` at the rate that the setting `which` gives, and rest as long as the rate asks.
 * The setting may change meanwhile. Errors and locks as job_pause. `rate` is the job's own. */
int job_pay(struct state *p, struct job *j, struct rate *rate, uint64_t amount, enum setting which);
/* Set the key=value words of the reply. Called before the end. */
void job_result(struct state *p, struct job *j, const char *result);
/* Set the lines that follow the words. Takes ownership of `lines` (malloc'd). The lines of any
 * earlier job are freed. */
void job_lines(struct state *p, struct job *j, char *lines);
int job_get_lines(struct state *p, uint64_t number, struct strbuf *out); /* -ENOENT */
/* End the job. -ECANCELED makes it JOB_CANCELLED. */
void job_end(struct state *p, struct job *j, int error);
/* The job's work was refused before it began: remove the job, as if it had never been started. */
void job_withdraw(struct state *p, struct job *j, int error);
/* Let a worker run the job: long work (workers.h), at idle I/O priority unless it `waits` or is
 * `prompt`, or somebody waits for it: it takes notice of that whenever it reports its progress or
 * may rest. The job ends with what the function returns. It may wait for a flush, but not for a
 * job. While the queue is full the call waits, for at most `timeout` ns (-1: no limit): -ETIMEDOUT,
 * -EINTR. On failure the job has ended with that error, and `dropped` was called. */
int job_run(struct state *p, struct job *j, const struct job_work *w, int64_t timeout,
            const _Atomic bool *interrupted);
/* Start a job and queue it as job_run does, if there is room in the queue. Never waits. On failure
 * (-EAGAIN, -EBUSY, -ESHUTDOWN, -ENOMEM …) there is no such job, and `dropped` is not called. For
 * threads that may run while the store is being closed. */
int job_try(struct state *p, const char *verb, const char *detail, const struct job_work *w);
/* Wait until the job has ended: 0, with the job's own error in *ret_error; -ENOENT, -ETIMEDOUT,
 * -EINTR, -ESHUTDOWN. Not to be called by a worker. */
int job_wait(struct state *p, uint64_t number, int64_t timeout, const _Atomic bool *interrupted,
             int *ret_error, char result[256]);
/* Ask the job to stop. A job that has not begun ends at once; for one that has ended this succeeds.
 * The caller holds no lock. -ENOENT; -EPERM: a drop cannot be cancelled. */
int job_cancel(struct state *p, uint64_t number);
/* Copy the job, with up-to-date progress. -ENOENT. */
int job_get(struct state *p, uint64_t number, struct job *ret);
int job_next(struct state *p, uint64_t after, uint64_t *ret_number); /* -ENOENT at the end */
size_t jobs_in(struct state *p, enum job_state state);
/* Number of jobs that are queued or running, counted at one moment (the sum of two calls of jobs_in
 * is of two moments). */
size_t jobs_unfinished(struct state *p);
/* Cancel all jobs, wait for those that have begun, and wait until nobody waits for a job (such a
 * call fails with -ESHUTDOWN). p->closing is set. May be called again. */
void jobs_release(struct state *p);
/* All pages of this drop job are in the queue of drops now. */
void job_drop_queued(struct state *p, struct job *j);
/* End the drop jobs of whose pages none is left in the queue of drops. */
void jobs_drops_done(struct state *p);

/* The work that is left before the store is at rest, for callers that wait for that. jobs_get_rest
 * seals nothing. It takes leaf locks, one after the other. */
struct jobs_rest {
    uint64_t jobs;          /* jobs that have not ended */
    uint64_t pieces;        /* pieces of work that workers run, or that wait for a worker */
    uint64_t flushes;       /* flushes that are still needed */
    uint64_t unsealed;      /* contents that are not sealed yet */
    uint64_t dropped_pages; /* pages in the queue of drops */
};
void jobs_get_rest(struct state *p, struct jobs_rest *ret);

const char *job_state_name(enum job_state state); /* view_jobs.c */
