// SPDX-License-Identifier: Apache-2.0
/*
 * watchdog: see the header. watchdog_look takes a picture of all threads, traces each late request
 * and each thread that hangs to its cause, and compares the causes with those of the look before.
 */
#include "watchdog.h"

#include "wait_chain.h"
#include "lock.h"
#include "report.h"
#include "requests.h"
#include "systemd.h"
#include "thread.h"
#include "waiting.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK NSEC_PER_SEC
#define FINDINGS 16   /* causes that are told apart; all others are in the last one */
#define LATE_MAX 1024 /* late requests that are traced in one look */

struct finding {
    char cause[WAIT_CHAIN_CAUSE];     /* what is at the end of its chains */
    char text[WAIT_CHAIN_TEXT + 128]; /* of the one that has waited longest */
    enum wait_chain_end end;
    int64_t longest; /* ns */
    size_t requests; /* that wait for it */
    size_t threads;  /* that wait for it and serve no late request */
};

struct findings {
    struct finding v[FINDINGS];
    unsigned count;
};

struct watchdog {
    const struct clock *clock;
    struct waiting *waiting;
    struct systemd *systemd;
    _Atomic int64_t patience;
    pthread_t thread;
    bool runs;
    struct wait_chain_picture *threads; /* used by the thread that looks */
    struct mutex lock;                  /* "watchdog" */
    struct cond stop;
    bool stopping;         /* guarded by: lock */
    struct findings found; /* guarded by: lock; written by the thread that looks alone */
};

/* ---- what one look finds ---- */

static bool is_alarm(const struct finding *f)
{
    return f->end != WAIT_CHAIN_PATIENT;
}

/* The finding of that cause, which is made if it is new. */
static struct finding *finding_of(struct findings *all, const struct wait_chain *c)
{
    struct finding *f = all->v;
    while (f < all->v + all->count && strcmp(f->cause, c->cause) != 0)
        f++;
    if (f == all->v + FINDINGS)
        return f - 1;
    if (f == all->v + all->count) {
        all->count++;
        memcpy(f->cause, c->cause, sizeof f->cause);
        f->end = c->end;
        f->longest = -1;
    }
    return f;
}

/* Adds one that waits to its finding. `who` is said if it is the one that has waited longest. */
static void add(struct findings *all, const struct wait_chain *c, int64_t age, bool request,
                const char *who)
{
    struct finding *f = finding_of(all, c);
    f->requests += request;
    f->threads += !request;
    if (age <= f->longest)
        return;
    f->longest = age;
    (void)snprintf(f->text, sizeof f->text, "%.95s %lld seconds: %s", who,
                   (long long)(age / NSEC_PER_SEC), c->text);
}

static void add_requests(struct watchdog *w, int64_t patience, struct findings *all)
{
    size_t count = waiting_late(w->waiting, patience, NULL, 0);
    const size_t room = count < LATE_MAX ? count : LATE_MAX;
    struct waiting_request *late = room ? calloc(room, sizeof *late) : NULL;
    char who[96];
    struct wait_chain c;

    count = late ? waiting_late(w->waiting, patience, late, room) : 0;
    for (size_t i = 0; i < count && i < room; i++) {
        const struct waiting_request *r = &late[i];
        wait_chain_of_request(w->threads, r->unique, r->worker, patience, &c);
        (void)snprintf(who, sizeof who, "%s, inode %" PRIu64 ", is not answered for",
                       requests_name(r->opcode), r->nodeid);
        add(all, &c, r->took, true, who);
    }
    free(late);
}

static void add_threads(struct watchdog *w, int64_t patience, struct findings *all)
{
    struct wait_chain c;
    int64_t age;

    for (unsigned i = 0; i < WAITS_THREADS; i++) {
        if (wait_chain_of_taker(w->threads, i, patience, &age, &c))
            add(all, &c, age, false, "a thread that takes requests has not come back for");
        else if (wait_chain_of_thread(w->threads, i, patience, &age, &c))
            add(all, &c, age, false, "a thread has not gone on for");
    }
}

/* ---- what is new, and what is over ---- */

static const struct finding *find(const struct findings *all, const char *cause)
{
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->v[i].cause, cause) == 0)
            return &all->v[i];
    return NULL;
}

static void say_new(const struct findings *now, const struct findings *before)
{
    char more[48] = "";
    for (unsigned i = 0; i < now->count; i++) {
        const struct finding *f = &now->v[i];
        if (find(before, f->cause))
            continue;
        if (f->requests + f->threads > 1)
            (void)snprintf(more, sizeof more, " (requests: %zu, threads: %zu)", f->requests,
                           f->threads);
        report(is_alarm(f) ? REPORT_ALARM : REPORT_NOTE, "%s%s", f->text, more);
        *more = '\0';
    }
}

static void say_ended(const struct findings *now, const struct findings *before)
{
    for (unsigned i = 0; i < before->count; i++) {
        const struct finding *f = &before->v[i];
        if (!find(now, f->cause))
            report(REPORT_NOTE, "over after %lld seconds: the wait for %s",
                   (long long)(f->longest / NSEC_PER_SEC), f->cause);
    }
}

unsigned watchdog_look(struct watchdog *w)
{
    const int64_t patience = atomic_load(&w->patience);
    struct findings now = {0}, before;

    if (patience > 0) {
        wait_chain_take_picture(w->threads, clock_ticks(w->clock));
        add_requests(w, patience, &now);
        add_threads(w, patience, &now);
    }
    {
        MUTEX_GUARD(&w->lock);
        before = w->found;
        w->found = now;
    }
    say_new(&now, &before);
    say_ended(&now, &before);
    return now.count;
}

/* Does something hang, and nothing that a disk, the kernel, a shard or a lack of room explains? All
 * threads that could serve a request may hang at one of these. */
static bool is_hopeless(struct watchdog *w)
{
    bool own = false, other = false;
    MUTEX_GUARD(&w->lock);
    for (unsigned i = 0; i < w->found.count; i++) {
        own |= w->found.v[i].end == WAIT_CHAIN_OWN;
        other |= w->found.v[i].end != WAIT_CHAIN_OWN;
    }
    return own && !other;
}

bool watchdog_tell_systemd(struct watchdog *w)
{
    return !is_hopeless(w) && systemd_tell(w->systemd, clock_ticks(w->clock));
}

void watchdog_describe(struct watchdog *w, struct view_edge *ret)
{
    size_t at = 0;
    if (!w)
        return;
    MUTEX_GUARD(&w->lock);
    /* alarms first, since the first line is that of the state */
    for (int alarms = 1; alarms >= 0; alarms--)
        for (unsigned i = 0; i < w->found.count; i++) {
            const struct finding *f = &w->found.v[i];
            if (is_alarm(f) != alarms)
                continue;
            ret->is_stuck |= alarms;
            ret->stuck_requests += alarms ? f->requests : 0;
            ret->stuck_threads += alarms ? f->threads : 0;
            if (at < sizeof ret->stuck)
                at += (size_t)snprintf(ret->stuck + at, sizeof ret->stuck - at, "%s%s",
                                       at ? "\n" : "", f->text);
        }
}

/* ---- its life ---- */

static void *watchdog_main(void *arg)
{
    struct watchdog *w = arg;
    const int64_t often = systemd_interval(w->systemd);
    const int64_t nap = often > 0 && often < LOOK ? often : LOOK;

    mutex_lock(&w->lock);
    while (!w->stopping) {
        mutex_unlock(&w->lock);
        (void)watchdog_look(w);
        (void)watchdog_tell_systemd(w);
        mutex_lock(&w->lock);
        if (!w->stopping)
            (void)cond_wait_for(&w->stop, &w->lock, nap);
    }
    mutex_unlock(&w->lock);
    return NULL;
}

int watchdog_new(const struct clock *clock, struct waiting *waiting, struct watchdog **ret_w)
{
    struct watchdog *w = calloc(1, sizeof *w);
    int err = w ? wait_chain_new(&w->threads) : -ENOMEM;
    if (err == 0)
        err = systemd_open(&w->systemd);
    if (err < 0) {
        if (w)
            wait_chain_free(w->threads);
        free(w);
        return err;
    }
    w->clock = clock;
    w->waiting = waiting;
    atomic_init(&w->patience, WATCHDOG_PATIENCE);
    mutex_init(&w->lock, "watchdog");
    cond_init(&w->stop);
    *ret_w = w;
    return 0;
}

int watchdog_run(struct watchdog *w)
{
    int err = thread_start(&w->thread, watchdog_main, w);
    w->runs = err == 0;
    return err;
}

void watchdog_free(struct watchdog *w)
{
    if (!w)
        return;
    if (w->runs) {
        {
            MUTEX_GUARD(&w->lock);
            w->stopping = true;
            cond_signal(&w->stop);
        }
        pthread_join(w->thread, NULL);
    }
    systemd_close(w->systemd);
    wait_chain_free(w->threads);
    cond_destroy(&w->stop);
    mutex_destroy(&w->lock);
    free(w);
}

void watchdog_set_patience(struct watchdog *w, int64_t ns)
{
    atomic_store(&w->patience, ns);
}
