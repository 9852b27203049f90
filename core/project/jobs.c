// SPDX-License-Identifier: Apache-2.0
/*
 * jobs: long work that has a number: who started it, how far it is, how it ended.
 *
 *     job_start ──> RUNNING ──job_end──> DONE | FAILED | CANCELLED ──> forgotten
 *
 * The last JOB_KEEP ended jobs stay readable; older ones are freed unless somebody still waits for
 * them. Numbers rise and are never reused, so the table is sorted by itself.
 *
 * Progress only grows: done, total, and what is shown of them, which is 100 % at a good end and
 * never before it. Who works reports it; of drops and drains it is seen from outside, by whoever
 * looks.
 *
 * A drop has no thread of its own: the dropper works off one queue for all of them. A drop job is
 * armed with a ticket once its pages are queued; whoever then finds the queue empty ends the jobs
 * whose tickets were out before it looked, and no others.
 */
#include "array.h"
#include "project_impl.h"
#include "view.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define JOB_THREADS 64 /* at once; who wants one more waits */
#define LOOK_EVERY (50 * NSEC_PER_MSEC)

/* ---- the table: needs jobs->lock ---- */

static struct job *find(struct jobs *jobs, uint64_t number)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (jobs->v[i]->number == number)
            return jobs->v[i];
    return NULL;
}

static bool is_drain(const struct job *j)
{
    return !strcmp(j->verb, "drain");
}

static bool is_drop(const struct job *j)
{
    return !strcmp(j->verb, "drop");
}

/* Forget the oldest ended ones above the limit: drains are many and say little. */
static void prune(struct jobs *jobs)
{
    const size_t limit[2] = {JOB_KEEP, JOB_KEEP_DRAINS};
    size_t ended[2] = {0}, kept = 0;

    mutex_held(&jobs->lock);
    for (size_t i = 0; i < jobs->count; i++)
        ended[is_drain(jobs->v[i])] += jobs->v[i]->state != JOB_RUNNING;
    for (size_t i = 0; i < jobs->count; i++) {
        struct job *j = jobs->v[i];
        bool drain = is_drain(j);
        if (ended[drain] > limit[drain] && j->state != JOB_RUNNING && j->waiters == 0) {
            free(j);
            ended[drain]--;
        } else {
            jobs->v[kept++] = j;
        }
    }
    jobs->count = kept;
}

static void grow(uint64_t *done, uint64_t *total, uint64_t new_done, uint64_t new_total)
{
    if (*done < new_done)
        *done = new_done;
    if (*total < new_total)
        *total = new_total;
    if (*total && *total < *done)
        *total = *done;
}

/* What is shown of it, by bytes where they are known: never less than before, and not all before
 * the end. */
static void show(struct job *j)
{
    uint64_t done = j->bytes_total ? j->bytes_done : j->done;
    uint64_t total = j->bytes_total ? j->bytes_total : j->total;
    double part = total ? (double)done / (double)total * 1000 : 0;
    unsigned permille = part >= 999 ? 999 : (unsigned)part;

    if (j->permille < permille)
        j->permille = permille;
}

static void complete(struct job *j)
{
    j->done = j->total = j->total > j->done ? j->total : j->done;
    j->bytes_done = j->bytes_total =
        j->bytes_total > j->bytes_done ? j->bytes_total : j->bytes_done;
    j->permille = 1000;
}

static int insert(struct jobs *jobs, struct job *j)
{
    mutex_held(&jobs->lock);
    if (ARRAY_RESERVE(jobs->v, jobs->room, jobs->count + 1) < 0)
        return -ENOMEM;
    j->number = jobs->next++;
    jobs->v[jobs->count++] = j;
    return 0;
}

static void end(struct project *p, struct job *j, int error, const char *result)
{
    mutex_held(&p->jobs.lock);
    j->state = error == 0 ? JOB_DONE : error == -ECANCELED ? JOB_CANCELLED : JOB_FAILED;
    j->error = error;
    j->ended = now(p);
    j->lasted = ticks(p) - j->began;
    if (error == 0)
        complete(j);
    if (result)
        snprintf(j->result, sizeof j->result, "%s", result);
    cond_broadcast(&p->jobs.changed);
}

/* ---- the life of one ---- */

static struct job *make_job(struct project *p, const char *verb, const char *detail)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->verb = verb;
    snprintf(j->detail, sizeof j->detail, "%s", detail);
    j->started = now(p);
    j->began = ticks(p);
    return j;
}

static struct job *running_of(struct jobs *jobs, const char *verb)
{
    mutex_held(&jobs->lock);
    for (size_t i = 0; i < jobs->count; i++)
        if (jobs->v[i]->state == JOB_RUNNING && !strcmp(jobs->v[i]->verb, verb))
            return jobs->v[i];
    return NULL;
}

int job_start_one(struct project *p, const char *verb, const char *detail, struct job **ret_job,
                  uint64_t *ret_number)
{
    struct job *j = make_job(p, verb, detail), *other;
    int err = j ? 0 : -ENOMEM;

    if (j) {
        MUTEX_GUARD(&p->jobs.lock);
        other = running_of(&p->jobs, verb);
        if (other)
            err = strcmp(other->detail, j->detail) == 0 ? 1 : -EBUSY;
        else
            err = atomic_load(&p->closing) ? -ESHUTDOWN : insert(&p->jobs, j);
        *ret_number = other ? other->number : j->number;
    }
    if (err == 0)
        *ret_job = j;
    else
        free(j);
    return err;
}

int job_start(struct project *p, const char *verb, const char *detail, struct job **ret_job)
{
    struct job *j = make_job(p, verb, detail);
    int err;

    if (!j)
        return -ENOMEM;
    if (is_drop(j)) /* before its pages are queued: the dropper may be faster than the verb */
        j->first = drops_worked(p->drops);
    {
        MUTEX_GUARD(&p->jobs.lock);
        err = atomic_load(&p->closing) ? -ESHUTDOWN : insert(&p->jobs, j);
    }
    if (err < 0) {
        free(j);
        return err;
    }
    *ret_job = j;
    return 0;
}

void job_progress(struct project *p, struct job *j, uint64_t done, uint64_t total)
{
    MUTEX_GUARD(&p->jobs.lock);
    grow(&j->done, &j->total, done, total);
    show(j);
}

void job_progress_bytes(struct project *p, struct job *j, uint64_t done, uint64_t total)
{
    MUTEX_GUARD(&p->jobs.lock);
    grow(&j->bytes_done, &j->bytes_total, done, total);
    show(j);
}

void job_goes_on_from(struct project *p, struct job *j, uint64_t bytes)
{
    MUTEX_GUARD(&p->jobs.lock);
    j->bytes_first = bytes;
}

/* Needs jobs->lock. 1: the time is not over. */
static int look_at_pause(struct project *p, struct job *j, int64_t left)
{
    if (atomic_load(&p->closing))
        return -ESHUTDOWN;
    if (atomic_load(&j->cancel))
        return -ECANCELED;
    if (left <= 0)
        return 0;
    (void)cond_wait_for(&p->jobs.changed, &p->jobs.lock, left < LOOK_EVERY ? left : LOOK_EVERY);
    return 1;
}

int job_pause(struct project *p, struct job *j, int64_t ns)
{
    int64_t until = ticks(p) + ns;
    int err;
    MUTEX_GUARD(&p->jobs.lock);

    while ((err = look_at_pause(p, j, until - ticks(p))) > 0)
        ;
    return err;
}

static uint64_t rate_of(struct project *p, enum setting which)
{
    return (uint64_t)settings_get(&p->settings, which);
}

int job_pay(struct project *p, struct job *j, struct rate *rate, uint64_t amount,
            enum setting which)
{
    int err;
    MUTEX_GUARD(&p->jobs.lock);

    (void)rate_spend(rate, amount, rate_of(p, which));
    while ((err = look_at_pause(p, j, rate_left(rate, rate_of(p, which)))) > 0)
        ;
    return err;
}

void job_result(struct project *p, struct job *j, const char *result)
{
    MUTEX_GUARD(&p->jobs.lock);
    snprintf(j->result, sizeof j->result, "%s", result);
}

void job_lines(struct project *p, struct job *j, char *lines)
{
    MUTEX_GUARD(&p->jobs.lock);
    free(p->jobs.lines);
    p->jobs.lines = lines;
    p->jobs.lines_of = j->number;
}

int job_get_lines(struct project *p, uint64_t number, struct strbuf *out)
{
    MUTEX_GUARD(&p->jobs.lock);

    if (!p->jobs.lines || p->jobs.lines_of != number)
        return -ENOENT;
    strbuf_adds(out, p->jobs.lines);
    return 0;
}

void job_end(struct project *p, struct job *j, int error, const char *result)
{
    MUTEX_GUARD(&p->jobs.lock);
    end(p, j, error, result);
    prune(&p->jobs);
}

void job_withdraw(struct project *p, struct job *j, int error)
{
    struct jobs *jobs = &p->jobs;
    size_t kept = 0;
    MUTEX_GUARD(&jobs->lock);

    end(p, j, error, NULL);
    if (j->waiters > 0) /* they guessed its number: told, and pruned later */
        return;
    for (size_t i = 0; i < jobs->count; i++)
        if (jobs->v[i] != j)
            jobs->v[kept++] = jobs->v[i];
    jobs->count = kept;
    free(j);
}

struct run {
    struct project *p;
    struct job *j;
    job_fn *fn;
    void *arg;
};

static void *run_main(void *arg)
{
    struct run run = *(struct run *)arg;
    struct jobs *jobs = &run.p->jobs;
    int err;

    free(arg);
    err = run.fn(run.p, run.j, run.arg);
    MUTEX_GUARD(&jobs->lock);
    end(run.p, run.j, err, NULL);
    prune(jobs);
    jobs->threads--;
    cond_broadcast(&jobs->changed);
    return NULL; /* the last touch of the project is the unlock: jobs_release waits for it */
}

/* A place among the job threads. */
static int take_place(struct project *p, int64_t timeout, const _Atomic bool *interrupted)
{
    struct jobs *jobs = &p->jobs;
    int64_t until = timeout < 0 ? INT64_MAX : ticks(p) + timeout;
    MUTEX_GUARD(&jobs->lock);

    while (jobs->threads >= JOB_THREADS && !atomic_load(&p->closing)) {
        if (interrupted && atomic_load(interrupted))
            return -EINTR;
        if (ticks(p) >= until)
            return -ETIMEDOUT;
        (void)cond_wait_for(&jobs->changed, &jobs->lock, LOOK_EVERY);
    }
    if (atomic_load(&p->closing))
        return -ESHUTDOWN;
    jobs->threads++;
    return 0;
}

static int start_thread(struct run *run)
{
    pthread_attr_t attr;
    pthread_t thread;
    int err = pthread_attr_init(&attr);

    if (err == 0) {
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        err = pthread_create(&thread, &attr, run_main, run);
        (void)pthread_attr_destroy(&attr);
    }
    return -err;
}

int job_run_within(struct project *p, struct job *j, job_fn *fn, void *arg, int64_t timeout,
                   const _Atomic bool *interrupted)
{
    struct run *run = malloc(sizeof *run);
    int err = run ? take_place(p, timeout, interrupted) : -ENOMEM;

    if (err == 0) {
        *run = (struct run){p, j, fn, arg};
        err = start_thread(run);
        if (err == 0)
            return 0;
        MUTEX_GUARD(&p->jobs.lock);
        p->jobs.threads--;
        cond_broadcast(&p->jobs.changed);
    }
    free(run);
    job_end(p, j, err, NULL);
    return err;
}

int job_run(struct project *p, struct job *j, job_fn *fn, void *arg)
{
    return job_run_within(p, j, fn, arg, -1, NULL);
}

/* From the look at `closing` on there is a thread, for which jobs_release waits. */
static int start_held(struct project *p, struct job *j)
{
    struct jobs *jobs = &p->jobs;
    MUTEX_GUARD(&jobs->lock);
    int err = atomic_load(&p->closing)       ? -ESHUTDOWN
              : jobs->threads >= JOB_THREADS ? -EAGAIN
                                             : insert(jobs, j);

    jobs->threads += err == 0;
    return err;
}

int job_try(struct project *p, const char *verb, const char *detail, job_fn *fn, void *arg)
{
    struct run *run = malloc(sizeof *run);
    struct job *j = run ? make_job(p, verb, detail) : NULL;
    int err = j ? start_held(p, j) : -ENOMEM;

    if (err < 0) {
        free(run);
        free(j);
        return err;
    }
    *run = (struct run){p, j, fn, arg};
    err = start_thread(run);
    if (err == 0)
        return 0;
    free(run);
    job_end(p, j, err, NULL);
    MUTEX_GUARD(&p->jobs.lock);
    p->jobs.threads--;
    cond_broadcast(&p->jobs.changed);
    return err;
}

/* ---- looking on ---- */

/* Needs jobs->lock; gives it up while it waits. `j` has a waiter, so it stays. */
static int wait_for(struct project *p, struct job *j, int64_t timeout,
                    const _Atomic bool *interrupted)
{
    int64_t start = ticks(p);

    while (j->state == JOB_RUNNING) {
        int64_t nap = LOOK_EVERY;
        if (atomic_load(&p->closing))
            return -ESHUTDOWN;
        if (interrupted && atomic_load(interrupted))
            return -EINTR;
        if (timeout >= 0) {
            int64_t left = timeout - (ticks(p) - start);
            if (left <= 0)
                return -ETIMEDOUT;
            nap = left < nap ? left : nap;
        }
        (void)cond_wait_for(&p->jobs.changed, &p->jobs.lock, nap);
    }
    return 0;
}

int job_wait(struct project *p, uint64_t number, int64_t timeout, const _Atomic bool *interrupted,
             int *ret_error, char result[256])
{
    struct job *j;
    int err;
    MUTEX_GUARD(&p->jobs.lock);

    j = find(&p->jobs, number);
    if (!j)
        return -ENOENT;
    j->waiters++;
    err = wait_for(p, j, timeout, interrupted);
    j->waiters--;
    if (err == 0) {
        *ret_error = j->error;
        memcpy(result, j->result, sizeof j->result);
    }
    prune(&p->jobs);
    cond_broadcast(&p->jobs.changed); /* jobs_release waits for the last waiter */
    return err;
}

int job_cancel(struct project *p, uint64_t number)
{
    struct job *j;
    MUTEX_GUARD(&p->jobs.lock);

    j = find(&p->jobs, number);
    if (!j)
        return -ENOENT;
    if (j->state != JOB_RUNNING)
        return 0;
    if (is_drop(j))
        return -EPERM;
    atomic_store(&j->cancel, true);
    cond_broadcast(&p->jobs.changed);
    return 0;
}

/* What is seen of a drop or a drain from outside. */
static void look(struct job *j, const struct view_rest *rest, uint64_t worked)
{
    uint64_t pending = rest->unsealed + rest->dropped_pages + rest->flushes, done;

    if (is_drop(j) && j->drop_ticket) {
        done = worked > j->first ? worked - j->first : 0;
        grow(&j->done, &j->total, done, done + rest->dropped_pages);
        grow(&j->bytes_done, &j->bytes_total, done * PAGE_SIZE_BYTES,
             (done + rest->dropped_pages) * PAGE_SIZE_BYTES);
    } else if (is_drain(j)) {
        if (j->first < pending)
            j->first = pending;
        grow(&j->done, &j->total, j->first - pending, j->first);
    }
    show(j);
}

int job_get(struct project *p, uint64_t number, struct job *ret)
{
    struct view_rest rest;
    uint64_t worked = drops_worked(p->drops);
    struct job *j;

    view_get_rest(p, &rest); /* before the lock, which is a leaf */
    MUTEX_GUARD(&p->jobs.lock);
    j = find(&p->jobs, number);
    if (!j)
        return -ENOENT;
    if (j->state == JOB_RUNNING)
        look(j, &rest, worked);
    *ret = *j;
    return 0;
}

int job_next(struct project *p, uint64_t after, uint64_t *ret_number)
{
    MUTEX_GUARD(&p->jobs.lock);

    for (size_t i = 0; i < p->jobs.count; i++)
        if (p->jobs.v[i]->number > after) {
            *ret_number = p->jobs.v[i]->number;
            return 0;
        }
    return -ENOENT;
}

size_t jobs_running(struct project *p)
{
    size_t n = 0;
    MUTEX_GUARD(&p->jobs.lock);

    for (size_t i = 0; i < p->jobs.count; i++)
        n += p->jobs.v[i]->state == JOB_RUNNING;
    return n;
}

static unsigned count_waiters(const struct jobs *jobs)
{
    unsigned n = 0;

    for (size_t i = 0; i < jobs->count; i++)
        n += jobs->v[i]->waiters;
    return n;
}

void jobs_release(struct project *p)
{
    struct jobs *jobs = &p->jobs;
    MUTEX_GUARD(&jobs->lock);

    for (size_t i = 0; i < jobs->count; i++)
        atomic_store(&jobs->v[i]->cancel, true);
    cond_broadcast(&jobs->changed);
    while (jobs->threads > 0 || count_waiters(jobs) > 0)
        (void)cond_wait_for(&jobs->changed, &jobs->lock, LOOK_EVERY);
    for (size_t i = 0; i < jobs->count; i++)
        free(jobs->v[i]);
    free(jobs->v);
    free(jobs->lines);
    jobs->lines = NULL;
    jobs->v = NULL;
    jobs->count = jobs->room = 0;
}

/* ---- drops ---- */

void job_drop_queued(struct project *p, struct job *j)
{
    MUTEX_GUARD(&p->jobs.lock);
    j->drop_ticket = ++p->jobs.drop_tickets;
}

void jobs_resume(struct project *p)
{
    struct job *j;

    if (drops_left(p->drops) && job_start(p, "drop", "resumed", &j) == 0)
        job_drop_queued(p, j);
}

void jobs_drops_done(struct project *p)
{
    const struct view_rest none = {0};
    uint64_t until, worked;

    {
        MUTEX_GUARD(&p->jobs.lock);
        until = p->jobs.drop_tickets;
    }
    if (drops_left(p->drops)) /* also in the step of another thread */
        return;
    worked = drops_worked(p->drops);
    MUTEX_GUARD(&p->jobs.lock);
    for (size_t i = 0; i < p->jobs.count; i++) {
        struct job *j = p->jobs.v[i];
        if (j->state != JOB_RUNNING || !j->drop_ticket || j->drop_ticket > until)
            continue;
        look(j, &none, worked);
        end(p, j, 0, NULL);
    }
    prune(&p->jobs);
}
