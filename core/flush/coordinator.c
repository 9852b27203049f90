// SPDX-License-Identifier: Apache-2.0
/*
 * coordinator: see the header. The queue has the pending flushes in rotate order; each flush
 * stands for the batches first … number. It has more than one batch if earlier flushes were merged
 * into it. Only the first flush of the queue is ever finalized, and only after its last stream
 * covered all its batches.
 *
 * The thread that runs a stream or a finalize owns that flush meanwhile (STREAMING, FINALIZING): no
 * other thread takes the flush out of the queue.
 */
#include "coordinator.h"
#include "lock.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* DUE: its stream has to begin; FAILED: its stream or finalize has failed and waits for a retry. */
enum state { DUE, STREAMING, STREAMED, FINALIZING, FAILED };

/* A flush in the queue. guarded by: "coordinator" */
struct flight {
    struct coordinator *c;
    uint64_t first, number; /* batches */
    uint64_t streamed;      /* the first batch of the last stream */
    enum state state;
    bool permit; /* this flush holds a permit */
    unsigned failures;
    int error;                          /* of the last failure */
    int64_t begun, failed_at, retry_at; /* ticks */
    struct ticket *ticket;
    TAILQ_ENTRY(flight) next;
};
TAILQ_HEAD(flights, flight);

struct coordinator {
    struct coordinator_config config;
    struct mutex rotation; /* "rotation": one rotation at a time; taken before `lock` */
    struct mutex lock;     /* "coordinator": guards the rest */
    struct cond changed;
    struct flights flights;
    uint64_t next, done; /* number of the next rotation; all batches below `done` are finalized */
    unsigned used;       /* permits that are held */
    unsigned rotating;   /* permits that are held by rotations under way; part of `used` */
    size_t waiting;
    size_t running; /* streams and finalizes */
    bool aborted, stop;
    int fatal;
    uint64_t failed, given_up;
    int error;
    struct ticket *recent[TICKETS_KEPT];
    /* not guarded: */
    pthread_t thread;
    bool thread_runs; /* used only by the callers that start and join `thread` */
};

/* ---- failures; all need the lock ---- */

static int64_t now(const struct coordinator *c)
{
    return clock_ticks(c->config.clock);
}

/* The delay in ns before the next attempt after `failures` (at least 1) failed ones: it doubles
 * with each failure, up to COORDINATOR_BACKOFF_MAX. */
static int64_t backoff(unsigned failures)
{
    int64_t duration_ns = COORDINATOR_BACKOFF;

    while (--failures > 0 && duration_ns < COORDINATOR_BACKOFF_MAX)
        duration_ns *= 2;
    return duration_ns < COORDINATOR_BACKOFF_MAX ? duration_ns : COORDINATOR_BACKOFF_MAX;
}

/* Give the permit of a flush back, if it holds one. Needs the lock. */
static void give_back_permit(struct coordinator *c, struct flight *f)
{
    c->used -= f->permit;
    f->permit = false;
}

static void flight_free(struct flight *f)
{
    ticket_unref(f->ticket);
    free(f);
}

/* A failed flush without a permit has used up its retries (give_up_if_due). */
static bool gave_up(const struct flight *f)
{
    return f->state == FAILED && !f->permit;
}

/* Hand the batches of `f`, which has given up, to its successor `to`. A stream of `to` that runs or
 * has ended did not cover these batches, so `to` must be streamed again. */
static void merge(struct coordinator *c, struct flight *f, struct flight *to)
{
    to->first = f->first;
    to->begun = f->begun;
    if (to->state == STREAMED)
        to->state = DUE;
    TAILQ_REMOVE(&c->flights, f, next);
    flight_free(f);
}

/* Resolve the tickets of all pending flushes with `err`, as dropped before completion: the
 * coordinator will not work on these flushes any more. */
static void drop_all(struct coordinator *c, int err)
{
    struct flight *f;

    TAILQ_FOREACH(f, &c->flights, next)
    ticket_resolve(f->ticket, err, true);
}

/* If `f` has failed more than `retry` times, its ticket fails and its permit is given back. Its
 * batches go to its successor, if there is one: then `f` is freed. */
static void give_up_if_due(struct coordinator *c, struct flight *f)
{
    if (c->config.retry < 0 || f->failures <= c->config.retry || c->fatal)
        return;
    if (f->permit) {
        ticket_resolve(f->ticket, f->error, false);
        give_back_permit(c, f);
        c->given_up++;
    }
    if (TAILQ_NEXT(f, next))
        merge(c, f, TAILQ_NEXT(f, next));
}

/* Record a failed attempt of `f` and set the time of the next one. The tickets of all flushes
 * behind `f` are informed as well, because they cannot be finalized before it. A `fatal` error ends
 * all. */
static void failed(struct coordinator *c, struct flight *f, int err, int fatal)
{
    struct flight *behind = f;

    f->state = FAILED;
    f->failures++;
    f->failed_at = now(c);
    f->retry_at = f->failed_at + backoff(f->failures);
    c->failed++;
    f->error = c->error = err;
    for (; behind; behind = TAILQ_NEXT(behind, next))
        ticket_tell(behind->ticket, err);
    if (fatal < 0 && c->fatal == 0) {
        c->fatal = fatal;
        drop_all(c, fatal);
    }
    give_up_if_due(c, f);
}

/* ---- streams and finalizes ---- */

/* Is `err` an error after which nothing must be tried again? The fatal error, or 0. */
static int ask_fatal(struct coordinator *c, int err)
{
    return err < 0 && c->config.fatal ? c->config.fatal(c->config.ctx) : 0;
}

/* The stream of `f` begins: it covers the batches from f->first on. Needs the lock. */
static void begin_stream(struct coordinator *c, struct flight *f)
{
    f->state = STREAMING;
    f->streamed = f->first;
    c->running++;
}

/* Record how the stream of `f` ended. If a predecessor was merged into `f` meanwhile, the stream
 * did not cover the batches of that predecessor, and `f` is due again. */
static void end_stream(struct coordinator *c, struct flight *f, int err)
{
    int fatal = ask_fatal(c, err);
    MUTEX_GUARD(&c->lock);

    c->running--;
    if (err < 0)
        failed(c, f, err, fatal);
    else
        f->state = f->first < f->streamed ? DUE : STREAMED; /* a predecessor was merged into it */
    cond_broadcast(&c->changed);
}

/* Stream all batches of a flush, in order: the batches that it took over from a predecessor that
 * gave up come first. */
static int stream(void *arg)
{
    struct flight *f = arg;
    struct coordinator *c = f->c;
    int err = 0;

    for (uint64_t n = f->streamed; n <= f->number && err == 0; n++)
        err = c->config.stream(c->config.ctx, n);
    end_stream(c, f, err);
    return 0;
}

/* Run the stream of `f`, for which begin_stream was called: on another thread if `submit` accepts
 * it, else here. The caller does not hold the lock. */
static void hand_out(struct coordinator *c, struct flight *f)
{
    if (!c->config.submit || c->config.submit(c->config.ctx, stream, f) < 0)
        (void)stream(f);
}

/* Finalize `f`, the first flush of the queue, which is streamed. After success `f` is freed. Needs
 * the lock, and releases it while the function of the configuration runs. */
static int finalize(struct coordinator *c, struct flight *f)
{
    uint64_t first = f->first, last = f->number;
    int err, fatal;

    f->state = FINALIZING;
    c->running++;
    mutex_unlock(&c->lock);
    err = c->config.finalize(c->config.ctx, first, last);
    fatal = ask_fatal(c, err);
    mutex_lock(&c->lock);
    c->running--;
    if (err < 0) {
        failed(c, f, err, fatal);
    } else {
        c->error = 0;
        c->done = last + 1;
        TAILQ_REMOVE(&c->flights, f, next);
        give_back_permit(c, f);
        ticket_resolve(f->ticket, 0, false);
        flight_free(f);
    }
    cond_broadcast(&c->changed);
    return err;
}

/* Can the stream of `f` begin now: for the first time, or again after the back-off? */
static bool is_due(const struct coordinator *c, const struct flight *f)
{
    return f->state == DUE || (f->state == FAILED && f->retry_at <= now(c));
}

/* Do one finalize, or begin one stream. False: there is nothing to do now. Needs the lock, and
 * releases it while it works. */
static bool step(struct coordinator *c)
{
    struct flight *f = TAILQ_FIRST(&c->flights);

    if (c->fatal || c->aborted || !f)
        return false;
    if (f->state == STREAMED) {
        (void)finalize(c, f);
        return true;
    }
    TAILQ_FOREACH(f, &c->flights, next)
    if (is_due(c, f))
        break;
    if (!f)
        return false;
    begin_stream(c, f);
    mutex_unlock(&c->lock);
    hand_out(c, f);
    mutex_lock(&c->lock);
    return true;
}

/* ns until the next retry; -1: there is none. */
static int64_t until_retry(const struct coordinator *c)
{
    int64_t least = -1;
    struct flight *f;

    TAILQ_FOREACH(f, &c->flights, next)
    if (f->state == FAILED) {
        int64_t left = f->retry_at - now(c);
        left = left > 0 ? left : 1;
        least = least < 0 || left < least ? left : least;
    }
    return c->fatal || c->aborted ? -1 : least;
}

/* Wait until something changes or the next retry is due. Needs the lock. */
static void rest(struct coordinator *c)
{
    int64_t duration_ns = until_retry(c);

    if (duration_ns < 0)
        cond_wait(&c->changed, &c->lock);
    else
        (void)cond_wait_for(&c->changed, &c->lock, duration_ns);
}

/* The thread of the coordinator. While there is nothing to stream or finalize it does portions of
 * the work that can wait (`idle`), until there is none. */
static void *coordinator_thread(void *arg)
{
    struct coordinator *c = arg;
    MUTEX_GUARD(&c->lock);
    bool more = true; /* `idle` may have more work */

    while (!c->stop) {
        if (step(c)) {
            more = true;
            continue;
        }
        if (!more || !c->config.idle || c->aborted) {
            rest(c);
            continue;
        }
        mutex_unlock(&c->lock);
        more = c->config.idle(c->config.ctx);
        mutex_lock(&c->lock);
    }
    return NULL;
}

int coordinator_run(struct coordinator *c)
{
    MUTEX_GUARD(&c->lock);
    struct flight *f;
    int err = 0;

    while (err == 0 && (f = TAILQ_FIRST(&c->flights))) {
        if (c->fatal || c->aborted)
            return c->fatal ? c->fatal : -ESHUTDOWN;
        if (f->state == STREAMED) {
            err = finalize(c, f);
            continue;
        }
        if (f->state == STREAMING) {
            cond_wait(&c->changed, &c->lock);
            continue;
        }
        uint64_t before = c->failed;
        begin_stream(c, f);
        mutex_unlock(&c->lock);
        (void)stream(f);
        mutex_lock(&c->lock);
        err = c->failed > before ? c->error : 0;
    }
    return err;
}

/* ---- rotating ---- */

/* Why no flush can be accepted any more, or 0. Needs the lock. */
static int refused(const struct coordinator *c)
{
    return c->fatal ? c->fatal : c->aborted ? -ESHUTDOWN : 0;
}

/* Can one more rotation begin? A permit must be free, and a place for its batch. Needs the lock. */
static bool has_room(const struct coordinator *c)
{
    return c->used < c->config.permits && c->next - c->done + c->rotating < COORDINATOR_MAX;
}

/* Why a caller waits no longer for a permit, or 0. Needs the lock. */
static int wait_is_over(const struct coordinator *c, const struct coordinator_wait *wait,
                        uint64_t failures, int64_t start)
{
    int err = refused(c);

    if (err == 0 && !wait->patient && c->failed > failures)
        err = c->error;
    if (err == 0 && wait->interrupted && atomic_load(wait->interrupted))
        err = -EINTR;
    if (err == 0 && wait->timeout >= 0 && now(c) - start >= wait->timeout)
        err = -ETIMEDOUT;
    return err;
}

/* Wait until a permit and a place are free, or the wait is over. Needs the lock, which is released
 * while it waits. */
static int wait_for_room(struct coordinator *c, const struct coordinator_wait *wait)
{
    int64_t start = now(c);
    uint64_t failures = c->failed;
    int err;

    c->waiting++;
    while ((err = wait_is_over(c, wait, failures, start)) == 0 && !has_room(c))
        (void)cond_wait_for(&c->changed, &c->lock, TICKET_LOOK_EVERY);
    c->waiting--;
    return err;
}

/* Take a permit for a rotation, after a wait if none is free. Errors of coordinator_flush. */
static int acquire(struct coordinator *c, const struct coordinator_wait *wait)
{
    MUTEX_GUARD(&c->lock);
    int err = refused(c);

    if (err == 0 && !has_room(c))
        err = wait_for_room(c, wait);
    if (err < 0)
        return err;
    c->used++;
    c->rotating++;
    return 0;
}

/* Give back the permit of a rotation that failed. */
static void release(struct coordinator *c)
{
    MUTEX_GUARD(&c->lock);
    c->used--;
    c->rotating--;
    cond_broadcast(&c->changed);
}

/* A flush with its ticket, before its rotation. NULL: no memory. */
static struct flight *flight_create(struct coordinator *c)
{
    struct flight *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->c = c;
    f->permit = true;
    f->ticket = ticket_create(c->config.clock);
    if (f->ticket)
        return f;
    free(f);
    return NULL;
}

/* Put a flush into the queue whose batch is frozen. *ret_out: the caller hands its stream out. If
 * the flush before it has given up, this one takes over its batches. Needs the lock. */
static void enqueue(struct coordinator *c, struct flight *f, bool *ret_out)
{
    struct flight *before = TAILQ_LAST(&c->flights, flights);
    struct ticket **kept = &c->recent[f->number % TICKETS_KEPT];

    mutex_held(&c->lock);
    c->next++;
    c->rotating--;
    f->begun = now(c);
    TAILQ_INSERT_TAIL(&c->flights, f, next);
    if (before && gave_up(before))
        merge(c, before, f);
    ticket_unref(*kept);
    *kept = ticket_ref(f->ticket);
    if (c->fatal || c->aborted) /* the coordinator has ended meanwhile */
        ticket_resolve(f->ticket, c->fatal ? c->fatal : -ESHUTDOWN, true);
    *ret_out = c->config.submit && !c->stop && !c->fatal && !c->aborted;
    if (*ret_out)
        begin_stream(c, f);
    cond_broadcast(&c->changed);
}

/* Rotate and put the flush into the queue. The caller has acquired a permit, which belongs to the
 * flush afterwards. */
static int rotate(struct coordinator *c, struct flight *f, void *arg, bool *ret_out)
{
    uint64_t snapshot = 0;
    MUTEX_GUARD(&c->rotation);
    int err;

    {
        MUTEX_GUARD(&c->lock);
        f->first = f->number = c->next;
    }
    err = c->config.rotate(c->config.ctx, arg, f->number, &snapshot);
    if (err < 0)
        return err;
    ticket_set(f->ticket, f->number, snapshot);
    MUTEX_GUARD(&c->lock);
    enqueue(c, f, ret_out);
    return 0;
}

int coordinator_flush_within(struct coordinator *c, void *arg, const struct coordinator_wait *wait,
                             struct ticket **ret_ticket)
{
    struct flight *f;
    struct ticket *t;
    bool out;
    int err = acquire(c, wait);

    if (err < 0)
        return err;
    f = flight_create(c);
    t = f ? ticket_ref(f->ticket) : NULL;
    err = f ? rotate(c, f, arg, &out) : -ENOMEM;
    if (err < 0) {
        release(c);
        ticket_unref(t);
        if (f)
            flight_free(f);
        return err;
    }
    if (out)
        hand_out(c, f);
    if (ret_ticket)
        *ret_ticket = t;
    else
        ticket_unref(t);
    return 0;
}

int coordinator_flush(struct coordinator *c, void *arg, bool patient, struct ticket **ret_ticket)
{
    const struct coordinator_wait wait = {.patient = patient, .timeout = -1};

    return coordinator_flush_within(c, arg, &wait, ret_ticket);
}

/* ---- waiting, looking on ---- */

int coordinator_ticket(struct coordinator *c, uint64_t number, struct ticket **ret_ticket)
{
    MUTEX_GUARD(&c->lock);
    struct ticket *t = c->recent[number % TICKETS_KEPT];

    if (!t || ticket_number(t) != number)
        return -ENOENT;
    *ret_ticket = ticket_ref(t);
    return 0;
}

void coordinator_numbers(struct coordinator *c, uint64_t *ret_done, uint64_t *ret_next)
{
    MUTEX_GUARD(&c->lock);
    *ret_done = c->done;
    *ret_next = c->next;
}

void coordinator_retry(struct coordinator *c)
{
    struct flight *f;
    MUTEX_GUARD(&c->lock);

    TAILQ_FOREACH(f, &c->flights, next)
    if (f->state == FAILED && f->retry_at > f->failed_at + COORDINATOR_BACKOFF)
        f->retry_at = f->failed_at + COORDINATOR_BACKOFF;
    cond_broadcast(&c->changed);
}

void coordinator_set_permits(struct coordinator *c, unsigned permits)
{
    MUTEX_GUARD(&c->lock);
    c->config.permits = permits ? permits : 1;
    cond_broadcast(&c->changed);
}

void coordinator_set_retry(struct coordinator *c, int64_t retry)
{
    struct flight *f, *next;
    MUTEX_GUARD(&c->lock);

    c->config.retry = retry;
    for (f = TAILQ_FIRST(&c->flights); f; f = next) {
        next = TAILQ_NEXT(f, next);
        if (f->state == FAILED)
            give_up_if_due(c, f);
    }
    cond_broadcast(&c->changed);
}

void coordinator_get_stats(struct coordinator *c, struct coordinator_stats *ret)
{
    MUTEX_GUARD(&c->lock);
    const struct flight *f = TAILQ_FIRST(&c->flights);

    *ret = (struct coordinator_stats){
        .pending = (size_t)(c->next - c->done),
        .permits = c->config.permits,
        .used = c->used,
        .waiting = c->waiting,
        .oldest_ns = f ? now(c) - f->begun : 0,
        .failed = c->failed,
        .given_up = c->given_up,
        .error = c->error,
    };
}

/* ---- beginning and end ---- */

int coordinator_create(const struct coordinator_config *config, struct coordinator **ret_c)
{
    struct coordinator *c = calloc(1, sizeof *c);
    int err = 0;

    if (!c)
        return -ENOMEM;
    c->config = *config;
    c->config.permits = config->permits ? config->permits : 1;
    mutex_init(&c->rotation, "rotation");
    mutex_init(&c->lock, "coordinator");
    cond_init(&c->changed);
    TAILQ_INIT(&c->flights);
    if (config->background)
        err = -pthread_create(&c->thread, NULL, coordinator_thread, c);
    c->thread_runs = config->background && err == 0;
    if (err < 0) {
        coordinator_destroy(c);
        return err;
    }
    *ret_c = c;
    return 0;
}

void coordinator_abort(struct coordinator *c)
{
    MUTEX_GUARD(&c->lock);
    c->aborted = true;
    drop_all(c, -ESHUTDOWN);
    cond_broadcast(&c->changed);
}

void coordinator_stop(struct coordinator *c)
{
    bool join;

    {
        MUTEX_GUARD(&c->lock);
        c->stop = true;
        join = c->thread_runs;
        c->thread_runs = false;
        cond_broadcast(&c->changed);
    }
    if (join)
        pthread_join(c->thread, NULL);
    MUTEX_GUARD(&c->lock);
    while (c->running)
        cond_wait(&c->changed, &c->lock);
}

void coordinator_destroy(struct coordinator *c)
{
    struct flight *f;

    if (!c)
        return;
    coordinator_abort(c);
    coordinator_stop(c);
    while ((f = TAILQ_FIRST(&c->flights))) {
        TAILQ_REMOVE(&c->flights, f, next);
        flight_free(f);
    }
    for (size_t i = 0; i < TICKETS_KEPT; i++)
        ticket_unref(c->recent[i]);
    mutex_destroy(&c->rotation);
    mutex_destroy(&c->lock);
    cond_destroy(&c->changed);
    free(c);
}
