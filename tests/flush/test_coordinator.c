// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of coordinator.h. Flushes do nothing but note what happens to them; streams run on
 * workers, each until the test lets it end, and may be made to fail.
 */
#include "clock_manual.h"
#include "coordinator.h"
#include "fault.h"
#include "lock.h"
#include "workers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCHES 1024
#define ALWAYS 1000000

struct rig {
    struct clock_manual clock;
    struct coordinator *c;
    struct workers *workers;
    struct mutex lock; /* guards the rest */
    struct cond changed;
    bool held;            /* streams wait to be let go */
    bool let_go[BATCHES]; /* that one need not wait */
    bool streamed[BATCHES];
    int fail_stream[BATCHES], fail_finalize[BATCHES]; /* so many times */
    unsigned streams[BATCHES];                        /* begun */
    uint64_t rotated, finalized;                      /* batches */
    uint64_t last[BATCHES];                           /* of each finalize, in order */
    size_t finalizes;
    unsigned in_flight, most; /* flushes from rotate to finalize, and ever */
    bool finalizing, broken;
    pthread_t finalizer;
    int fail_rotate;
    unsigned idles;
};

static struct rig r;

static int rotate(void *ctx, void *arg, uint64_t number, uint64_t *ret_snapshot)
{
    (void)ctx;
    (void)arg;
    MUTEX_GUARD(&r.lock);
    cr_assert_eq(number, r.rotated);
    if (r.fail_rotate > 0) {
        r.fail_rotate--;
        return -ENOSPC;
    }
    r.rotated++;
    r.in_flight++;
    r.most = r.in_flight > r.most ? r.in_flight : r.most;
    *ret_snapshot = number * 10 + 1;
    return 0;
}

static int stream(void *ctx, uint64_t n)
{
    (void)ctx;
    MUTEX_GUARD(&r.lock);
    r.streams[n]++;
    cond_broadcast(&r.changed);
    while (r.held && !r.let_go[n])
        cond_wait(&r.changed, &r.lock);
    r.let_go[n] = false;
    r.streamed[n] = r.fail_stream[n] == 0;
    if (r.streamed[n])
        return 0;
    r.fail_stream[n]--;
    return -ENOSPC;
}

static int finalize(void *ctx, uint64_t first, uint64_t last)
{
    (void)ctx;
    {
        MUTEX_GUARD(&r.lock);
        cr_assert(!r.finalizing, "one at a time");
        cr_assert(r.finalizes == 0 || pthread_equal(r.finalizer, pthread_self()), "by one thread");
        cr_assert_eq(first, r.finalized, "in rotate order");
        for (uint64_t n = first; n <= last; n++)
            cr_assert(r.streamed[n], "what is not durable is not committed");
        r.finalizing = true;
        r.finalizer = pthread_self();
    }
    sched_yield();
    MUTEX_GUARD(&r.lock);
    r.finalizing = false;
    if (r.fail_finalize[last] > 0) {
        r.fail_finalize[last]--;
        return -EDQUOT;
    }
    r.finalized = last + 1;
    r.in_flight -= (unsigned)(last - first + 1);
    r.last[r.finalizes++] = last;
    return 0;
}

static int fatal(void *ctx)
{
    (void)ctx;
    MUTEX_GUARD(&r.lock);
    return r.broken ? -EROFS : 0;
}

static bool idle(void *ctx)
{
    (void)ctx;
    MUTEX_GUARD(&r.lock);
    r.idles++;
    cond_broadcast(&r.changed);
    return false;
}

static int submit(void *ctx, int (*fn)(void *arg), void *arg)
{
    struct workers_work w = {.fn = fn, .arg = arg};

    (void)ctx;
    return workers_submit_work(r.workers, &w, NULL);
}

static void begin_with(unsigned permits, int64_t retry, bool background)
{
    struct coordinator_config config = {
        .clock = &r.clock.base,
        .permits = permits,
        .retry = retry,
        .rotate = rotate,
        .stream = stream,
        .finalize = finalize,
        .fatal = fatal,
        .idle = idle,
        .submit = background ? submit : NULL,
        .background = background,
    };

    clock_manual_init(&r.clock, 1000 * NSEC_PER_SEC);
    mutex_init(&r.lock, "rig");
    cond_init(&r.changed);
    cr_assert_eq(
        workers_open(&(struct workers_config){.threads = 16, .long_threads = 16, .queue = 64},
                     &r.workers),
        0);
    cr_assert_eq(coordinator_create(&config, &r.c), 0);
}

static void begin(unsigned permits, int64_t retry)
{
    begin_with(permits, retry, true);
}

static void end(void)
{
    {
        MUTEX_GUARD(&r.lock);
        r.held = false;
        cond_broadcast(&r.changed);
    }
    coordinator_destroy(r.c);
    workers_destroy(r.workers);
}

static struct ticket *flush(void)
{
    struct ticket *t = NULL;
    cr_assert_eq(coordinator_flush(r.c, NULL, true, &t), 0);
    return t;
}

static void flush_and_forget(void)
{
    cr_assert_eq(coordinator_flush(r.c, NULL, true, NULL), 0);
}

static void let_go(uint64_t n)
{
    MUTEX_GUARD(&r.lock);
    r.let_go[n] = true;
    cond_broadcast(&r.changed);
}

static void wait_for_streams(uint64_t n, unsigned count)
{
    MUTEX_GUARD(&r.lock);
    while (r.streams[n] < count)
        cond_wait(&r.changed, &r.lock);
}

static struct coordinator_stats stats(void)
{
    struct coordinator_stats s;
    coordinator_get_stats(r.c, &s);
    return s;
}

static void wait_for_failures(uint64_t count)
{
    while (stats().failed < count)
        sched_yield();
}

/* Until all that was rotated is finalized: they are in order. */
static void drain(void)
{
    uint64_t done, next;
    struct ticket *t;

    coordinator_numbers(r.c, &done, &next);
    if (done == next)
        return;
    cr_assert_eq(coordinator_ticket(r.c, next - 1, &t), 0);
    cr_assert_eq(ticket_wait(t, true, -1, NULL, NULL), 0);
    ticket_unref(t);
}

/* Time goes on until what failed has been tried again. */
static void pass(int64_t duration_ns)
{
    clock_manual_advance(&r.clock, duration_ns);
    coordinator_set_permits(r.c, stats().permits); /* it looks at the clock again */
}

static void *flush_patiently(void *arg)
{
    *(int *)arg = coordinator_flush(r.c, NULL, true, NULL);
    return NULL;
}

/* ---- order ---- */

Test(coordinator, rotations_are_numbered_from_zero_without_gaps)
{
    struct ticket *t;
    begin(4, COORDINATOR_FOREVER);
    for (uint64_t n = 0; n < 20; n++) {
        r.fail_rotate = n % 3 == 1;
        if (r.fail_rotate)
            cr_assert_eq(coordinator_flush(r.c, NULL, true, &t), -ENOSPC);
        t = flush();
        cr_assert_eq(ticket_number(t), n);
        ticket_unref(t);
    }
    drain();
    cr_assert_eq(stats().used, 0, "a rotation that failed gives its permit back");
    end();
}

Test(coordinator, streams_that_end_in_reverse_are_finalized_in_order)
{
    begin(8, COORDINATOR_FOREVER);
    r.held = true;
    for (uint64_t n = 0; n < 8; n++)
        flush_and_forget();
    for (uint64_t n = 8; n-- > 0;) {
        wait_for_streams(n, 1);
        cr_assert_eq(stats().finalized, 0, "the first has not been streamed");
        let_go(n);
    }
    drain();
    cr_assert_eq(r.finalizes, 8, "one commit each");
    for (uint64_t n = 0; n < 8; n++)
        cr_assert_eq(r.last[n], n);
    end();
}

/* And lets time go on for those that failed. */
static void *let_go_by_chance(void *arg)
{
    uint64_t state = 77;
    (void)arg;
    while (stats().finalized < 200) {
        {
            MUTEX_GUARD(&r.lock);
            uint64_t n = r.finalized + fault_random(&state) % 8;
            if (n < r.rotated)
                r.let_go[n] = true;
            cond_broadcast(&r.changed);
        }
        pass(COORDINATOR_BACKOFF);
        sched_yield();
    }
    return NULL;
}

Test(coordinator, streams_that_end_in_any_order_are_finalized_in_order)
{
    pthread_t thread;
    uint64_t state = 5;
    begin(8, COORDINATOR_FOREVER);
    r.held = true;
    for (unsigned i = 0; i < 30; i++)
        r.fail_stream[fault_random(&state) % 200] = 1;
    cr_assert_eq(pthread_create(&thread, NULL, let_go_by_chance, NULL), 0);
    for (uint64_t n = 0; n < 200; n++)
        flush_and_forget();
    pthread_join(thread, NULL);
    cr_assert_eq(r.finalizes, 200);
    cr_assert_leq(r.most, 8);
    end();
}

/* ---- permits ---- */

static void *flush_many(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 50; i++)
        flush_and_forget();
    return NULL;
}

Test(coordinator, there_are_never_more_in_flight_than_permits)
{
    pthread_t thread[4];
    begin(3, COORDINATOR_FOREVER);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, flush_many, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    drain();
    cr_assert_eq(r.finalizes, 200);
    cr_assert_leq(r.most, 3);
    cr_assert_eq(stats().used, 0);
    end();
}

Test(coordinator, no_permits_are_one_and_one_more_counts_at_once)
{
    pthread_t thread;
    int err;
    begin(0, COORDINATOR_FOREVER);
    r.held = true;
    cr_assert_eq(stats().permits, 1);
    flush_and_forget();
    cr_assert_eq(pthread_create(&thread, NULL, flush_patiently, &err), 0);
    while (stats().waiting < 1)
        sched_yield();
    coordinator_set_permits(r.c, 2);
    pthread_join(thread, NULL);
    cr_assert_eq(err, 0);
    cr_assert_eq(stats().used, 2);
    let_go(0);
    let_go(1);
    drain();
    end();
}

/* ---- tickets ---- */

Test(coordinator, a_ticket_is_ready_when_its_flush_is_finalized)
{
    begin(2, COORDINATOR_FOREVER);
    r.held = true;
    struct ticket *a = flush(), *b = flush(), *found;
    let_go(1);
    cr_assert_eq(ticket_wait(b, true, 0, NULL, NULL), -ETIMEDOUT, "the first is not through");
    let_go(0);
    cr_assert_eq(ticket_wait(b, true, -1, NULL, NULL), 0);
    cr_assert_eq(ticket_wait(a, true, 0, NULL, NULL), 0);
    cr_assert_eq(ticket_snapshot(b), 11);
    cr_assert_eq(coordinator_ticket(r.c, 1, &found), 0);
    cr_assert_eq(found, b);
    cr_assert_eq(coordinator_ticket(r.c, 2, &found), -ENOENT);
    ticket_unref(found);
    ticket_unref(a);
    ticket_unref(b);
    end();
}

Test(coordinator, dropping_a_ticket_cancels_nothing)
{
    begin(1, COORDINATOR_FOREVER);
    r.held = true;
    ticket_unref(flush());
    let_go(0);
    drain();
    cr_assert_eq(r.finalized, 1);
    end();
}

Test(coordinator, a_ticket_whose_flush_was_lost_says_so)
{
    struct strbuf why = STRBUF_INIT;
    begin(1, COORDINATOR_FOREVER);
    r.fail_stream[0] = ALWAYS;
    struct ticket *t = flush();
    wait_for_failures(1);
    end();
    cr_assert_eq(ticket_wait(t, true, -1, NULL, &why), -ESHUTDOWN);
    cr_assert_eq(strncmp(why.s, "dropped before completion", 25), 0, "%s", why.s);
    ticket_unref(t);
    strbuf_release(&why);
}

/* ---- failures ---- */

Test(coordinator, a_failed_stream_keeps_its_place_and_is_tried_again_with_back_off)
{
    begin(2, COORDINATOR_FOREVER);
    r.fail_stream[0] = 3;
    struct ticket *a = flush(), *b = flush();
    int64_t duration_ns = COORDINATOR_BACKOFF;
    for (unsigned tries = 1; tries <= 3; tries++, duration_ns *= 2) {
        wait_for_failures(tries);
        pass(duration_ns - 1);
        cr_assert_eq(stats().error, -ENOSPC);
        cr_assert_eq(r.streams[0], tries, "it is not due yet");
        cr_assert_eq(ticket_wait(b, true, 0, NULL, NULL), -ETIMEDOUT);
        pass(1);
    }
    cr_assert_eq(ticket_wait(a, true, -1, NULL, NULL), 0);
    cr_assert_eq(ticket_wait(b, true, -1, NULL, NULL), 0);
    cr_assert_eq(stats().error, 0);
    cr_assert_eq(r.finalizes, 2);
    cr_assert_eq(r.streams[1], 1, "what went well is not done again");
    ticket_unref(a);
    ticket_unref(b);
    end();
}

Test(coordinator, what_failed_can_be_asked_to_be_tried_sooner_but_not_at_once)
{
    begin(1, COORDINATOR_FOREVER);
    r.fail_stream[0] = 4;
    flush_and_forget();
    for (unsigned tries = 1; tries <= 4; tries++) {
        wait_for_failures(tries);
        coordinator_retry(r.c);
        cr_assert_eq(stats().failed, tries);
        pass(COORDINATOR_BACKOFF);
    }
    drain();
    end();
}

Test(coordinator, the_impatient_are_told_of_a_failed_attempt_and_the_flush_goes_on)
{
    struct strbuf why = STRBUF_INIT;
    begin(1, COORDINATOR_FOREVER);
    r.fail_stream[0] = 1;
    struct ticket *t = flush();
    cr_assert_eq(ticket_wait(t, false, -1, NULL, &why), -ENOSPC);
    cr_assert_str_eq(why.s, "flush stream failed: No space left on device");
    pass(COORDINATOR_BACKOFF);
    cr_assert_eq(ticket_wait(t, true, -1, NULL, NULL), 0);
    ticket_unref(t);
    strbuf_release(&why);
    end();
}

static void *flush_impatiently(void *arg)
{
    *(int *)arg = coordinator_flush(r.c, NULL, false, NULL);
    return NULL;
}

Test(coordinator, who_waits_for_a_permit_impatiently_is_told_too)
{
    pthread_t thread;
    int err = 1;
    begin(1, COORDINATOR_FOREVER);
    r.held = true;
    r.fail_stream[0] = 1;
    flush_and_forget();
    cr_assert_eq(pthread_create(&thread, NULL, flush_impatiently, &err), 0);
    while (stats().waiting < 1)
        sched_yield();
    let_go(0);
    pthread_join(thread, NULL);
    cr_assert_eq(err, -ENOSPC);
    cr_assert_eq(stats().waiting, 0);
    cr_assert_eq(stats().used, 1, "of the one that failed");
    end();
}

/* A wait for the only permit, which another flush has. */
static struct coordinator_wait limits;
static _Atomic bool interrupted;

static void *flush_within(void *arg)
{
    *(int *)arg = coordinator_flush_within(r.c, NULL, &limits, NULL);
    return NULL;
}

static void begin_to_wait(pthread_t *thread, int *err, struct coordinator_wait within)
{
    limits = within;
    begin(1, COORDINATOR_FOREVER);
    r.held = true;
    flush_and_forget();
    cr_assert_eq(pthread_create(thread, NULL, flush_within, err), 0);
    while (stats().waiting < 1)
        sched_yield();
}

Test(coordinator, a_wait_for_a_permit_ends_with_its_time)
{
    pthread_t thread;
    int err = 1;
    begin_to_wait(&thread, &err, (struct coordinator_wait){true, NSEC_PER_SEC, NULL});
    pass(NSEC_PER_SEC);
    pthread_join(thread, NULL);
    cr_assert_eq(err, -ETIMEDOUT);
    cr_assert_eq(stats().waiting, 0);
    cr_assert_eq(stats().used, 1, "it took none");
    cr_assert_eq(stats().pending, 1, "it rotated nothing");
    end();
}

Test(coordinator, a_wait_for_a_permit_ends_when_it_is_interrupted)
{
    pthread_t thread;
    int err = 1;
    begin_to_wait(&thread, &err, (struct coordinator_wait){true, -1, &interrupted});
    atomic_store(&interrupted, true);
    pthread_join(thread, NULL);
    cr_assert_eq(err, -EINTR);
    cr_assert_eq(stats().waiting, 0);
    cr_assert_eq(stats().used, 1, "it took none");
    end();
}

Test(coordinator, after_so_many_failures_its_ticket_fails_and_its_successor_commits_both)
{
    struct strbuf why = STRBUF_INIT;
    begin(1, 1);
    r.fail_stream[0] = 2;
    struct ticket *a = flush(), *b;
    wait_for_failures(1);
    cr_assert_eq(ticket_wait(a, true, 0, NULL, NULL), -ETIMEDOUT, "one more try");
    pass(COORDINATOR_BACKOFF);
    cr_assert_eq(ticket_wait(a, true, -1, NULL, &why), -ENOSPC);
    cr_assert_str_eq(why.s, "flush stream failed: No space left on device");
    b = flush(); /* with one permit: that of the first was given back */
    cr_assert_eq(ticket_wait(b, true, -1, NULL, NULL), 0);
    cr_assert_eq(r.finalizes, 1);
    cr_assert_eq(r.last[0], 1, "both in one commit");
    cr_assert_eq(r.streams[0], 3, "its stream has redone what failed");
    cr_assert_eq(ticket_wait(a, true, 0, NULL, NULL), -ENOSPC, "the first end counts");
    cr_assert_eq(stats().used, 0);
    cr_assert_eq(stats().given_up, 1);
    cr_assert_eq(stats().pending, 0);
    ticket_unref(a);
    ticket_unref(b);
    strbuf_release(&why);
    end();
}

Test(coordinator, a_successor_that_was_streamed_already_redoes_what_failed)
{
    begin(3, 0);
    r.held = true;
    r.fail_stream[0] = 1;
    flush_and_forget();
    struct ticket *b = flush();
    flush_and_forget();
    wait_for_streams(1, 1);
    let_go(1);
    while (!r.streamed[1])
        sched_yield();
    let_go(0);
    wait_for_failures(1);
    wait_for_streams(0, 2);
    {
        MUTEX_GUARD(&r.lock);
        r.held = false;
        cond_broadcast(&r.changed);
    }
    cr_assert_eq(ticket_wait(b, true, -1, NULL, NULL), 0);
    drain();
    cr_assert_eq(r.finalizes, 2);
    cr_assert_eq(r.last[0], 1);
    cr_assert_eq(r.last[1], 2);
    ticket_unref(b);
    end();
}

Test(coordinator, a_flush_without_a_successor_goes_on_after_it_was_given_up)
{
    begin(1, 0);
    r.fail_stream[0] = 2;
    struct ticket *t = flush();
    cr_assert_eq(ticket_wait(t, true, -1, NULL, NULL), -ENOSPC);
    wait_for_failures(1);
    pass(COORDINATOR_BACKOFF);
    wait_for_failures(2);
    pass(2 * COORDINATOR_BACKOFF);
    while (stats().pending)
        sched_yield();
    cr_assert_eq(r.finalized, 1);
    ticket_unref(t);
    end();
}

Test(coordinator, batches_that_wait_to_be_merged_have_a_limit_and_nothing_is_lost)
{
    pthread_t thread;
    int err;
    begin(1, 0);
    for (unsigned n = 0; n < COORDINATOR_MAX; n++)
        r.fail_stream[n] = ALWAYS;
    for (unsigned n = 0; n < COORDINATOR_MAX; n++) {
        struct ticket *t = flush();
        cr_assert_eq(ticket_wait(t, true, -1, NULL, NULL), -ENOSPC);
        ticket_unref(t);
    }
    cr_assert_eq(stats().pending, COORDINATOR_MAX);
    cr_assert_eq(pthread_create(&thread, NULL, flush_patiently, &err), 0);
    while (stats().waiting < 1)
        sched_yield();
    {
        MUTEX_GUARD(&r.lock);
        memset(r.fail_stream, 0, sizeof r.fail_stream);
    }
    while (stats().pending)
        pass(COORDINATOR_BACKOFF_MAX);
    pthread_join(thread, NULL);
    cr_assert_eq(err, 0);
    drain();
    cr_assert_eq(r.last[0], COORDINATOR_MAX - 1);
    end();
}

Test(coordinator, a_failed_commit_is_tried_again_in_its_turn)
{
    begin(2, COORDINATOR_FOREVER);
    r.fail_finalize[0] = 2;
    flush_and_forget();
    struct ticket *b = flush();
    for (unsigned tries = 1; tries <= 2; tries++) {
        wait_for_failures(tries);
        cr_assert_eq(stats().error, -EDQUOT);
        pass(COORDINATOR_BACKOFF_MAX);
    }
    cr_assert_eq(ticket_wait(b, true, -1, NULL, NULL), 0);
    cr_assert_eq(r.finalizes, 2);
    ticket_unref(b);
    end();
}

Test(coordinator, after_a_fatal_failure_nothing_is_tried_again_and_everybody_is_told)
{
    struct strbuf why = STRBUF_INIT;
    begin(2, COORDINATOR_FOREVER);
    r.held = true;
    r.fail_stream[0] = 1;
    struct ticket *a = flush(), *b = flush();
    r.broken = true;
    let_go(0);
    cr_assert_eq(ticket_wait(a, true, -1, NULL, NULL), -EROFS);
    cr_assert_eq(ticket_wait(b, true, -1, NULL, &why), -EROFS);
    cr_assert_str_eq(why.s, "dropped before completion: Read-only file system");
    cr_assert_eq(ticket_wait(b, false, -1, NULL, NULL), -ENOSPC, "the impatient: with what");
    let_go(1);
    pass(COORDINATOR_BACKOFF_MAX);
    cr_assert_eq(coordinator_flush(r.c, NULL, true, NULL), -EROFS);
    cr_assert_eq(stats().pending, 2);
    cr_assert_eq(r.finalizes, 0);
    cr_assert_eq(r.streams[0], 1);
    ticket_unref(a);
    ticket_unref(b);
    strbuf_release(&why);
    end();
}

Test(coordinator, fewer_tries_count_at_once_also_for_what_has_failed)
{
    struct strbuf why = STRBUF_INIT;
    begin(2, COORDINATOR_FOREVER);
    r.fail_stream[0] = 1000;
    struct ticket *a = flush();
    wait_for_failures(1);
    cr_assert_eq(ticket_wait(a, true, 0, NULL, NULL), -ETIMEDOUT);
    coordinator_set_retry(r.c, 0); /* and the clock stands still */
    cr_assert_eq(ticket_wait(a, true, 0, NULL, &why), -ENOSPC, "%s", why.s);
    cr_assert_eq(stats().given_up, 1);
    cr_assert_eq(stats().used, 0);
    r.fail_stream[0] = 0;
    flush_and_forget(); /* has both */
    drain();
    ticket_unref(a);
    strbuf_release(&why);
    end();
}

/* ---- ending ---- */

static struct ticket *waited_for;

static void *wait_patiently(void *arg)
{
    *(int *)arg = ticket_wait(waited_for, true, -1, NULL, NULL);
    return NULL;
}

Test(coordinator, a_forced_shutdown_drops_in_place_and_leaves_nobody_waiting)
{
    pthread_t thread[2];
    int err[2];
    struct strbuf why = STRBUF_INIT;
    begin(2, COORDINATOR_FOREVER);
    r.held = true;
    struct ticket *a = flush(), *b = flush();
    waited_for = b;
    cr_assert_eq(pthread_create(&thread[0], NULL, flush_patiently, &err[0]), 0);
    cr_assert_eq(pthread_create(&thread[1], NULL, wait_patiently, &err[1]), 0);
    while (stats().waiting < 1)
        sched_yield();
    coordinator_abort(r.c);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        cr_assert_eq(err[i], -ESHUTDOWN);
    }
    coordinator_abort(r.c); /* twice is harmless */
    cr_assert_eq(coordinator_flush(r.c, NULL, true, NULL), -ESHUTDOWN);
    cr_assert_eq(stats().waiting, 0);
    cr_assert_eq(ticket_wait(a, true, -1, NULL, &why), -ESHUTDOWN);
    cr_assert_eq(strncmp(why.s, "dropped before completion", 25), 0, "%s", why.s);
    cr_assert_eq(ticket_wait(b, true, -1, NULL, NULL), -ESHUTDOWN);
    let_go(0);
    let_go(1);
    coordinator_stop(r.c);
    cr_assert_eq(r.finalizes, 0, "nothing went on");
    ticket_unref(a);
    ticket_unref(b);
    strbuf_release(&why);
    end();
}

Test(coordinator, what_can_wait_is_done_when_nothing_is_to_be_finalized)
{
    begin(1, COORDINATOR_FOREVER);
    {
        MUTEX_GUARD(&r.lock);
        while (r.idles < 1)
            cond_wait(&r.changed, &r.lock);
    }
    flush_and_forget();
    {
        MUTEX_GUARD(&r.lock);
        while (r.idles < 2)
            cond_wait(&r.changed, &r.lock);
        cr_assert_eq(r.finalized, 1);
    }
    end();
}

/* ---- without a thread ---- */

Test(coordinator, without_a_thread_who_asks_does_it)
{
    begin_with(3, COORDINATOR_FOREVER, false);
    r.fail_stream[1] = 1;
    flush_and_forget();
    flush_and_forget();
    struct ticket *t = flush();
    cr_assert_eq(ticket_wait(t, true, 0, NULL, NULL), -ETIMEDOUT);
    cr_assert_eq(coordinator_run(r.c), -ENOSPC);
    cr_assert_eq(r.finalized, 1);
    cr_assert_eq(coordinator_run(r.c), 0, "at once: who asks knows why");
    cr_assert_eq(ticket_wait(t, true, 0, NULL, NULL), 0);
    cr_assert_eq(r.finalizes, 3);
    ticket_unref(t);
    end();
}

Test(coordinator, what_a_stopped_one_has_left_can_still_be_done)
{
    begin(4, COORDINATOR_FOREVER);
    r.held = true;
    flush_and_forget();
    struct ticket *t = flush();
    wait_for_streams(0, 1);
    wait_for_streams(1, 1);
    let_go(1);
    let_go(0);
    coordinator_stop(r.c);
    r.held = false;
    r.finalizes = 0; /* by this thread from here on */
    flush_and_forget();
    cr_assert_eq(coordinator_run(r.c), 0);
    cr_assert_eq(ticket_wait(t, true, 0, NULL, NULL), 0);
    cr_assert_eq(r.finalized, 3);
    ticket_unref(t);
    end();
}
