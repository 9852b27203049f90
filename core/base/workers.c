// SPDX-License-Identifier: Apache-2.0
/*
 * workers: worker threads over the queues of jobs that are ready, one queue for each class.
 *
 *     submit --room?--> ready[class] --worker--> begun --> free
 *
 * Threads for long work are started when there is such work. One of them exists from the start, so
 * it does no harm if others cannot be started. Of the long work that is ready a worker passes over
 * what has the key of work that has begun.
 *
 * One mutex guards everything here. A group has a mutex of its own. No thread holds both.
 */
#include "workers.h"

#include "thread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#define WORKERS_THREADS_MAX 256
#define LOOK_EVERY (50 * NSEC_PER_MSEC) /* how often the end of a rest looks at `stop` */

TAILQ_HEAD(job_list, job);
struct job {
    struct workers_work work;
    uint64_t id;
    TAILQ_ENTRY(job) list; /* in ready[class] or in begun */
};

struct workers {
    struct workers_config config;
    const struct clock *clock;
    struct mutex lock;
    struct cond work;  /* signalled when a job is ready, or `stopping` was set */
    struct cond place; /* signalled when a rest may be over: a job has ended or begun to rest, or
                        * the limits were raised */
    struct cond room;  /* signalled when a job has left a queue, or `closed` was set */
    struct cond ended; /* signalled when a job has ended after `closed` was set */
    /* The rest is guarded by: lock */
    struct job_list ready[WORKERS_CLASSES];
    struct job_list begun; /* they run or rest */
    struct workers_class_stats of[WORKERS_CLASSES];
    size_t rested[WORKERS_CLASSES]; /* jobs whose rest is over and that wait for a place */
    uint64_t serial;
    bool closed; /* new jobs are refused */
    bool stopping;
    bool fatal;       /* config.fatal was called */
    unsigned users;   /* threads inside submit(); workers_destroy waits for them */
    unsigned telling; /* withdrawn jobs that tell_dropped was not called for yet */
    unsigned threads; /* how many were started; `config` says how many may work */
    /* For short work, for long work, and for as many as may run of each class of long work that
     * rest: */
    pthread_t thread[4 * WORKERS_THREADS_MAX];
};

const char *const workers_class_names[WORKERS_CLASSES] = {"urgent", "normal", "long", "long_idle"};

static _Thread_local const struct workers *working_for; /* whose worker this thread is, or NULL */
static _Thread_local bool works_long;                   /* this worker runs long work */
static _Thread_local enum workers_class works_of;       /* the class of what this worker runs */
static _Thread_local bool rests;                        /* that work rests */

/* May the calling thread wait for work of `class` (workers.h says who may wait for whom)? Short
 * work waits for no work, long work for short work only, any other thread for all work. */
static bool may_wait_for(const struct workers *p, enum workers_class class)
{
    return working_for != p || (works_long && class < WORKERS_LONG);
}

bool workers_here(const struct workers *p)
{
    return working_for == p;
}

/* ---- queues: need p->lock ---- */

/* Has work with this key begun, and not ended? */
static bool key_is_taken(const struct workers *p, uint64_t key)
{
    const struct job *j;

    TAILQ_FOREACH(j, &p->begun, list)
    if (key && j->work.key == key)
        return true;
    return false;
}

/* The first job of a class that is ready and whose key is not taken, or NULL. */
static struct job *first_free(const struct workers *p, unsigned class)
{
    struct job *j;

    TAILQ_FOREACH(j, &p->ready[class], list)
    if (!key_is_taken(p, j->work.key))
        break;
    return j;
}

/* Finds a job in a list, or NULL. */
static struct job *find(const struct job_list *list, uint64_t id)
{
    struct job *j;

    TAILQ_FOREACH(j, list, list)
    if (j->id == id)
        break;
    return j;
}

/* Takes a job that has not begun out of its queue and frees it. *ret_w is a copy of its work: the
 * caller passes it to tell_dropped when it has released p->lock. */
static void withdraw(struct workers *p, struct job *j, struct workers_work *ret_w)
{
    struct workers_class_stats *of = &p->of[j->work.class];

    mutex_held(&p->lock);
    of->queued--;
    of->dropped++;
    p->telling++;
    *ret_w = j->work;
    TAILQ_REMOVE(&p->ready[j->work.class], j, list);
    free(j);
    cond_broadcast(&p->room); /* submitters of several classes wait: each looks again */
}

/* How many jobs workers_shutdown still waits for: queued, running, resting, or being dropped. */
static size_t left(const struct workers *p)
{
    size_t n = p->telling;

    for (unsigned c = 0; c < WORKERS_CLASSES; c++)
        n += p->of[c].queued + p->of[c].running + p->of[c].resting;
    return n;
}

/* ---- the workers ---- */

static size_t long_running(const struct workers *p)
{
    return p->of[WORKERS_LONG].running + p->of[WORKERS_LONG_IDLE].running;
}

/* How many workers long work has: those that run it, and those that rest in it. */
static size_t long_taken(const struct workers *p)
{
    return long_running(p) + p->of[WORKERS_LONG].resting + p->of[WORKERS_LONG_IDLE].resting;
}

/* May one more job of this class of long work run? Each class leaves one place to the other. */
static bool has_place(const struct workers *p, unsigned class)
{
    size_t most = p->config.long_threads, of_one = most > 1 ? most - 1 : 1;

    return long_running(p) < most && p->of[class].running < of_one;
}

/* The long work that may begin now, or NULL. Long work begins only if config.threads workers are
 * left for short work, and if no job whose rest is over can go on. */
static struct job *pick_long(const struct workers *p)
{
    struct job *j = NULL;

    for (unsigned c = WORKERS_LONG; c < WORKERS_CLASSES; c++)
        if (p->rested[c] > 0 && has_place(p, c))
            return NULL;
    if (long_taken(p) >= p->threads - p->config.threads)
        return NULL;
    for (unsigned c = WORKERS_LONG; c < WORKERS_CLASSES && !j; c++)
        j = has_place(p, c) ? first_free(p, c) : NULL;
    return j;
}

/* The job that may begin now, or NULL. */
static struct job *pick(const struct workers *p)
{
    size_t normal = p->of[WORKERS_NORMAL].running;
    unsigned threads = p->config.threads, for_all = threads > 1 ? threads - 1 : 1;

    if (p->of[WORKERS_URGENT].running + normal >= threads)
        return pick_long(p);
    if (!TAILQ_EMPTY(&p->ready[WORKERS_URGENT]))
        return TAILQ_FIRST(&p->ready[WORKERS_URGENT]);
    if (!TAILQ_EMPTY(&p->ready[WORKERS_NORMAL]) && normal < for_all)
        return TAILQ_FIRST(&p->ready[WORKERS_NORMAL]);
    return pick_long(p);
}

/* Waits until a job may begin, and marks it as running. NULL: the worker is to end. If one more job
 * may begin, another worker is woken: a signal may have reached a worker that took nothing. */
static struct job *take_job(struct workers *p)
{
    struct job *j;
    MUTEX_GUARD(&p->lock);

    while (!(j = pick(p))) {
        if (p->stopping)
            return NULL;
        cond_wait(&p->work, &p->lock);
    }
    TAILQ_REMOVE(&p->ready[j->work.class], j, list);
    TAILQ_INSERT_TAIL(&p->begun, j, list);
    p->of[j->work.class].queued--;
    p->of[j->work.class].running++;
    cond_broadcast(&p->room);
    if (pick(p))
        cond_signal(&p->work);
    return j;
}

/* Counts one job of the group as ended; the group keeps the first error. `g` may be NULL. */
static void group_end(struct workers_group *g, int result)
{
    if (!g)
        return;
    MUTEX_GUARD(&g->lock);
    if (g->error == 0)
        g->error = result;
    /* Under the lock: the waiter frees the group as soon as it can take it. */
    if (--g->left == 0)
        cond_broadcast(&g->done);
}

/* Reports an error that no group takes, or -ENOTRECOVERABLE, to config.fatal, once. */
static void tell_fatal(struct workers *p, const struct workers_work *w, int err)
{
    {
        MUTEX_GUARD(&p->lock);
        if (p->fatal)
            return;
        p->fatal = true;
    }
    if (p->config.fatal)
        p->config.fatal(p->config.ctx, w->name ? w->name : "a job", err);
}

/* Runs one job without the lock, reports its result and frees it. */
static void run_job(struct workers *p, struct job *j)
{
    const struct workers_work w = j->work;
    bool idle = w.class == WORKERS_LONG_IDLE;
    int err;

    works_long = w.class >= WORKERS_LONG;
    works_of = w.class;
    if (idle)
        thread_io_idle(true);
    err = w.fn(w.arg);
    assert(!rests);
    if (idle)
        thread_io_idle(false);
    if (err < 0 && (!w.group || err == -ENOTRECOVERABLE))
        tell_fatal(p, &w, err);
    {
        MUTEX_GUARD(&p->lock);
        p->of[w.class].running--;
        p->of[w.class].done++;
        p->of[w.class].failed += err < 0;
        TAILQ_REMOVE(&p->begun, j, list);
        cond_broadcast(&p->place);
        if (p->closed)
            cond_broadcast(&p->ended);
    }
    free(j);
    group_end(w.group, err); /* at last: whoever waited for the group finds the job gone */
}

static void *work(void *arg)
{
    struct workers *p = arg;
    struct job *j;

    working_for = p;
    while ((j = take_job(p)))
        run_job(p, j);
    return NULL;
}

/* ---- making one ---- */

/* Starts workers until there are `threads`. -EAGAIN: not all could be started. */
static int start(struct workers *p, size_t threads)
{
    int err = 0;

    while (p->threads < threads && err == 0) {
        err = thread_start(&p->thread[p->threads], work, p);
        p->threads += err == 0;
    }
    return err;
}

/* Starts as many threads as the queued and running long work can use. If a thread cannot be
 * started, that work waits for the threads that there are. Needs p->lock. */
static void start_for_long(struct workers *p)
{
    size_t n = long_running(p) + p->of[WORKERS_LONG].queued + p->of[WORKERS_LONG_IDLE].queued;

    if (n > p->config.long_threads)
        n = p->config.long_threads;
    (void)start(p, p->config.threads + n + long_taken(p) - long_running(p));
}

/* ---- resting ---- */

void workers_rest_begin(struct workers *p)
{
    struct workers_class_stats *of = &p->of[works_of];

    if (working_for != p || !works_long)
        return;
    MUTEX_GUARD(&p->lock);
    assert(!rests);
    if (of->resting >= p->config.long_threads)
        return;
    rests = true;
    of->running--;
    of->resting++;
    start_for_long(p);
    cond_broadcast(&p->place);
    if (pick(p))
        cond_signal(&p->work);
}

void workers_rest_end(struct workers *p, bool at_once, const _Atomic bool *stop)
{
    struct workers_class_stats *of = &p->of[works_of];

    if (working_for != p || !rests)
        return;
    MUTEX_GUARD(&p->lock);
    p->rested[works_of]++;
    while (!at_once && !has_place(p, works_of) && !(stop && atomic_load(stop)))
        (void)cond_wait_for(&p->place, &p->lock, LOOK_EVERY);
    p->rested[works_of]--;
    rests = false;
    of->resting--;
    of->running++;
    if (pick(p))
        cond_signal(&p->work);
}

/* ---- the limits ---- */

static void init(struct workers *p, const struct workers_config *config)
{
    p->config = *config;
    p->clock = config->clock ? config->clock : clock_real();
    mutex_init(&p->lock, "workers");
    cond_init(&p->work);
    cond_init(&p->place);
    cond_init(&p->room);
    cond_init(&p->ended);
    TAILQ_INIT(&p->begun);
    for (unsigned c = 0; c < WORKERS_CLASSES; c++)
        TAILQ_INIT(&p->ready[c]);
}

static bool is_right(const struct workers_config *c)
{
    return c->threads >= 1 && c->threads <= WORKERS_THREADS_MAX && c->long_threads >= 1 &&
           c->long_threads <= WORKERS_THREADS_MAX && c->queue >= 1 && c->queue <= WORKERS_QUEUE_MAX;
}

/* Sets the limits (threads, long_threads, queue) to those of `to`; its other fields are not read.
 * After an error the old limits hold. Needs p->lock. */
static int resize(struct workers *p, const struct workers_config *to)
{
    size_t busy = long_taken(p);
    int err = is_right(to) ? 0 : -EINVAL;

    if (err == 0)
        err = start(p, to->threads + (busy ? busy : 1));
    if (err < 0)
        return err;
    p->config.threads = to->threads;
    p->config.long_threads = to->long_threads;
    p->config.queue = to->queue;
    start_for_long(p);
    cond_broadcast(&p->work);
    cond_broadcast(&p->place);
    cond_broadcast(&p->room);
    return 0;
}

int workers_set_threads(struct workers *p, unsigned threads, unsigned long_threads)
{
    MUTEX_GUARD(&p->lock);
    struct workers_config to = p->config;

    to.threads = threads;
    to.long_threads = long_threads;
    return resize(p, &to);
}

int workers_set_queue(struct workers *p, size_t queue)
{
    MUTEX_GUARD(&p->lock);
    struct workers_config to = p->config;

    to.queue = queue;
    return resize(p, &to);
}

int workers_open(const struct workers_config *config, struct workers **ret_workers)
{
    struct workers *p;
    int err;

    if (!is_right(config))
        return -EINVAL;
    p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    init(p, config);
    mutex_lock(&p->lock);
    err = resize(p, config);
    mutex_unlock(&p->lock);
    if (err < 0) {
        workers_destroy(p);
        return err;
    }
    *ret_workers = p;
    return 0;
}

/* ---- the end ---- */

void workers_shutdown(struct workers *p)
{
    assert(working_for != p);
    MUTEX_GUARD(&p->lock);
    p->closed = true;
    cond_broadcast(&p->room);
    while (left(p) != 0)
        cond_wait(&p->ended, &p->lock);
}

/* Tells the owner of a withdrawn job, and its group, that it will never run (-ECANCELED). Without
 * p->lock, as `dropped` may call these functions. workers_shutdown waits until it is done. */
static void tell_dropped(struct workers *p, const struct workers_work *w)
{
    if (w->dropped)
        w->dropped(w->arg, -ECANCELED);
    group_end(w->group, -ECANCELED);
    MUTEX_GUARD(&p->lock);
    p->telling--;
    cond_broadcast(&p->ended);
}

/* Tells the workers to end, and waits until no submitter is inside. */
static void stop(struct workers *p)
{
    MUTEX_GUARD(&p->lock);
    p->stopping = true;
    cond_broadcast(&p->work);
    while (p->users > 0)
        cond_wait(&p->ended, &p->lock);
}

void workers_destroy(struct workers *p)
{
    if (!p)
        return;
    assert(working_for != p);
    if (p->threads > 0)
        workers_shutdown(p);
    stop(p);
    for (unsigned i = 0; i < p->threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    cond_destroy(&p->work);
    cond_destroy(&p->place);
    cond_destroy(&p->room);
    cond_destroy(&p->ended);
    mutex_destroy(&p->lock);
    free(p);
}

/* ---- submitting ---- */

static void group_begin(struct workers_group *g, const struct workers *p)
{
    if (!g)
        return;
    MUTEX_GUARD(&g->lock);
    g->workers = p;
    g->left++;
}

/* Waits until the queue of the class has room. Returns 0, -EAGAIN (without `wait`) or -ESHUTDOWN.
 * Needs p->lock; gives it up while it waits. */
static int await_room(struct workers *p, struct workers_class_stats *of, bool wait)
{
    int64_t since = 0;

    while (of->queued >= p->config.queue && !p->closed) {
        if (!wait)
            return -EAGAIN;
        if (since == 0)
            since = clock_ticks(p->clock);
        of->waiting++;
        cond_wait(&p->room, &p->lock);
        of->waiting--;
    }
    if (since != 0)
        of->waited_ns += clock_ticks(p->clock) - since;
    return p->closed ? -ESHUTDOWN : 0;
}

/* Gives the job an id and queues it. `users` makes workers_destroy wait. */
static int submit(struct workers *p, const struct workers_work *w, bool wait, uint64_t *ret_id)
{
    struct job *j = malloc(sizeof *j);
    int err;

    if (!j)
        return -ENOMEM;
    MUTEX_GUARD(&p->lock);
    p->users++;
    err = await_room(p, &p->of[w->class], wait);
    if (err == 0) {
        *j = (struct job){.work = *w, .id = ++p->serial};
        if (ret_id)
            *ret_id = j->id;
        TAILQ_INSERT_TAIL(&p->ready[w->class], j, list);
        p->of[w->class].queued++;
        cond_signal(&p->work);
        if (w->class >= WORKERS_LONG)
            start_for_long(p);
    } else {
        free(j);
    }
    if (--p->users == 0 && p->stopping)
        cond_broadcast(&p->ended);
    return err;
}

/* Submits a job and counts it in its group; one that was refused is counted out again. */
static int submit_of_group(struct workers *p, const struct workers_work *w, bool wait,
                           uint64_t *ret_id)
{
    int err;

    if (!w->fn || (unsigned)w->class >= WORKERS_CLASSES)
        return -EINVAL;
    group_begin(w->group, p); /* before: the job may end before this returns */
    err = submit(p, w, wait, ret_id);
    if (err < 0)
        group_end(w->group, 0);
    return err;
}

int workers_submit_work(struct workers *p, const struct workers_work *w, uint64_t *ret_id)
{
    assert(may_wait_for(p, w->class));
    return submit_of_group(p, w, true, ret_id);
}

int workers_try_submit(struct workers *p, const struct workers_work *w, uint64_t *ret_id)
{
    return submit_of_group(p, w, false, ret_id);
}

int workers_submit(struct workers *p, struct workers_group *g, workers_job_fn *fn, void *arg)
{
    const struct workers_work w = {.fn = fn, .arg = arg, .group = g, .class = WORKERS_NORMAL};

    return workers_submit_work(p, &w, NULL);
}

int workers_cancel(struct workers *p, uint64_t id)
{
    struct job *j = NULL;
    struct workers_work w;

    {
        MUTEX_GUARD(&p->lock);
        for (unsigned c = 0; c < WORKERS_CLASSES && !j; c++)
            j = find(&p->ready[c], id);
        if (!j)
            return find(&p->begun, id) ? -EBUSY : -ENOENT;
        withdraw(p, j, &w);
    }
    tell_dropped(p, &w);
    return 0;
}

void workers_get_stats(struct workers *p, struct workers_stats *ret)
{
    MUTEX_GUARD(&p->lock);

    for (unsigned c = 0; c < WORKERS_CLASSES; c++)
        ret->of[c] = p->of[c];
    for (unsigned c = WORKERS_LONG; c < WORKERS_CLASSES; c++) {
        ret->of[c].resting -= p->rested[c];
        ret->of[c].queued += p->rested[c];
    }
    ret->threads = p->config.threads;
    ret->long_threads = p->config.long_threads;
}

/* ---- groups ---- */

void workers_group_init(struct workers_group *g)
{
    *g = (struct workers_group){0};
    mutex_init(&g->lock, "workers_group");
    cond_init(&g->done);
}

static int wait_until_done(struct workers_group *g)
{
    MUTEX_GUARD(&g->lock);
    assert(!g->workers || may_wait_for(g->workers, WORKERS_NORMAL));
    while (g->left > 0)
        cond_wait(&g->done, &g->lock);
    return g->error;
}

int workers_group_wait(struct workers_group *g)
{
    int err = wait_until_done(g);
    cond_destroy(&g->done);
    mutex_destroy(&g->lock);
    return err;
}
