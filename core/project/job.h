// SPDX-License-Identifier: Apache-2.0
/*
 * job: long work that a person can look at, wait for and cancel (jobs.c, view_jobs.c). Part of
 * project_impl.h.
 */
#pragma once

#include "lock.h"
#include "rate.h"
#include "settings.h"
#include "strbuf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct project;

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };
#define JOB_KEEP 64       /* ended jobs that stay readable, */
#define JOB_KEEP_DRAINS 8 /* and drains beside them */

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
    uint64_t drop_ticket; /* drops: order in which their pages were queued; 0: not yet */
};

struct jobs {
    struct mutex lock; /* "jobs" */
    struct cond changed;
    struct job **v;
    size_t count, room;
    uint64_t next;
    uint64_t drop_tickets; /* the last one given */
    unsigned threads;      /* job threads running */
    char *lines;           /* of the reply of one job, the last that had any; or NULL */
    uint64_t lines_of;     /* its number */
};

/* Drops that a former life of the store left behind are a job again. */
void jobs_resume(struct project *p);
/* Register a running job. Its entry stays valid until job_end; keep the number, not the pointer.
 * -ESHUTDOWN. */
int job_start(struct project *p, const char *verb, const char *detail, struct job **ret_job);
/* The same for work of which there is one at a time, where `detail` says all that it was asked for.
 * 1: one is at just that, *ret_number; -EBUSY: *ret_number is at something else. */
int job_start_one(struct project *p, const char *verb, const char *detail, struct job **ret_job,
                  uint64_t *ret_number);
void job_progress(struct project *p, struct job *j, uint64_t done, uint64_t total);
void job_progress_bytes(struct project *p, struct job *j, uint64_t done, uint64_t total);
/* So many bytes an earlier one had done: they took this one no time. */
void job_goes_on_from(struct project *p, struct job *j, uint64_t bytes);
/* Rest for that long, or until it is to end: -ECANCELED, -ESHUTDOWN. By its own thread; with 0 ns
 * it only asks. */
int job_pause(struct project *p, struct job *j, int64_t ns);
/* `amount` was spent at the rate that the setting `which` says: rest as long as that asks, by the
 * value that it has meanwhile. The same errors. */
int job_pay(struct project *p, struct job *j, struct rate *rate, uint64_t amount,
            enum setting which);
/* key=value words of the reply, set before the end. */
void job_result(struct project *p, struct job *j, const char *result);
/* Lines that follow them; takes over `lines`, malloc'd. Those of the job before are forgotten. */
void job_lines(struct project *p, struct job *j, char *lines);
int job_get_lines(struct project *p, uint64_t number, struct strbuf *out); /* -ENOENT */
/* `result` NULL keeps what job_result said. -ECANCELED makes it JOB_CANCELLED. */
void job_end(struct project *p, struct job *j, int error, const char *result);
/* What it was to do was refused before it began: no job is left of it. */
void job_withdraw(struct project *p, struct job *j, int error);
/* Run `fn` as a job of its own thread, which ends the job with what `fn` returns. At most 64 at
 * once: then it waits. On failure the job has ended with that error. Not on a worker of the pool: a
 * rebuild or a drain waits for a flush, whose pieces need the workers. */
typedef int job_fn(struct project *p, struct job *j, void *arg);
int job_run(struct project *p, struct job *j, job_fn *fn, void *arg);
/* The same, but it waits for a thread so long (ns, -1: whatever it takes): -ETIMEDOUT, -EINTR. */
int job_run_within(struct project *p, struct job *j, job_fn *fn, void *arg, int64_t timeout,
                   const _Atomic bool *interrupted);
/* Begin one and run it so, if a thread is free: -EAGAIN, -ESHUTDOWN and the like otherwise, and
 * there is no such job. For who may be at work while the store is being closed. */
int job_try(struct project *p, const char *verb, const char *detail, job_fn *fn, void *arg);
/* 0 with the job's own error in *ret_error; -ENOENT, -ETIMEDOUT, -EINTR. */
int job_wait(struct project *p, uint64_t number, int64_t timeout, const _Atomic bool *interrupted,
             int *ret_error, char result[256]);
/* Asks it to stop; one that has ended is fine. -ENOENT, -EPERM: a drop always goes on. */
int job_cancel(struct project *p, uint64_t number);
/* A copy, with its progress brought up to date; -ENOENT. */
int job_get(struct project *p, uint64_t number, struct job *ret);
int job_next(struct project *p, uint64_t after, uint64_t *ret_number); /* -ENOENT at the end */
size_t jobs_running(struct project *p);
/* Cancels all, waits for their threads and fails who waits for them. p->closing is set. May be
 * called again. */
void jobs_release(struct project *p);
/* The pages of this drop job are in the queue now. */
void job_drop_queued(struct project *p, struct job *j);
/* Somebody saw the queue empty: ends the drop jobs queued before, if it still is. */
void jobs_drops_done(struct project *p);

const char *job_state_name(enum job_state state); /* view_jobs.c */
/* Views first seal what was closed before, waiting at most view_wait (view.c). Returns how many
 * contents are unsealed still. Hold no lock. */
size_t view_settle(struct project *p);
