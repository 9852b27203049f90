// SPDX-License-Identifier: Apache-2.0
/*
 * job: long work that a person can look at, wait for and cancel (jobs.c, view_jobs.c).
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

/* A worker has not begun it yet; is at it; … */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };
#define JOB_KEEP 64       /* ended jobs that stay readable, */
#define JOB_KEEP_DRAINS 8 /* and drains beside them */

struct job;
/* What a job does, on a worker and with the error that it ends with. JOB_AGAIN: it has come to a
 * rest, and is called again when a worker has begun what was queued before. */
typedef int job_fn(struct state *p, struct job *j, void *arg);
#define JOB_AGAIN INT_MAX

struct job_work {
    job_fn *fn;
    /* Called instead of `fn`, or instead of calling it again. NULL: free(arg). No lock is held. */
    void (*dropped)(struct state *p, void *arg, int err);
    void *arg;
    uint64_t key; /* not 0: those of one key begin in order and one at a time */
    bool waits;   /* for a short time and for others, as a drain: not behind all the other jobs */
    bool alone;   /* job_try: not if there is one of the verb */
};

struct job {
    uint64_t number;
    const char *verb;
    char detail[300];
    enum job_state state;
    uint64_t done, total;             /* items; total 0: not known; neither ever gets less */
    uint64_t bytes_done, bytes_total; /* likewise; 0 where bytes mean nothing */
    uint64_t bytes_first;             /* done when it began, by an earlier one that it continues */
    unsigned permille;                /* shown last: 0–999, 1000 when it ended well */
    int64_t started, ended;           /* realtime ns */
    int64_t began, lasted;            /* monotonic ns; lasted: when it has ended */
    uint64_t first;                   /* drops: entries worked off before; drains: pending then */
    int error;
    char result[256]; /* key=value words of the reply */
    _Atomic bool cancel;
    unsigned waiters;
    struct state *p;
    struct job_work work;
    uint64_t id;          /* of the workers; 0: never submitted */
    uint64_t drop_ticket; /* drops: order in which their pages were queued; 0: not yet */
};

static inline bool job_is_over(const struct job *j)
{
    return j->state > JOB_RUNNING;
}

/* Drops that a former life of the store left behind are a job again. */
void jobs_resume(struct state *p);
/* Register a running job. Its entry stays valid until job_end; keep the number, not the pointer.
 * -ESHUTDOWN. */
int job_start(struct state *p, const char *verb, const char *detail, struct job **ret_job);
/* The same for work of which there is one at a time, where `detail` says all that it was asked for.
 * 1: one is at just that, *ret_number; -EBUSY: *ret_number is at something else. */
int job_start_one(struct state *p, const char *verb, const char *detail, struct job **ret_job,
                  uint64_t *ret_number);
void job_progress(struct state *p, struct job *j, uint64_t done, uint64_t total);
void job_progress_bytes(struct state *p, struct job *j, uint64_t done, uint64_t total);
/* So many bytes an earlier one had done: they took this one no time. */
void job_goes_on_from(struct state *p, struct job *j, uint64_t bytes);
/* Rest for that long, or until it is to end: -ECANCELED, -ESHUTDOWN. By its own worker; with 0 ns
 * it only asks. */
int job_pause(struct state *p, struct job *j, int64_t duration_ns);
/* `amount` was spent at the rate that the setting `which` says: rest as long as that asks, by the
 * value that it has meanwhile. The same errors. */
int job_pay(struct state *p, struct job *j, struct rate *rate, uint64_t amount, enum setting which);
/* key=value words of the reply, set before the end. */
void job_result(struct state *p, struct job *j, const char *result);
/* Lines that follow them; takes over `lines`, malloc'd. Those of the job before are forgotten. */
void job_lines(struct state *p, struct job *j, char *lines);
int job_get_lines(struct state *p, uint64_t number, struct strbuf *out); /* -ENOENT */
/* `result` NULL keeps what job_result said. -ECANCELED makes it JOB_CANCELLED. */
void job_end(struct state *p, struct job *j, int error, const char *result);
/* What it was to do was refused before it began: no job is left of it. */
void job_withdraw(struct state *p, struct job *j, int error);
/* Let a worker do it, which ends the job with what it returns: long work (workers.h), at idle I/O
 * priority unless it `waits`. It may wait for a flush, and not for a job. While the queue is full
 * this waits, but only so long (ns, -1: whatever it takes): -ETIMEDOUT, -EINTR. On failure the job
 * has ended with that error, and `dropped` was called. */
int job_run(struct state *p, struct job *j, const struct job_work *w, int64_t timeout,
            const _Atomic bool *interrupted);
/* Begin one and run it so, if there is room in the queue: -EAGAIN, -EBUSY, -ESHUTDOWN and the like
 * otherwise, and there is no such job; `dropped` is not called. For who may be at work while the
 * store is being closed. */
int job_try(struct state *p, const char *verb, const char *detail, const struct job_work *w);
/* 0 with the job's own error in *ret_error; -ENOENT, -ETIMEDOUT, -EINTR. */
int job_wait(struct state *p, uint64_t number, int64_t timeout, const _Atomic bool *interrupted,
             int *ret_error, char result[256]);
/* Asks it to stop; one that has not begun ends without beginning, and one that has ended is fine.
 * Holding no lock. -ENOENT, -EPERM: a drop always goes on. */
int job_cancel(struct state *p, uint64_t number);
/* A copy, with its progress brought up to date; -ENOENT. */
int job_get(struct state *p, uint64_t number, struct job *ret);
int job_next(struct state *p, uint64_t after, uint64_t *ret_number); /* -ENOENT at the end */
size_t jobs_in(struct state *p, enum job_state state);
/* How many have not ended, queued and running, at one moment: a sum of two jobs_in is of two. */
size_t jobs_unfinished(struct state *p);
/* Cancels all, waits for those that have begun and fails who waits for them. p->closing is set. May
 * be called again. */
void jobs_release(struct state *p);
/* The pages of this drop job are in the queue now. */
void job_drop_queued(struct state *p, struct job *j);
/* Somebody saw the queue empty: ends the drop jobs queued before, if it still is. */
void jobs_drops_done(struct state *p);

/* What is left to be done before all is at rest, for who waits for it. Seals nothing; takes leaf
 * locks, one after the other. */
struct jobs_rest {
    uint64_t jobs;          /* that have not ended */
    uint64_t pieces;        /* of work, with the workers or waiting for one */
    uint64_t flushes;       /* that have to come */
    uint64_t unsealed;      /* contents */
    uint64_t dropped_pages; /* to be worked off */
};
void jobs_get_rest(struct state *p, struct jobs_rest *ret);

const char *job_state_name(enum job_state state); /* view_jobs.c */
