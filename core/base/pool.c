// SPDX-License-Identifier: Apache-2.0
/*
 * pool: worker threads over three queues of jobs that are ready.
 *
 *     submit --room?--> slot --> ready[class] --> worker --> free
 *
 * Slots are made before they are needed, at the start and where the limits are raised: a submit
 * allocates nothing, so it cannot fail.
 *
 * One mutex guards it all; a job's group has its own, taken only when the job has ended, so the two
 * are never held together.
 */
#include "pool.h"

#include "array.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POOL_THREADS_MAX 256
#define SLOT_BITS 20 /* of an id: the number of its slot */

enum place { FREE, READY, RUNNING };

struct job {
    struct pool_work work;
    uint64_t id;
    size_t number; /* of the slot */
    enum place place;
    TAILQ_ENTRY(job) list;   /* READY: of its class; FREE: of the free */
};
TAILQ_HEAD(job_list, job);

struct pool {
    struct pool_config config;
    const struct clock *clock;
    struct mutex lock;
    struct cond work;  /* a job is ready, or stopping */
    struct cond room;  /* a job left a queue, or closed */
    struct cond ended; /* a job ended while closed */
    /* guarded by lock: */
    struct job_list ready[POOL_CLASSES], free;
    struct pool_class_stats of[POOL_CLASSES];
    uint64_t serial;
    bool closed; /* no new jobs */
    bool stopping;
    bool fatal;       /* it was called */
    unsigned users;   /* submitters inside, whom destroy waits for */
    unsigned telling; /* dropped jobs whose owners are being told */
    struct slots {
        struct job *v;
        size_t count;
    } *slots; /* numbered on from one to the next */
    size_t slots_made, slots_room, slot_count;
    unsigned threads; /* how many were started; config.threads: how many may work */
    pthread_t thread[POOL_THREADS_MAX];
};

const char *const pool_class_names[POOL_CLASSES] = {"urgent", "normal", "idle"};

static _Thread_local const struct pool *working_for;

/* ---- I/O priority: linux/ioprio.h, which not every system has ---- */

#define IOPRIO_WHO_THREAD 1
#define IOPRIO_CLASS 13 /* bits below it */
#define IOPRIO_IDLE (3 << IOPRIO_CLASS)

static _Thread_local int io_before;

void pool_io_idle(bool idle)
{
    const int is = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_THREAD, 0);
    if (idle && is >= 0 && is >> IOPRIO_CLASS != IOPRIO_IDLE >> IOPRIO_CLASS)
        io_before = is >> IOPRIO_CLASS == 0 ? 0 : is; /* of no class: no number either */
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, 0, idle ? IOPRIO_IDLE : io_before);
}

/* ---- queues: need p->lock ---- */

static void make_ready(struct pool *p, struct job *j)
{
    j->place = READY;
    TAILQ_INSERT_TAIL(&p->ready[j->work.class], j, list);
    cond_signal(&p->work);
}

static void enqueue(struct pool *p, struct job *j)
{
    mutex_held(&p->lock);
    p->of[j->work.class].queued++;
    make_ready(p, j);
}

static void give_back(struct pool *p, struct job *j)
{
    j->place = FREE;
    j->id = 0;
    TAILQ_INSERT_HEAD(&p->free, j, list);
    cond_broadcast(&p->room); /* of several classes: each looks for itself */
    if (p->closed)
        cond_broadcast(&p->ended);
}

/* Take back one that has not begun; tell_dropped comes next. */
static void withdraw(struct pool *p, struct job *j, struct pool_work *ret_w)
{
    struct pool_class_stats *of = &p->of[j->work.class];

    mutex_held(&p->lock);
    of->queued--;
    of->dropped++;
    p->telling++;
    *ret_w = j->work;
    TAILQ_REMOVE(&p->ready[j->work.class], j, list);
    give_back(p, j);
}

static size_t left(const struct pool *p)
{
    size_t n = p->telling;

    for (unsigned c = 0; c < POOL_CLASSES; c++)
        n += p->of[c].queued + p->of[c].running;
    return n;
}

/* ---- the workers ---- */

/* The class whose first job may begin now, or POOL_CLASSES. */
static unsigned pick(const struct pool *p)
{
    size_t normal = p->of[POOL_NORMAL].running, idle = p->of[POOL_IDLE].running;
    unsigned threads = p->config.threads;
    size_t for_all = threads > 1 ? threads - 1 : 1, for_idle = for_all > 1 ? for_all - 1 : 1;

    if (!TAILQ_EMPTY(&p->ready[POOL_URGENT]) &&
        p->of[POOL_URGENT].running + normal + idle < threads)
        return POOL_URGENT;
    if (!TAILQ_EMPTY(&p->ready[POOL_NORMAL]) && normal + idle < for_all)
        return POOL_NORMAL;
    if (!TAILQ_EMPTY(&p->ready[POOL_IDLE]) && normal + idle < for_all && idle < for_idle)
        return POOL_IDLE;
    return POOL_CLASSES;
}

static struct job *take(struct pool *p)
{
    struct job *j;
    unsigned class;
    MUTEX_GUARD(&p->lock);

    while ((class = pick(p)) == POOL_CLASSES) {
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
    if (pick(p) != POOL_CLASSES)
        cond_signal(&p->work);
    return j;
}

static void group_end(struct pool_group *g, int result)
{
    if (g == NULL)
        return;
    MUTEX_GUARD(&g->lock);
    if (g->error == 0)
        g->error = result;
    /* Under the lock: the waiter frees the group as soon as it can take it. */
    if (--g->left == 0)
        cond_broadcast(&g->done);
}

/* An error that nobody takes. */
static void tell_fatal(struct pool *p, const struct pool_work *w, int err)
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

static void run(struct pool *p, struct job *j)
{
    const struct pool_work w = j->work;
    int err;

    if (w.class == POOL_IDLE)
        pool_io_idle(true);
    err = w.fn(w.arg);
    if (w.class == POOL_IDLE)
        pool_io_idle(false);
    if (err < 0 && (w.group == NULL || err == -ENOTRECOVERABLE))
        tell_fatal(p, &w, err);
    {
        MUTEX_GUARD(&p->lock);
        p->of[w.class].running--;
        p->of[w.class].done++;
        p->of[w.class].failed += err < 0;
        give_back(p, j);
    }
    /* After the slot: who waited for the group may then submit without waiting for this one. */
    group_end(w.group, err);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    struct job *j;

    working_for = p;
    while ((j = take(p)) != NULL)
        run(p, j);
    return NULL;
}

/* ---- slots: as many as queues and workers hold together ---- */

static size_t slots_for(size_t queue, unsigned threads)
{
    return queue * POOL_CLASSES + threads;
}

/* Needs p->lock. */
static int make_slots(struct pool *p, size_t count)
{
    size_t more = count > p->slot_count ? count - p->slot_count : 0;
    struct job *v;

    if (more == 0)
        return 0;
    if (count >> SLOT_BITS)
        return -EINVAL;
    v = calloc(more, sizeof *v);
    if (!v || ARRAY_RESERVE(p->slots, p->slots_room, p->slots_made + 1) < 0) {
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

/* Needs p->lock. */
static struct job *slot(struct pool *p, size_t number)
{
    const struct slots *s = p->slots;

    for (; number >= s->count; s++)
        number -= s->count;
    return &s->v[number];
}

/* ---- making one ---- */

/* Signals are for the threads of the program, except those a thread causes itself. */
static void block_signals(sigset_t *ret_old)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&set, own[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, ret_old);
}

static int start(struct pool *p, unsigned threads)
{
    sigset_t old;
    int error = 0;
    block_signals(&old);
    while (p->threads < threads && error == 0) {
        error = pthread_create(&p->thread[p->threads], NULL, work, p);
        if (error == 0)
            p->threads++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

static void init(struct pool *p, const struct pool_config *config)
{
    p->config = *config;
    p->clock = config->clock ? config->clock : clock_real();
    mutex_init(&p->lock, "pool");
    cond_init(&p->work);
    cond_init(&p->room);
    cond_init(&p->ended);
    TAILQ_INIT(&p->free);
    for (unsigned c = 0; c < POOL_CLASSES; c++)
        TAILQ_INIT(&p->ready[c]);
}

static bool is_right(unsigned threads, size_t queue)
{
    return threads >= 1 && threads <= POOL_THREADS_MAX && queue >= 1 && queue <= POOL_QUEUE_MAX;
}

/* `threads` 0: as many as there are. */
static int resize(struct pool *p, unsigned threads, size_t queue)
{
    int err;
    MUTEX_GUARD(&p->lock);

    threads = threads ? threads : p->config.threads;
    queue = queue ? queue : p->config.queue;
    err = is_right(threads, queue) ? make_slots(p, slots_for(queue, threads)) : -EINVAL;
    if (err == 0)
        err = start(p, threads);
    if (err < 0)
        return err;
    p->config.threads = threads;
    p->config.queue = queue;
    cond_broadcast(&p->work);
    cond_broadcast(&p->room);
    return 0;
}

int pool_set_threads(struct pool *p, unsigned threads)
{
    return threads ? resize(p, threads, 0) : -EINVAL;
}

int pool_set_queue(struct pool *p, size_t queue)
{
    return queue ? resize(p, 0, queue) : -EINVAL;
}

int pool_open(const struct pool_config *config, struct pool **ret_pool)
{
    struct pool *p;
    int r;

    if (!is_right(config->threads, config->queue))
        return -EINVAL;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    init(p, config);
    r = resize(p, config->threads, config->queue);
    if (r < 0) {
        pool_destroy(p);
        return r;
    }
    *ret_pool = p;
    return 0;
}

int pool_create(unsigned threads, size_t queue, struct pool **ret_pool)
{
    return pool_open(&(struct pool_config){.threads = threads, .queue = queue}, ret_pool);
}

/* ---- the end ---- */

static void close_queues(struct pool *p)
{
    mutex_held(&p->lock);
    p->closed = true;
    cond_broadcast(&p->room);
}

void pool_shutdown(struct pool *p, void (*remaining)(void *ctx, size_t jobs), void *ctx)
{
    size_t told = SIZE_MAX, now;

    assert(working_for != p);
    do {
        {
            MUTEX_GUARD(&p->lock);
            close_queues(p);
            while ((now = left(p)) != 0 && now >= told)
                cond_wait(&p->ended, &p->lock);
        }
        if (remaining && (now != 0 || told != SIZE_MAX))
            remaining(ctx, now);
        told = now;
    } while (now != 0);
}

/* Any job that has not begun, taken back; false: there is none. */
static bool withdraw_any(struct pool *p, struct pool_work *ret_w)
{
    MUTEX_GUARD(&p->lock);

    close_queues(p);
    for (size_t i = 0; i < p->slot_count; i++) {
        struct job *j = slot(p, i);
        if (j->place != READY)
            continue;
        withdraw(p, j, ret_w);
        return true;
    }
    return false;
}

static void tell_dropped(struct pool *p, const struct pool_work *w, int err)
{
    if (w->dropped)
        w->dropped(w->arg, err);
    group_end(w->group, err);
    MUTEX_GUARD(&p->lock);
    p->telling--;
    cond_broadcast(&p->ended);
}

size_t pool_abort(struct pool *p)
{
    struct pool_work w;
    size_t n = 0;

    for (; withdraw_any(p, &w); n++)
        tell_dropped(p, &w, -ESHUTDOWN);
    return n;
}

static void stop(struct pool *p)
{
    MUTEX_GUARD(&p->lock);
    p->stopping = true;
    cond_broadcast(&p->work);
    while (p->users > 0)
        cond_wait(&p->ended, &p->lock);
}

void pool_destroy(struct pool *p)
{
    if (p == NULL)
        return;
    assert(working_for != p);
    if (p->threads > 0)
        pool_shutdown(p, NULL, NULL);
    stop(p);
    for (unsigned i = 0; i < p->threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    cond_destroy(&p->work);
    cond_destroy(&p->room);
    cond_destroy(&p->ended);
    mutex_destroy(&p->lock);
    for (size_t i = 0; i < p->slots_made; i++)
        free(p->slots[i].v);
    free(p->slots);
    free(p);
}

/* ---- submitting ---- */

static void group_begin(struct pool_group *g, const struct pool *p)
{
    if (g == NULL)
        return;
    MUTEX_GUARD(&g->lock);
    g->pool = p;
    g->left++;
}

/* Needs p->lock; gives it up while it waits. */
static int await_room(struct pool *p, struct pool_class_stats *of, bool wait)
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

static int submit(struct pool *p, const struct pool_work *w, bool wait, uint64_t *ret_id)
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
    }
    if (--p->users == 0 && p->stopping)
        cond_broadcast(&p->ended);
    return err;
}

static int submit_of_group(struct pool *p, const struct pool_work *w, bool wait, uint64_t *ret_id)
{
    int err;

    if (w->fn == NULL || (unsigned)w->class >= POOL_CLASSES)
        return -EINVAL;
    group_begin(w->group, p); /* before: the job may end before this returns */
    err = submit(p, w, wait, ret_id);
    if (err < 0)
        group_end(w->group, 0);
    return err;
}

int pool_submit_work(struct pool *p, const struct pool_work *w, uint64_t *ret_id)
{
    assert(working_for != p);
    return submit_of_group(p, w, true, ret_id);
}

int pool_try_submit(struct pool *p, const struct pool_work *w, uint64_t *ret_id)
{
    return submit_of_group(p, w, false, ret_id);
}

int pool_submit(struct pool *p, struct pool_group *g, pool_job_fn *fn, void *arg)
{
    const struct pool_work w = {.fn = fn, .arg = arg, .group = g, .class = POOL_NORMAL};

    return pool_submit_work(p, &w, NULL);
}

int pool_cancel(struct pool *p, uint64_t id)
{
    size_t number = id & ((UINT64_C(1) << SLOT_BITS) - 1);
    struct pool_work w;

    {
        MUTEX_GUARD(&p->lock);
        struct job *j = number < p->slot_count ? slot(p, number) : NULL;
        if (id == 0 || !j || j->id != id)
            return -ENOENT;
        if (j->place == RUNNING)
            return -EBUSY;
        withdraw(p, j, &w);
    }
    tell_dropped(p, &w, -ECANCELED);
    return 0;
}

void pool_get_stats(struct pool *p, struct pool_stats *ret)
{
    MUTEX_GUARD(&p->lock);

    for (unsigned c = 0; c < POOL_CLASSES; c++)
        ret->of[c] = p->of[c];
    ret->threads = p->config.threads;
}

/* ---- groups ---- */

void pool_group_init(struct pool_group *g)
{
    *g = (struct pool_group){0};
    mutex_init(&g->lock, "pool_group");
    cond_init(&g->done);
}

static int wait_until_done(struct pool_group *g)
{
    MUTEX_GUARD(&g->lock);
    assert(g->pool == NULL || working_for != g->pool);
    while (g->left > 0)
        cond_wait(&g->done, &g->lock);
    return g->error;
}

int pool_group_wait(struct pool_group *g)
{
    int r = wait_until_done(g);
    cond_destroy(&g->done);
    mutex_destroy(&g->lock);
    return r;
}
