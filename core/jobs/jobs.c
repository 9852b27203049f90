// SPDX-License-Identifier: Apache-2.0
/*
 * jobs: long work that has a number: who started it, how far it is, how it ended.
 *
 *     job_start ──> RUNNING ──job_end──> DONE | FAILED | CANCELLED ──> forgotten
 *          job_run │   ^ a worker begins           ^
 *                  v   │                           │
 *                 QUEUED ──job_cancel, the end─────┘
 *
 * The last JOB_KEEP ended jobs stay readable; older ones are freed unless somebody still waits for
 * them. Numbers rise and are never reused, so the table is always sorted by number.
 *
 * Progress only grows: done, total, and the part that is shown, which is 100 % after a good end and
 * never before. Most jobs report their progress themselves. The progress of drops and drains is
 * computed whenever somebody asks for it (note_progress).
 *
 * A drop has no thread of its own: the dropper works off one queue for all drops. A drop job gets a
 * ticket once its pages are queued. A thread that finds the queue empty ends the jobs whose tickets
 * had been given before it looked, and no others.
 */
#include "array.h"
#include "flush.h"
#include "job_impl.h"
#include "rate.h"
#include "state.h"
#include "thread.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* how often a waiting thread looks at what may end its wait */
#define LOOK_EVERY (50 * NSEC_PER_MSEC)

/* ---- the table: needs jobs->lock ---- */

/* The index of the first job whose number is not below `number`. */
static size_t place(const struct jobs *jobs, uint64_t number)
{
    size_t from = 0, end = jobs->count;

    while (from < end) {
        size_t mid = from + (end - from) / 2;
        if (jobs->v[mid]->number < number)
            from = mid + 1;
        else
            end = mid;
    }
    return from;
}

static struct job *find_job(struct jobs *jobs, uint64_t number)
{
    size_t i = place(jobs, number);

    return i < jobs->count && jobs->v[i]->number == number ? jobs->v[i] : NULL;
}

static bool is_drain(const struct job *j)
{
    return !strcmp(j->verb, "drain");
}

static bool is_drop(const struct job *j)
{
    return !strcmp(j->verb, "drop");
}

/* Free the oldest ended jobs above the limits. Drains have a lower limit: they are many, and of
 * little interest. A job that somebody waits for stays. */
static void prune(struct jobs *jobs)
{
    const size_t limit[2] = {JOB_KEEP, JOB_KEEP_DRAINS};
    size_t kept = 0, i = 0;

    mutex_held(&jobs->lock);
    for (; jobs->ended[0] > limit[0] || jobs->ended[1] > limit[1]; i++) {
        if (i == jobs->count)
            break;
        struct job *j = jobs->v[i];
        bool drain = is_drain(j);
        if (jobs->ended[drain] > limit[drain] && job_is_over(j) && j->waiters == 0) {
            free(j);
            jobs->ended[drain]--;
        } else {
            jobs->v[kept++] = j;
        }
    }
    if (kept < i)
        memmove(&jobs->v[kept], &jobs->v[i], (jobs->count - i) * sizeof *jobs->v);
    jobs->count -= i - kept;
}

/* Raise progress to the new values. It never falls, and the total is never below what is done. */
static void grow(uint64_t *done, uint64_t *total, uint64_t new_done, uint64_t new_total)
{
    if (*done < new_done)
        *done = new_done;
    if (*total < new_total)
        *total = new_total;
    if (*total && *total < *done)
        *total = *done;
}

/* Raise the part that is shown, by bytes if they are known. It never falls, and is below 1000
 * before the end. */
static void show(struct job *j)
{
    uint64_t done = j->bytes_total ? j->bytes_done : j->done;
    uint64_t total = j->bytes_total ? j->bytes_total : j->total;
    double part = total ? (double)done / (double)total * 1000 : 0;
    unsigned permille = part >= 999 ? 999 : (unsigned)part;

    if (j->permille < permille)
        j->permille = permille;
}

/* A good end: all is done, 100 %. */
static void complete(struct job *j)
{
    j->done = j->total = j->total > j->done ? j->total : j->done;
    j->bytes_done = j->bytes_total =
        j->bytes_total > j->bytes_done ? j->bytes_total : j->bytes_done;
    j->permille = 1000;
}

/* Give the job its number, and put it into the table. */
static int insert(struct jobs *jobs, struct job *j)
{
    mutex_held(&jobs->lock);
    if (ARRAY_RESERVE(jobs->v, jobs->room, jobs->count + 1) < 0)
        return -ENOMEM;
    j->number = jobs->next++;
    jobs->v[jobs->count++] = j;
    return 0;
}

/* End a job and wake all that wait. Needs jobs->lock. */
static void end(struct state *p, struct job *j, int error)
{
    mutex_held(&p->jobs->lock);
    p->jobs->ended[is_drain(j)]++;
    j->state = error == 0 ? JOB_DONE : error == -ECANCELED ? JOB_CANCELLED : JOB_FAILED;
    j->error = error;
    j->ended = now(p);
    j->lasted = ticks(p) - j->began;
    if (error == 0)
        complete(j);
    cond_broadcast(&p->jobs->changed);
}

/* ---- the life of one ---- */

/* A job that is not in the table yet. NULL: no memory. */
static struct job *make_job(struct state *p, const char *verb, const char *detail)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->p = p;
    j->verb = verb;
    j->state = JOB_RUNNING;
    snprintf(j->detail, sizeof j->detail, "%s", detail);
    j->started = now(p);
    j->began = ticks(p);
    return j;
}

/* The job of this verb that has not ended, or NULL. */
static struct job *present_of(struct jobs *jobs, const char *verb)
{
    mutex_held(&jobs->lock);
    for (size_t i = 0; i < jobs->count; i++)
        if (!job_is_over(jobs->v[i]) && !strcmp(jobs->v[i]->verb, verb))
            return jobs->v[i];
    return NULL;
}

/* Gives the calling thread normal I/O priority if the job is prompt, or while somebody waits for
 * it; else idle priority. Needs jobs->lock. */
static void take_priority(const struct job *j)
{
    bool idle = !j->work.waits && !j->work.prompt && j->waiters == 0;

    if (thread_io_is_idle() != idle)
        thread_io_idle(idle);
}

/* The same in the worker that runs the job. In any other thread this does nothing. Needs
 * jobs->lock. */
static void set_priority(const struct job *j)
{
    if (workers_here(j->p->workers))
        take_priority(j);
}

void job_lend_priority(struct state *p, struct job *j)
{
    MUTEX_GUARD(&p->jobs->lock);
    take_priority(j);
}

/* Makes a job and puts it into the table, unless it must be the only one of its verb and is not. */
static int start(struct state *p, const char *verb, const char *detail, bool only,
                 struct job **ret_job, uint64_t *ret_number)
{
    struct job *j = make_job(p, verb, detail), *other = NULL;
    int err;

    if (!j)
        return -ENOMEM;
    if (is_drop(j)) /* before its pages are queued: the dropper may be faster than the verb */
        j->first = drops_worked(p->drops);
    {
        MUTEX_GUARD(&p->jobs->lock);
        if (only)
            other = present_of(p->jobs, verb);
        if (other)
            err = strcmp(other->detail, j->detail) == 0 ? 1 : -EBUSY;
        else
            err = atomic_load(&p->closing) ? -ESHUTDOWN : insert(p->jobs, j);
        *ret_number = other ? other->number : j->number;
    }
    if (err == 0)
        *ret_job = j;
    else
        free(j);
    return err;
}

int job_start(struct state *p, const char *verb, const char *detail, struct job **ret_job)
{
    return start(p, verb, detail, false, ret_job, &(uint64_t){0});
}

int job_start_one(struct state *p, const char *verb, const char *detail, struct job **ret_job,
                  uint64_t *ret_number)
{
    return start(p, verb, detail, true, ret_job, ret_number);
}

void job_progress(struct state *p, struct job *j, uint64_t done, uint64_t total)
{
    MUTEX_GUARD(&p->jobs->lock);
    set_priority(j);
    grow(&j->done, &j->total, done, total);
    show(j);
}

void job_progress_bytes(struct state *p, struct job *j, uint64_t done, uint64_t total)
{
    MUTEX_GUARD(&p->jobs->lock);
    set_priority(j);
    grow(&j->bytes_done, &j->bytes_total, done, total);
    show(j);
}

void job_goes_on_from(struct state *p, struct job *j, uint64_t bytes)
{
    MUTEX_GUARD(&p->jobs->lock);
    j->bytes_first = bytes;
}

/* One look of a pause: 0 if the time is over, an error if the job is to end, else 1 after a nap of
 * at most LOOK_EVERY. Needs jobs->lock, which is released during the nap. */
static int look_at_pause(struct state *p, struct job *j, int64_t left)
{
    set_priority(j);
    if (atomic_load(&p->closing))
        return -ESHUTDOWN;
    if (atomic_load(&j->cancel))
        return -ECANCELED;
    if (left <= 0)
        return 0;
    (void)cond_wait_for(&p->jobs->changed, &p->jobs->lock, left < LOOK_EVERY ? left : LOOK_EVERY);
    return 1;
}

/* The present value of a setting that is a rate. */
static uint64_t rate_of(struct state *p, enum setting which)
{
    return (uint64_t)settings_get(&p->settings, which);
}

/* What a job waits for: that what is accounted at `rate` is paid, or, if that is NULL, that the
 * time `until` has come. */
struct pause {
    struct rate *rate; /* guarded by: jobs->lock */
    enum setting which;
    int64_t until;
};

/* Wait for `left` ns, and then as long as the pause asks. If there is anything to wait for, the job
 * gives its place at the workers to others meanwhile (workers.h). */
static int rest(struct state *p, struct job *j, const struct pause *w, int64_t left)
{
    int err;

    if (left > 0)
        workers_rest_begin(p->workers);
    {
        MUTEX_GUARD(&p->jobs->lock);
        while ((err = look_at_pause(p, j, left)) > 0)
            left = w->rate ? rate_left(w->rate, rate_of(p, w->which)) : w->until - ticks(p);
    }
    workers_rest_end(p->workers, err < 0, &j->cancel);
    if (err < 0)
        return err;
    MUTEX_GUARD(&p->jobs->lock);
    return look_at_pause(p, j, 0);
}

int job_pause(struct state *p, struct job *j, int64_t duration_ns)
{
    const struct pause w = {.until = ticks(p) + duration_ns};

    return rest(p, j, &w, duration_ns);
}

int job_pay(struct state *p, struct job *j, struct rate *rate, uint64_t amount, enum setting which)
{
    const struct pause w = {.rate = rate, .which = which};
    int64_t left;

    {
        MUTEX_GUARD(&p->jobs->lock);
        left = rate_spend(rate, amount, rate_of(p, which));
    }
    return rest(p, j, &w, left);
}

int job_take_turn(struct state *p, struct job *j, _Atomic bool *taken)
{
    int err = 0;

    while (err == 0 && atomic_exchange(taken, true))
        err = j ? job_pause(p, j, LOOK_EVERY) : -EBUSY;
    return err;
}

void job_result(struct state *p, struct job *j, const char *result)
{
    MUTEX_GUARD(&p->jobs->lock);
    snprintf(j->result, sizeof j->result, "%s", result);
}

void job_lines(struct state *p, struct job *j, char *lines)
{
    MUTEX_GUARD(&p->jobs->lock);
    free(p->jobs->lines);
    p->jobs->lines = lines;
    p->jobs->lines_of = j->number;
}

int job_get_lines(struct state *p, uint64_t number, struct strbuf *out)
{
    MUTEX_GUARD(&p->jobs->lock);

    if (!p->jobs->lines || p->jobs->lines_of != number)
        return -ENOENT;
    strbuf_adds(out, p->jobs->lines);
    return 0;
}

void job_end(struct state *p, struct job *j, int error)
{
    MUTEX_GUARD(&p->jobs->lock);
    end(p, j, error);
    prune(p->jobs);
}

void job_withdraw(struct state *p, struct job *j, int error)
{
    struct jobs *jobs = p->jobs;
    size_t kept = 0;
    MUTEX_GUARD(&jobs->lock);

    end(p, j, error);
    if (j->waiters > 0) /* somebody guessed its number and waits: it is reported as ended, and freed
                         * later */
        return;
    for (size_t i = 0; i < jobs->count; i++)
        if (jobs->v[i] != j)
            jobs->v[kept++] = jobs->v[i];
    jobs->count = kept;
    jobs->ended[is_drain(j)]--;
    free(j);
}

/* ---- with the workers ---- */

/* End a job on its worker. The worker is counted out after the end and without using `j`: a thread
 * that waits for the job may have freed it by then. */
static void leave(struct job *j, int err)
{
    struct jobs *jobs = j->p->jobs;

    job_end(j->p, j, err);
    MUTEX_GUARD(&jobs->lock);
    jobs->with_workers--;
    cond_broadcast(&jobs->changed);
}

/* Give the argument of a job that is not run (again) back to its owner. */
static void never_runs(struct job *j, int err)
{
    if (j->work.dropped)
        j->work.dropped(j->p, j->work.arg, err);
    else
        free(j->work.arg);
}

/* A job ends without being run (again). While the store is being closed, -ECANCELED does not come
 * from a user: then it is -ESHUTDOWN, and the work may continue at the next start. */
static void on_dropped(void *arg, int err)
{
    struct job *j = arg;

    if (err == -ECANCELED && atomic_load(&j->p->closing))
        err = -ESHUTDOWN;
    never_runs(j, err);
    leave(j, err);
}

/* A worker begins the job, or calls it again. -ECANCELED: it was cancelled while it was queued. */
static int begin_job(struct job *j)
{
    MUTEX_GUARD(&j->p->jobs->lock);
    if (j->state == JOB_QUEUED)
        j->began = ticks(j->p);
    j->state = JOB_RUNNING;
    set_priority(j);
    return atomic_load(&j->cancel) ? -ECANCELED : 0;
}

static int on_worker(void *arg);

/* Needs jobs->lock. -EAGAIN: the queue is full. */
static int submit(struct state *p, struct job *j)
{
    const struct workers_work w = {.fn = on_worker,
                                   .dropped = on_dropped,
                                   .arg = j,
                                   .class = j->work.waits ? WORKERS_LONG : WORKERS_LONG_IDLE,
                                   .key = j->work.key};

    mutex_held(&p->jobs->lock);
    if (atomic_load(&p->closing))
        return -ESHUTDOWN;
    return atomic_load(&j->cancel) ? -ECANCELED : workers_try_submit(p->workers, &w, &j->id);
}

/* As submit, for a job that returned JOB_AGAIN: if more jobs wait than may rest, they take
 * turns. */
static int submit_again(struct job *j)
{
    MUTEX_GUARD(&j->p->jobs->lock);
    return submit(j->p, j);
}

/* Run a job on a worker. On JOB_AGAIN it is queued again; if the queue is full, or without memory,
 * it is called again at once. */
static int on_worker(void *arg)
{
    struct job *j = arg;
    int err = begin_job(j);

    if (err < 0) {
        on_dropped(j, err);
        return 0;
    }
    while ((err = j->work.fn(j->p, j, j->work.arg)) == JOB_AGAIN) {
        err = submit_again(j);
        if (err == 0)
            return 0; /* the job may have ended already */
        if (err != -EAGAIN && err != -ENOMEM) {
            on_dropped(j, err);
            return 0;
        }
    }
    leave(j, err);
    return 0;
}

/* Submit the job, waiting while the queue is full. Needs jobs->lock, which is released while it
 * waits. */
static int submit_within(struct state *p, struct job *j, int64_t timeout,
                         const _Atomic bool *interrupted)
{
    int64_t until = timeout < 0 ? INT64_MAX : ticks(p) + timeout;
    int err;

    while ((err = submit(p, j)) == -EAGAIN) {
        if (interrupted && atomic_load(interrupted))
            return -EINTR;
        if (ticks(p) >= until)
            return -ETIMEDOUT;
        (void)cond_wait_for(&p->jobs->changed, &p->jobs->lock, LOOK_EVERY);
    }
    return err;
}

int job_run(struct state *p, struct job *j, const struct job_work *w, int64_t timeout,
            const _Atomic bool *interrupted)
{
    int err;

    {
        MUTEX_GUARD(&p->jobs->lock);
        j->work = *w;
        j->state = JOB_QUEUED;
        p->jobs->with_workers++; /* jobs_release waits for it from now on */
        err = submit_within(p, j, timeout, interrupted);
    }
    if (err < 0)
        on_dropped(j, err);
    return err;
}

/* Insert and submit a job; it stays in the table only if the workers took it. Needs jobs->lock. */
static int try(struct state *p, struct job *j)
{
    int err = j->work.alone && present_of(p->jobs, j->verb) ? -EBUSY : insert(p->jobs, j);

    if (err < 0)
        return err;
    j->state = JOB_QUEUED;
    err = submit(p, j);
    if (err == 0)
        p->jobs->with_workers++;
    else
        p->jobs->count--;
    return err;
}

int job_try(struct state *p, const char *verb, const char *detail, const struct job_work *w)
{
    struct job *j = make_job(p, verb, detail);
    int err = j ? 0 : -ENOMEM;

    if (j) {
        MUTEX_GUARD(&p->jobs->lock);
        j->work = *w;
        err = try(p, j);
    }
    if (err < 0)
        free(j);
    return err;
}

/* ---- looking on ---- */

/* Wait until `j` has ended. Needs jobs->lock, which is released while it waits; `j` is not freed
 * meanwhile, since it has a waiter. */
static int wait_for(struct state *p, struct job *j, int64_t timeout,
                    const _Atomic bool *interrupted)
{
    int64_t start = ticks(p);

    while (!job_is_over(j)) {
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
        (void)cond_wait_for(&p->jobs->changed, &p->jobs->lock, nap);
    }
    return 0;
}

int job_wait(struct state *p, uint64_t number, int64_t timeout, const _Atomic bool *interrupted,
             int *ret_error, char result[256])
{
    struct job *j;
    int err;

    assert(!workers_here(p->workers)); /* no job waits for a job */
    MUTEX_GUARD(&p->jobs->lock);
    j = find_job(p->jobs, number);
    if (!j)
        return -ENOENT;
    j->waiters++;
    err = wait_for(p, j, timeout, interrupted);
    j->waiters--;
    if (err == 0) {
        *ret_error = j->error;
        memcpy(result, j->result, sizeof j->result);
    }
    prune(p->jobs);
    cond_broadcast(&p->jobs->changed); /* jobs_release waits for the last waiter */
    return err;
}

/* Set a job's `cancel`. *ret_id: its work at the workers, which the caller cancels without the
 * lock; unchanged if the job has ended. */
static int ask_to_stop(struct state *p, uint64_t number, uint64_t *ret_id)
{
    struct job *j;
    MUTEX_GUARD(&p->jobs->lock);

    j = find_job(p->jobs, number);
    if (!j)
        return -ENOENT;
    if (job_is_over(j))
        return 0;
    if (is_drop(j))
        return -EPERM;
    *ret_id = j->id;
    atomic_store(&j->cancel, true);
    cond_broadcast(&p->jobs->changed);
    return 0;
}

int job_cancel(struct state *p, uint64_t number)
{
    uint64_t id = 0;
    int err = ask_to_stop(p, number, &id);

    if (err == 0)
        (void)workers_cancel(p->workers, id); /* a job that has begun ends by itself */
    return err;
}

/* Update the progress of a drop or a drain from what is left to do. Needs jobs->lock. */
static void note_progress(struct job *j, const struct jobs_rest *rest, uint64_t worked)
{
    uint64_t pending = rest->unsealed + rest->dropped_pages + rest->flushes, done;

    if (is_drop(j) && j->queued) {
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

int job_get(struct state *p, uint64_t number, struct job *ret)
{
    struct jobs_rest rest;
    uint64_t worked = drops_worked(p->drops);
    struct job *j;

    jobs_get_rest(p, &rest); /* before the lock, which is a leaf */
    MUTEX_GUARD(&p->jobs->lock);
    j = find_job(p->jobs, number);
    if (!j)
        return -ENOENT;
    if (!job_is_over(j))
        note_progress(j, &rest, worked);
    *ret = *j;
    return 0;
}

int job_next(struct state *p, uint64_t after, uint64_t *ret_number)
{
    MUTEX_GUARD(&p->jobs->lock);
    size_t i = after < UINT64_MAX ? place(p->jobs, after + 1) : p->jobs->count;

    if (i == p->jobs->count)
        return -ENOENT;
    *ret_number = p->jobs->v[i]->number;
    return 0;
}

size_t jobs_in(struct state *p, enum job_state state)
{
    size_t n = 0;
    MUTEX_GUARD(&p->jobs->lock);

    for (size_t i = 0; i < p->jobs->count; i++)
        n += p->jobs->v[i]->state == state;
    return n;
}

size_t jobs_unfinished(struct state *p)
{
    size_t n = 0;
    MUTEX_GUARD(&p->jobs->lock);

    for (size_t i = 0; i < p->jobs->count; i++)
        n += !job_is_over(p->jobs->v[i]);
    return n;
}

/* How many threads wait for a job? Needs jobs->lock. */
static unsigned count_waiters(const struct jobs *jobs)
{
    unsigned n = 0;

    for (size_t i = 0; i < jobs->count; i++)
        n += jobs->v[i]->waiters;
    return n;
}

/* Ask all jobs to stop. True: *ret_id is the work of one that has not ended, and that was not
 * returned before. */
static bool stop_all(struct jobs *jobs, uint64_t *ret_id)
{
    bool found = false;
    MUTEX_GUARD(&jobs->lock);

    for (size_t i = 0; i < jobs->count; i++) {
        struct job *j = jobs->v[i];
        atomic_store(&j->cancel, true);
        if (job_is_over(j) || !j->id)
            continue;
        *ret_id = j->id;
        j->id = 0;
        found = true;
    }
    cond_broadcast(&jobs->changed);
    return found;
}

void jobs_release(struct state *p)
{
    struct jobs *jobs = p->jobs;
    uint64_t id;

    while (stop_all(jobs, &id))
        (void)workers_cancel(p->workers, id);
    MUTEX_GUARD(&jobs->lock);
    while (jobs->with_workers > 0 || count_waiters(jobs) > 0)
        (void)cond_wait_for(&jobs->changed, &jobs->lock, LOOK_EVERY);
    for (size_t i = 0; i < jobs->count; i++)
        free(jobs->v[i]);
    free(jobs->v);
    free(jobs->lines);
    jobs->lines = NULL;
    jobs->v = NULL;
    jobs->count = jobs->room = 0;
    jobs->ended[0] = jobs->ended[1] = 0;
}

/* ---- drops ---- */

void job_drop_queued(struct state *p, struct job *j)
{
    uint64_t dropped = drops_pushed(p->drops);
    MUTEX_GUARD(&p->jobs->lock);

    j->dropped = dropped;
    j->queued = true;
}

void jobs_resume(struct state *p)
{
    struct job *j;

    if (drops_left(p->drops) && job_start(p, "drop", "resumed", &j) == 0)
        job_drop_queued(p, j);
}

void jobs_drops_done(struct state *p)
{
    const struct jobs_rest none = {0};
    uint64_t worked = drops_worked(p->drops);
    MUTEX_GUARD(&p->jobs->lock);

    for (size_t i = 0; i < p->jobs->count; i++) {
        struct job *j = p->jobs->v[i];
        if (job_is_over(j) || !j->queued || drops_has_older(p->drops, j->dropped))
            continue;
        note_progress(j, &none, worked);
        end(p, j, 0);
    }
    prune(p->jobs);
}

void jobs_get_rest(struct state *p, struct jobs_rest *ret)
{
    struct workers_stats workers;
    struct flush_stats s;

    *ret = (struct jobs_rest){.jobs = jobs_unfinished(p),
                              .unsealed = seal_waiting(p),
                              .dropped_pages = drops_left(p->drops)};
    workers_get_stats(p->workers, &workers);
    for (unsigned c = 0; c < WORKERS_LONG; c++)
        ret->pieces += workers.of[c].queued + workers.of[c].running;
    flush_get_stats(p, &s);
    ret->flushes = s.flushes.pending;
    if (ret->flushes == 0 && s.committed != atomic_load(&p->seq))
        ret->flushes = 1; /* a flush of the last changes is still to come */
}
