// SPDX-License-Identifier: Apache-2.0
/*
 * shard_ask: see shard_ask.h. An asker that has nothing to do stays for a while. A place has a
 * reference for each open shard, for each shard that is being opened, for each meter, and for each
 * ask that was left; with the last one its askers end.
 *
 * `idle` counts the askers that wait for work, less the asks in the queue: each of these asks will
 * be taken by one of them.
 */
#include "shard_ask.h"

#include "clock.h"
#include "thread.h"
#include "waits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STAY (10 * NSEC_PER_SEC)     /* an asker without work ends after that time */
#define LOOK (200 * NSEC_PER_MSEC)   /* how often a waiting caller reads the patience */
#define PATIENCE (30 * NSEC_PER_SEC) /* the default of shard_set_patience */

struct place {
    struct place *next;          /* guarded by: places_lock; in `places` */
    unsigned refs;               /* guarded by: places_lock */
    char url[SHARD_URL_MAX + 1]; /* never changes */
    struct place_traffic traffic;
    struct mutex lock; /* "place"; guards all fields below */
    struct cond work, ended;
    STAILQ_HEAD(, ask) asks;
    unsigned idle, askers;
    _Atomic unsigned silent; /* asks that were left and have not come back */
    struct shard *to_close;  /* list of shards to close when the place answers again */
    bool ending;
};

static struct place *places; /* guarded by: places_lock */
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int64_t patience = PATIENCE; /* ns */

void shard_set_patience(int64_t duration_ns)
{
    atomic_store(&patience, duration_ns);
}

int64_t shard_patience(void)
{
    return atomic_load(&patience);
}

/* ---- places ---- */

/* Needs places_lock. */
static struct place *find_place(const char *url)
{
    struct place *p = places;

    while (p && strcmp(p->url, url) != 0)
        p = p->next;
    return p;
}

/* Makes a place and puts it into the list. NULL: no memory. Needs places_lock. */
static struct place *make(const char *url)
{
    struct place *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    memcpy(p->url, url, strlen(url) + 1);
    mutex_init(&p->lock, "place");
    cond_init(&p->work);
    cond_init(&p->ended);
    STAILQ_INIT(&p->asks);
    p->next = places;
    return places = p;
}

struct place *place_get(const char *url)
{
    struct place *p;

    pthread_mutex_lock(&places_lock);
    p = find_place(url);
    if (!p)
        p = make(url);
    if (p)
        p->refs++;
    pthread_mutex_unlock(&places_lock);
    return p;
}

struct place_traffic *place_traffic(struct place *p)
{
    return &p->traffic;
}

/* Gives up one reference. True: it was the last one, and the place is not in `places` any more. */
static bool drop_reference(struct place *p)
{
    bool last;

    pthread_mutex_lock(&places_lock);
    last = --p->refs == 0;
    if (last) {
        struct place **at = &places;
        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
    }
    pthread_mutex_unlock(&places_lock);
    return last;
}

void place_put(struct place *p)
{
    if (!drop_reference(p))
        return;
    {
        MUTEX_GUARD(&p->lock);
        p->ending = true;
        cond_broadcast(&p->work);
        while (p->askers > 0)
            cond_wait(&p->ended, &p->lock);
    }
    cond_destroy(&p->work);
    cond_destroy(&p->ended);
    mutex_destroy(&p->lock);
    free(p);
}

bool shard_is_silent(const char *url, char ret_url[SHARD_URL_MAX + 1])
{
    struct place *p;

    pthread_mutex_lock(&places_lock);
    p = url ? find_place(url) : places;
    while (!url && p && atomic_load(&p->silent) == 0)
        p = p->next;
    bool is = p && atomic_load(&p->silent) > 0;

    if (is && ret_url)
        memcpy(ret_url, p->url, sizeof p->url);
    pthread_mutex_unlock(&places_lock);
    return is;
}

/* If the place is silent, keeps the shard to be closed by close_late. False: it is not silent.
 * Needs the lock. */
static bool close_later(struct place *p, struct shard *s)
{
    if (atomic_load(&p->silent) == 0)
        return false;
    s->next = p->to_close;
    p->to_close = s;
    return true;
}

bool place_close_later(struct place *p, struct shard *s)
{
    MUTEX_GUARD(&p->lock);
    return close_later(p, s);
}

/* ---- asks ---- */

struct ask *ask_make(struct place *p, ask_fn *run, size_t room)
{
    struct ask *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->place = p;
    a->run = run;
    a->io_idle = thread_io_is_idle();
    cond_init(&a->changed);
    a->len = room;
    a->data = room ? calloc(1, room) : NULL;
    if (room && !a->data) {
        ask_free(a);
        return NULL;
    }
    return a;
}

void ask_free(struct ask *a)
{
    if (!a)
        return;
    cond_destroy(&a->changed);
    free(a->data);
    free(a);
}

int ask_back(struct ask *a, ask_back_fn *fn, void *arg)
{
    MUTEX_GUARD(&a->place->lock);
    if (a->state == ASK_LEFT)
        return -ECANCELED;
    a->back = fn;
    a->back_arg = arg;
    a->state = ASK_CALLS_BACK;
    cond_broadcast(&a->changed);
    while (a->state == ASK_CALLS_BACK)
        cond_wait(&a->changed, &a->place->lock);
    return a->back_result;
}

/* ---- askers ---- */

static _Thread_local struct ask *running; /* what this asker runs now */
static _Thread_local int64_t went_on;     /* ticks: when it last said that it goes on */

static int do_nothing(struct ask *a, void *arg)
{
    (void)a, (void)arg;
    return 0;
}

int shard_goes_on(void)
{
    int64_t now = clock_ticks(clock_real());

    if (!running || now - went_on < NSEC_PER_SEC)
        return 0;
    went_on = now;
    return ask_back(running, do_nothing, NULL);
}

/* All late calls have come back: closes the shards that were to be closed meanwhile. Needs the
 * lock, which it gives up. */
static void close_late(struct place *p)
{
    while (p->to_close) {
        struct shard *s = p->to_close;

        p->to_close = s->next;
        mutex_unlock(&p->lock);
        s->driver->close(s);
        (void)drop_reference(p); /* not the last: the ask has one, too */
        mutex_lock(&p->lock);
    }
}

/* Ends an ask that comes back after its caller has left it. With the last such ask the place is not
 * silent any more. Needs the lock, which it gives up. */
static void come_late(struct place *p, struct ask *a)
{
    if (a->late) {
        mutex_unlock(&p->lock);
        a->late(a);
        mutex_lock(&p->lock);
    }
    if (atomic_load(&p->silent) == 1)
        close_late(p);
    atomic_fetch_sub(&p->silent, 1);
    ask_free(a);
}

/* Runs one ask. True: its caller has left it meanwhile; this asker then has the reference to the
 * place that the ask had. Needs the lock, which it gives up. */
static bool answer(struct place *p, struct ask *a)
{
    if (a->state == ASK_WAITS)
        a->state = ASK_RUNS;
    mutex_unlock(&p->lock);
    if (thread_io_is_idle() != a->io_idle)
        thread_io_idle(a->io_idle);
    running = a;
    ssize_t result;
    {
        WAITS_GUARD(WAITS_SHARD, p->url, 0, NULL);
        result = a->run(a);
    }
    running = NULL;
    mutex_lock(&p->lock);
    if (a->state == ASK_LEFT) {
        come_late(p, a);
        return true;
    }
    a->result = result;
    a->state = ASK_DONE;
    cond_broadcast(&a->changed);
    p->idle++;
    return false;
}

/* Waits for the next ask in the queue. False: the asker is to end, because the place ends, or
 * because it has had no work for STAY and another asker is idle. Needs the lock. */
static bool next_ask(struct place *p, struct ask **ret)
{
    int left = 0;

    while (STAILQ_EMPTY(&p->asks)) {
        if (p->ending || (left < 0 && p->idle > 0))
            return false;
        left = cond_wait_for(&p->work, &p->lock, STAY);
    }
    *ret = STAILQ_FIRST(&p->asks);
    STAILQ_REMOVE_HEAD(&p->asks, next);
    return true;
}

/* An asker: runs asks until the place ends, or until a call comes back late. After a late call it
 * ends: it has a reference to the place, which it gives back outside of the lock. */
static void *asker_main(void *arg)
{
    struct place *p = arg;
    struct ask *a;
    bool late = false;

    mutex_lock(&p->lock);
    while (!late && next_ask(p, &a))
        late = answer(p, a);
    if (!late)
        p->idle--;
    p->askers--;
    cond_broadcast(&p->ended);
    mutex_unlock(&p->lock); /* unless `late`, the place may be freed after this */
    if (late)
        place_put(p);
    return NULL;
}

/* Starts one more asker: a detached thread. -ENOMEM: it could not be started. Needs the lock. */
static int start_asker(struct place *p)
{
    if (thread_start(NULL, asker_main, p) < 0)
        return -ENOMEM;
    p->askers++;
    return 0;
}

/* ---- asking ---- */

/* Puts an ask into the queue, and starts an asker if none is idle. -EHOSTUNREACH: the place is
 * silent. Needs the lock. */
static int enqueue(struct place *p, struct ask *a)
{
    if (a->closes && close_later(p, a->shard))
        return -EHOSTUNREACH;
    if (atomic_load(&p->silent) > 0)
        return -EHOSTUNREACH;
    int err = p->idle > 0 ? 0 : start_asker(p);

    if (err < 0)
        return err;
    if (p->idle > 0)
        p->idle--;
    STAILQ_INSERT_TAIL(&p->asks, a, next);
    cond_signal(&p->work);
    return 0;
}

/* In the thread that asks: calls the function that `run` gave to ask_back, and hands its result to
 * the asker. Needs the lock, which it gives up. */
static void call_back(struct place *p, struct ask *a)
{
    mutex_unlock(&p->lock);
    int result = a->back(a, a->back_arg);

    mutex_lock(&p->lock);
    a->back_result = result;
    a->state = ASK_RUNS;
    cond_broadcast(&a->changed);
}

/* Waits for the answer. Each ask_back begins the time anew. False: the time is over. Needs the
 * lock, which it gives up. */
static bool await(struct place *p, struct ask *a, int64_t longer)
{
    const struct clock *clock = clock_real();
    int64_t begun = clock_ticks(clock), left;
    WAITS_GUARD(WAITS_SHARD, p->url, 0, NULL);

    while (a->state != ASK_DONE) {
        if (a->state == ASK_CALLS_BACK) {
            call_back(p, a);
            begun = clock_ticks(clock);
            continue;
        }
        left = begun + atomic_load(&patience) + longer - clock_ticks(clock);
        if (left <= 0)
            return false;
        (void)cond_wait_for(&a->changed, &p->lock, left < LOOK ? left : LOOK);
    }
    return true;
}

/* Leaves an ask whose time is over. If no asker has begun it, it is dropped; else it stays with its
 * asker and gets a reference to the place. The place is silent until it comes back.
 * Needs the lock. */
static void leave(struct place *p, struct ask *a)
{
    if (a->state == ASK_WAITS && !a->closes) { /* no asker has begun it */
        STAILQ_REMOVE(&p->asks, a, ask, next);
        p->idle++;
        ask_free(a);
        return;
    }
    a->state = ASK_LEFT;
    atomic_fetch_add(&p->silent, 1);
    pthread_mutex_lock(&places_lock);
    p->refs++;
    pthread_mutex_unlock(&places_lock);
}

int shard_ask(struct ask *a, int64_t longer)
{
    struct place *p = a->place;
    MUTEX_GUARD(&p->lock);
    int err = enqueue(p, a);

    if (err < 0) {
        ask_free(a);
        return err;
    }
    if (await(p, a, longer))
        return 0;
    leave(p, a);
    return -EHOSTUNREACH;
}
