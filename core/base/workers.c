// SPDX-License-Identifier: Apache-2.0
/*
 * workers: worker threads over the queues of jobs that are ready, one queue for each class.
 *
 *     submit --room?--> slot --no key, or first of its key--> ready[class] --> worker --> free
 *                         \--else--> behind --when no earlier one of its key is left--^
 *
 * Slots are made before they are needed: at the start, and when the limits are raised. So a submit
 * allocates nothing, and cannot fail for want of memory. Threads for long work are started when
 * there is such work. One of them exists from the start, so it does no harm if others cannot be
 * started. Of the jobs with one key the first is ready or runs: it is in the map `keyed`, and has
 * the list of the others, which are behind it. So a submit and an end cost the same however many
 * wait.
 *
 * One mutex guards everything here. A group has a mutex of its own. No thread holds both.
 */
#include "workers.h"

#include "array.h"
#include "map64.h"
#include "thread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#define WORKERS_THREADS_MAX 256
#define LOOK_EVERY (50 * NSEC_PER_MSEC) /* how often the end of a rest looks at `stop` */
#define SLOT_BITS 20                    /* of an id: the number of its slot */

/* Where a slot is: free, behind an earlier job of its key, in a queue, or with a worker. */
enum place { FREE, BEHIND, READY, RUNNING };

TAILQ_HEAD(job_list, job);
struct job {
    struct workers_work work;
    uint64_t id;
    size_t number; /* of the slot */
    enum place place;
    TAILQ_ENTRY(job)
    list;                   /* READY: in ready[class]; BEHIND: in `behind` of the first of its key;
                             * FREE: in free */
    struct job_list behind; /* of the first of a key: the others, in the order of submission */
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
    struct job_list ready[WORKERS_CLASSES], free;
    struct map64 keyed; /* key -> the address of the first job of that key that has not ended */
    struct workers_class_stats of[WORKERS_CLASSES];
    size_t rested[WORKERS_CLASSES]; /* jobs whose rest is over and that wait for a place */
    uint64_t serial;
    bool closed; /* new jobs are refused */
    bool stopping;
    bool fatal;       /* config.fatal was called */
    unsigned users;   /* threads inside submit(); workers_destroy waits for them */
    unsigned telling; /* withdrawn jobs that tell_dropped was not called for yet */
    struct slots {
        struct job *v;
        size_t count;
    } * slots; /* several arrays; the numbers of slots go on from one to the next */
    size_t slots_made, slots_room, slot_count;
    unsigned threads; /* how many were started; `config` says how many may work */
    pthread_t thread[4 * WORKERS_THREADS_MAX]; /* short, long, and those that rest: see slots_for */
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

static void make_ready(struct workers *p, struct job *j)
{
    j->place = READY;
    TAILQ_INSERT_TAIL(&p->ready[j->work.class], j, list);
    cond_signal(&p->work);
}

/* The first job with this key, or NULL: it is the one that is ready or runs. */
static struct job *first_of(const struct workers *p, uint64_t key)
{
    uint64_t address = 0;

    return key && map64_get(&p->keyed, key, &address) ? (struct job *)(uintptr_t)address : NULL;
}

/* Makes a job the first of its key. The map has room for every slot, so this cannot fail. */
static void set_first(struct workers *p, struct job *j)
{
    int err = map64_put(&p->keyed, j->work.key, (uint64_t)(uintptr_t)j);

    assert(err == 0);
    (void)err;
}

/* Queues a job that has its slot: behind an earlier job of its key, or as ready. */
static void enqueue(struct workers *p, struct job *j)
{
    struct job *first = first_of(p, j->work.key);

    mutex_held(&p->lock);
    p->of[j->work.class].queued++;
    TAILQ_INIT(&j->behind);
    if (first) {
        j->place = BEHIND;
        TAILQ_INSERT_TAIL(&first->behind, j, list);
        return;
    }
    if (j->work.key)
        set_first(p, j);
    make_ready(p, j);
}

/* The first job of a key leaves: the next one takes its place in the map, and becomes ready. */
static void pass_on(struct workers *p, struct job *j)
{
    struct job *next = TAILQ_FIRST(&j->behind);

    if (!next) {
        (void)map64_del(&p->keyed, j->work.key);
        return;
    }
    TAILQ_REMOVE(&j->behind, next, list);
    TAILQ_CONCAT(&next->behind, &j->behind, list);
    set_first(p, next);
    make_ready(p, next);
}

/* Frees the slot of a job that ended or was withdrawn and is in no queue any more. The next job of
 * its key, which was waiting behind it, becomes ready. Needs p->lock. */
static void give_back(struct workers *p, struct job *j)
{
    if (first_of(p, j->work.key) == j)
        pass_on(p, j);
    j->place = FREE;
    j->id = 0;
    TAILQ_INSERT_HEAD(&p->free, j, list);
    cond_broadcast(&p->room); /* submitters of several classes wait: each looks again */
    if (p->closed)
        cond_broadcast(&p->ended);
}

/* Takes a job that has not begun out of its queue and frees its slot. *ret_w is a copy of its work:
 * the caller passes it to tell_dropped when it has released p->lock. */
static void withdraw(struct workers *p, struct job *j, struct workers_work *ret_w)
{
    struct workers_class_stats *of = &p->of[j->work.class];

    mutex_held(&p->lock);
    of->queued--;
    of->dropped++;
    p->telling++;
    *ret_w = j->work;
    if (j->place == READY)
        TAILQ_REMOVE(&p->ready[j->work.class], j, list);
    else
        TAILQ_REMOVE(&first_of(p, j->work.key)->behind, j, list);
    give_back(p, j);
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

/* The class of long work that may begin now, or WORKERS_CLASSES. Long work begins only if
 * config.threads workers are left for short work, and if no job whose rest is over can go on. */
static unsigned pick_long(const struct workers *p)
{
    for (unsigned c = WORKERS_LONG; c < WORKERS_CLASSES; c++)
        if (p->rested[c] > 0 && has_place(p, c))
            return WORKERS_CLASSES;
    if (long_taken(p) >= p->threads - p->config.threads)
        return WORKERS_CLASSES;
    for (unsigned c = WORKERS_LONG; c < WORKERS_CLASSES; c++)
        if (!TAILQ_EMPTY(&p->ready[c]) && has_place(p, c))
            return c;
    return WORKERS_CLASSES;
}

/* The class whose first job may begin now, or WORKERS_CLASSES. */
static unsigned pick(const struct workers *p)
{
    size_t normal = p->of[WORKERS_NORMAL].running;
    unsigned threads = p->config.threads, for_all = threads > 1 ? threads - 1 : 1;

    if (p->of[WORKERS_URGENT].running + normal >= threads)
        return pick_long(p);
    if (!TAILQ_EMPTY(&p->ready[WORKERS_URGENT]))
        return WORKERS_URGENT;
    if (!TAILQ_EMPTY(&p->ready[WORKERS_NORMAL]) && normal < for_all)
        return WORKERS_NORMAL;
    return pick_long(p);
}

/* Waits until a job may begin, and marks it as running. NULL: the worker is to end. If one more job
 * may begin, another worker is woken: a signal may have reached a worker that took nothing. */
static struct job *take_job(struct workers *p)
{
    struct job *j;
    unsigned class;
    MUTEX_GUARD(&p->lock);

    while ((class = pick(p)) == WORKERS_CLASSES) {
        if (p->stopping)
            return NULL;
        cond_wait(&p->work, &p->lock);
    }
    j = TAILQ_FIRST(&p->ready[class]);
    TAILQ_REMOVE(&p->ready[class], j, list);
    j->place = RUNNING;
    p->of[class].queued--;
    p->of[class].running++;
    cond_broadcast(&p->room);
    if (pick(p) != WORKERS_CLASSES)
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

/* Runs one job without the lock, reports its result and frees its slot. */
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
        give_back(p, j);
        cond_broadcast(&p->place);
    }
    /* After give_back: a thread that waited for the group then finds the slot of this job free. */
    group_end(w.group, err);
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

/* ---- slots: as many as queues and workers hold together ---- */

/* How many slots suffice: each class may fill its queue while every worker runs a job, and as many
 * jobs of both classes of long work rest as may run. */
static size_t slots_for(const struct workers_config *c)
{
    return c->queue * WORKERS_CLASSES + c->threads + 3 * (size_t)c->long_threads;
}

/* Makes slots until there are `count`. Slots are never freed before the end, since ids have their
 * numbers. -EINVAL: an id could not hold that many; -ENOMEM. Needs p->lock. */
static int make_slots(struct workers *p, size_t count)
{
    size_t more = count > p->slot_count ? count - p->slot_count : 0;
    struct job *v;

    if (more == 0)
        return 0;
    if (count >> SLOT_BITS)
        return -EINVAL;
    v = calloc(more, sizeof *v);
    if (!v || ARRAY_RESERVE(p->slots, p->slots_room, p->slots_made + 1) < 0 ||
        map64_reserve(&p->keyed, count) < 0) {
        free(v);
        return -ENOMEM;
    }
    p->slots[p->slots_made++] = (struct slots){v, more};
    for (size_t i = 0; i < more; i++) {
        v[i].number = p->slot_count++;
        TAILQ_INSERT_TAIL(&p->free, &v[i], list);
    }
    cond_broadcast(&p->room);
    return 0;
}

/* The slot with that number, which exists. Needs p->lock. */
static struct job *slot(struct workers *p, size_t number)
{
    const struct slots *s = p->slots;

    for (; number >= s->count; s++)
        number -= s->count;
    return &s->v[number];
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
    if (pick(p) != WORKERS_CLASSES)
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
    if (pick(p) != WORKERS_CLASSES)
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
    TAILQ_INIT(&p->free);
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
    int err = is_right(to) ? make_slots(p, slots_for(to)) : -EINVAL;

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
    for (size_t i = 0; i < p->slots_made; i++)
        free(p->slots[i].v);
    free(p->slots);
    map64_release(&p->keyed);
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

/* Waits until the queue of the class has room and a slot is free. Returns 0, -EAGAIN (without
 * `wait`) or -ESHUTDOWN. Needs p->lock; gives it up while it waits. */
static int await_room(struct workers *p, struct workers_class_stats *of, bool wait)
{
    int64_t since = 0;

    /* After the limits were lowered, other queues may hold more slots than they would get now:
     * so this queue can have room while no slot is free. */
    while ((of->queued >= p->config.queue || TAILQ_EMPTY(&p->free)) && !p->closed) {
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

/* Gives the job a slot and an id, and queues it. `users` makes workers_destroy wait. */
static int submit(struct workers *p, const struct workers_work *w, bool wait, uint64_t *ret_id)
{
    int err;
    MUTEX_GUARD(&p->lock);

    p->users++;
    err = await_room(p, &p->of[w->class], wait);
    if (err == 0) {
        struct job *j = TAILQ_FIRST(&p->free);
        TAILQ_REMOVE(&p->free, j, list);
        j->work = *w;
        j->id = ++p->serial << SLOT_BITS | j->number;
        if (ret_id)
            *ret_id = j->id;
        enqueue(p, j);
        if (w->class >= WORKERS_LONG)
            start_for_long(p);
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
    size_t number = id & ((UINT64_C(1) << SLOT_BITS) - 1);
    struct workers_work w;

    {
        MUTEX_GUARD(&p->lock);
        struct job *j = number < p->slot_count ? slot(p, number) : NULL;
        if (id == 0 || !j || j->id != id)
            return -ENOENT;
        if (j->place == RUNNING)
            return -EBUSY;
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
