// SPDX-License-Identifier: Apache-2.0
/* Claims of workers.h. A freeze_lock (a mutex a job must pass) stands in for slow work: no sleeps.
 * */
#include "clock_manual.h"
#include "thread.h"
#include "workers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct workers *workers;
static struct workers_group group;
static _Atomic int ran;
static _Atomic int submitted;
static struct mutex freeze_lock;

static void setup(void)
{
    mutex_init(&freeze_lock, "freeze");
    workers_group_init(&group);
}

static void start(unsigned threads, size_t queue)
{
    const struct workers_config c = {.threads = threads, .long_threads = threads, .queue = queue};

    cr_assert_eq(workers_open(&c, &workers), 0);
}

static int count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran, 1);
    return 0;
}

static int fail_with(void *arg)
{
    (void)count(NULL);
    return -(int)(intptr_t)arg;
}

static int pass_freeze_lock(void *arg)
{
    MUTEX_GUARD(&freeze_lock);
    return count(arg);
}

static int submit_again(void *arg)
{
    workers_submit(workers, NULL, count, arg);
    return 0;
}

static int wait_again(void *arg)
{
    struct workers_group *g = arg;
    return workers_group_wait(g);
}

static void *submit_ten(void *arg)
{
    for (int i = 0; i < 10; i++) {
        workers_submit(workers, &group, pass_freeze_lock, NULL);
        atomic_fetch_add(&submitted, 1);
    }
    return arg;
}

static struct workers_class_stats stats_of(enum workers_class class)
{
    struct workers_stats s;

    workers_get_stats(workers, &s);
    return s.of[class];
}

/* One at work, and the next submitter waits. */
static bool is_full(void)
{
    struct workers_class_stats s = stats_of(WORKERS_NORMAL);

    return s.running == 1 && s.waiting == 1 && s.queued >= 2;
}

TestSuite(workers, .init = setup, .timeout = 60);

Test(workers, bad_numbers_are_refused)
{
    const struct workers_config bad[] = {{.threads = 0, .long_threads = 1, .queue = 1},
                                         {.threads = 257, .long_threads = 1, .queue = 1},
                                         {.threads = 1, .long_threads = 0, .queue = 1},
                                         {.threads = 1, .long_threads = 257, .queue = 1},
                                         {.threads = 1, .long_threads = 1, .queue = 0}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(workers_open(&bad[i], &workers), -EINVAL, "%zu", i);
    workers_destroy(NULL);
}

Test(workers, every_job_runs_once_before_the_wait_ends)
{
    start(4, 3);
    for (int i = 0; i < 1000; i++)
        workers_submit(workers, &group, count, NULL);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(ran, 1000);
    workers_destroy(workers);
}

static int group_error(void)
{
    MUTEX_GUARD(&group.lock);
    return group.error;
}

Test(workers, the_first_error_is_returned_and_the_rest_still_runs)
{
    start(1, 8);
    workers_submit(workers, &group, count, NULL);
    workers_submit(workers, &group, fail_with, (void *)(intptr_t)ENOSPC);
    while (group_error() == 0) /* a worker is free before the group has its error */
        sched_yield();
    workers_submit(workers, &group, fail_with, (void *)(intptr_t)EIO);
    workers_submit(workers, &group, count, NULL);
    cr_assert_eq(workers_group_wait(&group), -ENOSPC);
    cr_assert_eq(ran, 4);
    workers_destroy(workers);
}

Test(workers, an_empty_group_is_done)
{
    cr_assert_eq(workers_group_wait(&group), 0);
}

Test(workers, destroy_runs_what_is_queued)
{
    start(1, 64);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 50; i++)
        workers_submit(workers, NULL, pass_freeze_lock, NULL);
    mutex_unlock(&freeze_lock);
    workers_destroy(workers);
    cr_assert_eq(ran, 50);
}

Test(workers, at_the_limit_the_submitter_waits_and_nothing_is_dropped)
{
    pthread_t t;
    start(1, 2);
    mutex_lock(&freeze_lock);
    cr_assert_eq(workers_submit(workers, &group, pass_freeze_lock, NULL), 0);
    while (stats_of(WORKERS_NORMAL).running == 0)
        sched_yield();
    cr_assert_eq(pthread_create(&t, NULL, submit_ten, NULL), 0);
    while (!is_full())
        sched_yield();
    /* One job at the freeze lock and two queued is all there is room for. */
    cr_assert_eq(stats_of(WORKERS_NORMAL).queued, 2);
    cr_assert_leq(atomic_load(&submitted), 2);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(ran, 11);
    workers_destroy(workers);
}

Test(workers, a_longer_queue_counts_at_once_and_so_do_more_workers_and_fewer)
{
    pthread_t thread;
    struct workers_stats s;
    uint64_t id;

    start(1, 2); /* as is_full has it */
    mutex_lock(&freeze_lock);
    cr_assert_eq(pthread_create(&thread, NULL, submit_ten, NULL), 0);
    while (!is_full())
        sched_yield();
    cr_assert_lt(atomic_load(&submitted), 10);
    cr_assert_eq(workers_set_queue(workers, 20), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&submitted), 10);
    cr_assert_eq(stats_of(WORKERS_NORMAL).running, 1);
    cr_assert_eq(workers_set_threads(workers, 4, 1), 0); /* one is kept for urgent work */
    while (stats_of(WORKERS_NORMAL).running < 3)
        sched_yield();
    cr_assert_eq(workers_set_threads(workers, 1, 1), 0); /* these go on */
    workers_get_stats(workers, &s);
    cr_assert_eq(s.threads, 1);
    cr_assert_eq(s.of[WORKERS_NORMAL].running, 3);
    struct workers_work work = {.fn = count, .class = WORKERS_NORMAL};
    cr_assert_eq(workers_submit_work(workers, &work, &id), 0);
    cr_assert_eq(workers_cancel(workers, id), 0);
    cr_assert_eq(workers_set_queue(workers, 0), -EINVAL);
    cr_assert_eq(workers_set_threads(workers, 257, 1), -EINVAL);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(atomic_load(&ran), 10);
    workers_destroy(workers);
}

Test(workers, a_job_that_submits_to_its_own_workers_aborts, .signal = SIGABRT)
{
    start(1, 4);
    workers_submit(workers, NULL, submit_again, NULL);
    workers_destroy(workers);
}

Test(workers, a_job_that_waits_for_its_own_workers_aborts, .signal = SIGABRT)
{
    start(1, 4);
    workers_submit(workers, &group, wait_again, &group);
    workers_destroy(workers);
}

/* ---- classes ---- */

static char order[64]; /* what ran, a letter each */
static _Atomic int at;

static int note(void *arg)
{
    order[atomic_fetch_add(&at, 1)] = (char)(intptr_t)arg;
    return count(NULL);
}

static int note_at_freeze_lock(void *arg)
{
    MUTEX_GUARD(&freeze_lock);
    return note(arg);
}

static uint64_t submit(enum workers_class class, workers_job_fn *fn, int arg)
{
    const struct workers_work w = {
        .fn = fn, .arg = (void *)(intptr_t)arg, .group = &group, .class = class};
    uint64_t id;

    cr_assert_eq(workers_submit_work(workers, &w, &id), 0);
    return id;
}

static void await_running(enum workers_class class, size_t n)
{
    while (stats_of(class).running < n)
        sched_yield();
}

Test(workers, urgent_work_goes_first)
{
    start(1, 8);
    mutex_lock(&freeze_lock);
    submit(WORKERS_NORMAL, note_at_freeze_lock, '0');
    await_running(WORKERS_NORMAL, 1);
    submit(WORKERS_NORMAL, note, 'n');
    submit(WORKERS_URGENT, note, 'u');
    submit(WORKERS_NORMAL, note, 'm');
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_str_eq(order, "0unm");
    workers_destroy(workers);
}

Test(workers, one_worker_is_kept_for_urgent_work)
{
    start(2, 8);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 4; i++)
        submit(WORKERS_NORMAL, note_at_freeze_lock, 'n');
    await_running(WORKERS_NORMAL, 1);
    for (int i = 0; i < 40; i++) { /* after each the worker looks at the queue again */
        submit(WORKERS_URGENT, note, 'u');
        while (atomic_load(&ran) == i)
            sched_yield();
        cr_assert_eq(order[i], 'u');
    }
    cr_assert_eq(stats_of(WORKERS_NORMAL).running, 1);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_destroy(workers);
}

/* Two workers: both run this at once, after the one of them that ran idle work before. */
static int io_priority(void *arg)
{
    *(long *)arg = syscall(SYS_ioprio_get, 1, 0);
    (void)count(NULL);
    while (atomic_load(&ran) < 3)
        sched_yield();
    return 0;
}

static void see_io_priorities(long ret[2])
{
    struct workers_work w = {.fn = io_priority, .arg = &ret[0], .class = WORKERS_NORMAL};

    cr_assert_eq(workers_submit_work(workers, &w, NULL), 0);
    w.class = WORKERS_LONG;
    w.arg = &ret[1];
    cr_assert_eq(workers_submit_work(workers, &w, NULL), 0);
    workers_shutdown(workers);
}

static int io_class(void *arg)
{
    *(long *)arg = syscall(SYS_ioprio_get, 1, 0) >> 13;
    return count(NULL);
}

Test(workers, idle_work_has_idle_io_priority_and_what_comes_after_it_has_not)
{
    long idle = -1, after[2];
    const struct workers_work w = {
        .fn = io_class, .arg = &idle, .group = &group, .class = WORKERS_LONG_IDLE};

    if (syscall(SYS_ioprio_set, 1, 0, 0) < 0)
        cr_skip_test("no I/O priorities here");
    start(1, 8);
    cr_assert_eq(workers_submit_work(workers, &w, NULL), 0);
    cr_assert_eq(workers_group_wait(&group), 0);
    see_io_priorities(after);
    cr_assert_eq(idle, 3);
    cr_assert_neq(after[0] >> 13, 3);
    cr_assert_neq(after[1] >> 13, 3);
    workers_destroy(workers);
}

Test(workers, after_idle_work_a_thread_has_the_io_priority_it_had)
{
    const long before = (2 << 13) + 2;
    long after[2];
    const struct workers_work w = {.fn = count, .group = &group, .class = WORKERS_LONG_IDLE};

    if (syscall(SYS_ioprio_set, 1, 0, before) < 0)
        cr_skip_test("no I/O priorities here");
    start(1, 8); /* its threads inherit it */
    cr_assert_eq(workers_submit_work(workers, &w, NULL), 0);
    cr_assert_eq(workers_group_wait(&group), 0);
    see_io_priorities(after);
    cr_assert_eq(after[0], before);
    cr_assert_eq(after[1], before);
    workers_destroy(workers);
}

Test(workers, each_class_has_a_queue_of_its_own)
{
    const struct workers_work more = {.fn = note, .class = WORKERS_NORMAL};

    start(1, 2);
    mutex_lock(&freeze_lock);
    submit(WORKERS_NORMAL, note_at_freeze_lock, '0');
    await_running(WORKERS_NORMAL, 1);
    submit(WORKERS_NORMAL, note, 'n');
    submit(WORKERS_NORMAL, note, 'n');
    cr_assert_eq(workers_try_submit(workers, &more, NULL), -EAGAIN);
    submit(WORKERS_LONG_IDLE, count, 0);
    submit(WORKERS_URGENT, note, 'u');
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_str_eq(order, "0unn");
    workers_destroy(workers);
}

Test(workers, work_that_is_none_is_refused)
{
    start(1, 2);
    cr_assert_eq(
        workers_submit_work(workers, &(struct workers_work){.class = WORKERS_NORMAL}, NULL),
        -EINVAL);
    cr_assert_eq(workers_submit_work(
                     workers, &(struct workers_work){.fn = count, .class = WORKERS_CLASSES}, NULL),
                 -EINVAL);
    workers_destroy(workers);
}

/* ---- cancelling ---- */

static int told;

static void on_dropped(void *arg, int err)
{
    *(int *)arg = err;
}

Test(workers, what_is_cancelled_never_runs_and_its_owner_is_told)
{
    struct workers_work w = {.fn = count, .dropped = on_dropped, .arg = &told};
    uint64_t first, behind, ready;

    start(1, 8);
    mutex_lock(&freeze_lock);
    first = submit(WORKERS_NORMAL, note_at_freeze_lock, 'a');
    await_running(WORKERS_NORMAL, 1);
    w.class = WORKERS_NORMAL;
    cr_assert_eq(workers_submit_work(workers, &w, &behind), 0);
    ready = submit(WORKERS_NORMAL, note, 'x');
    submit(WORKERS_NORMAL, note, 'b');
    cr_assert_eq(workers_cancel(workers, first), -EBUSY);
    cr_assert_eq(workers_cancel(workers, behind), 0);
    cr_assert_eq(told, -ECANCELED);
    cr_assert_eq(workers_cancel(workers, ready), 0);
    cr_assert_eq(workers_cancel(workers, ready), -ENOENT);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), -ECANCELED);
    cr_assert_str_eq(order, "ab");
    cr_assert_eq(workers_cancel(workers, first), -ENOENT);
    cr_assert_eq(workers_cancel(workers, 0), -ENOENT);
    cr_assert_eq(stats_of(WORKERS_NORMAL).dropped, 2);
    workers_destroy(workers);
}

/* ---- errors nobody takes ---- */

static _Atomic int fatals;
static int fatal_err;
static const char *fatal_name;

static void on_fatal(void *ctx, const char *name, int err)
{
    cr_assert_eq(ctx, &fatals);
    fatal_err = err;
    fatal_name = name;
    atomic_fetch_add(&fatals, 1);
}

static void start_with_fatal(void)
{
    const struct workers_config c = {
        .threads = 1, .long_threads = 1, .queue = 8, .fatal = on_fatal, .ctx = &fatals};

    cr_assert_eq(workers_open(&c, &workers), 0);
}

Test(workers, an_error_that_nobody_takes_is_fatal_once)
{
    const struct workers_work w = {
        .fn = fail_with, .arg = (void *)(intptr_t)EIO, .name = "trying", .class = WORKERS_NORMAL};

    start_with_fatal();
    submit(WORKERS_NORMAL, fail_with, ENOSPC);
    cr_assert_eq(workers_submit_work(workers, &w, NULL), 0);
    cr_assert_eq(workers_submit(workers, NULL, fail_with, (void *)(intptr_t)ENOSPC), 0);
    cr_assert_eq(workers_group_wait(&group), -ENOSPC);
    workers_destroy(workers);
    cr_assert_eq(fatals, 1);
    cr_assert_eq(fatal_err, -EIO);
    cr_assert_str_eq(fatal_name, "trying");
    cr_assert_eq(ran, 3, "the rest still runs");
}

Test(workers, what_cannot_be_recovered_is_fatal_also_in_a_group)
{
    start_with_fatal();
    submit(WORKERS_NORMAL, fail_with, ENOTRECOVERABLE);
    cr_assert_eq(workers_group_wait(&group), -ENOTRECOVERABLE);
    workers_destroy(workers);
    cr_assert_eq(fatals, 1);
}

/* ---- the end ---- */

static _Atomic bool has_shut;

static void *shut(void *arg)
{
    workers_shutdown(workers);
    atomic_store(&has_shut, true);
    return arg;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Waits until the workers take no more jobs. */
static void await_closed(void)
{
    const struct workers_work w = {.fn = nothing, .class = WORKERS_URGENT};

    while (workers_try_submit(workers, &w, NULL) != -ESHUTDOWN)
        sched_yield();
}

Test(workers, shutdown_empties_a_full_queue)
{
    pthread_t thread;

    start(1, 8);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 4; i++) {
        submit(WORKERS_NORMAL, note_at_freeze_lock, 'n');
        submit(WORKERS_URGENT, note, 'u');
    }
    cr_assert_eq(pthread_create(&thread, NULL, shut, NULL), 0);
    await_closed();
    cr_assert_not(has_shut);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(ran, 8);
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_destroy(workers);
}

Test(workers, after_shutdown_nothing_is_taken_and_twice_is_harmless)
{
    const struct workers_work w = {.fn = count, .class = WORKERS_URGENT};

    start(2, 8);
    workers_shutdown(workers);
    workers_shutdown(workers);
    cr_assert_eq(workers_submit(workers, &group, count, NULL), -ESHUTDOWN);
    cr_assert_eq(workers_submit_work(workers, &w, NULL), -ESHUTDOWN);
    cr_assert_eq(workers_try_submit(workers, &w, NULL), -ESHUTDOWN);
    cr_assert_eq(workers_group_wait(&group), 0, "the group knows nothing of it");
    cr_assert_eq(ran, 0);
    workers_destroy(workers);
}

static void *submit_one(void *arg)
{
    return (void *)(intptr_t)workers_submit(arg, NULL, count, NULL);
}

static void *shut_down(void *arg)
{
    workers_shutdown(arg);
    return NULL;
}

Test(workers, who_waits_for_room_is_told_of_the_shutdown)
{
    pthread_t waiter, ender;
    void *result;

    start(1, 1);
    mutex_lock(&freeze_lock);
    submit(WORKERS_NORMAL, note_at_freeze_lock, 'a');
    await_running(WORKERS_NORMAL, 1);
    submit(WORKERS_NORMAL, note, 'b');
    cr_assert_eq(pthread_create(&waiter, NULL, submit_one, workers), 0);
    while (stats_of(WORKERS_NORMAL).waiting == 0)
        sched_yield();
    cr_assert_eq(pthread_create(&ender, NULL, shut_down, workers), 0);
    cr_assert_eq(pthread_join(waiter, &result), 0);
    cr_assert_eq((int)(intptr_t)result, -ESHUTDOWN);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(pthread_join(ender, NULL), 0);
    cr_assert_str_eq(order, "ab");
    workers_destroy(workers);
}

Test(workers, the_time_that_submitters_waited_is_that_of_the_clock)
{
    struct clock_manual clock;
    struct workers_config c = {.threads = 1, .long_threads = 1, .queue = 1, .clock = &clock.base};
    pthread_t waiter;

    clock_manual_init(&clock, 1000);
    cr_assert_eq(workers_open(&c, &workers), 0);
    mutex_lock(&freeze_lock);
    submit(WORKERS_NORMAL, note_at_freeze_lock, 'a');
    await_running(WORKERS_NORMAL, 1);
    submit(WORKERS_NORMAL, note, 'b');
    cr_assert_eq(pthread_create(&waiter, NULL, submit_one, workers), 0);
    while (stats_of(WORKERS_NORMAL).waiting == 0)
        sched_yield();
    clock_manual_advance(&clock, 70);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(pthread_join(waiter, NULL), 0);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(stats_of(WORKERS_NORMAL).waited_ns, 70);
    workers_destroy(workers);
}

/* ---- long work ---- */

static int note_io(void *arg)
{
    return note((void *)(intptr_t)(thread_io_is_idle() ? 'i' : (int)(intptr_t)arg));
}

Test(workers, short_work_has_its_workers_whatever_long_work_does)
{
    start(2, 8);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 6; i++)
        submit(i % 2 ? WORKERS_LONG : WORKERS_LONG_IDLE, note_at_freeze_lock, 'l');
    while (stats_of(WORKERS_LONG).running + stats_of(WORKERS_LONG_IDLE).running < 2)
        sched_yield();
    submit(WORKERS_NORMAL, note_at_freeze_lock, 'n');
    await_running(WORKERS_NORMAL, 1);
    submit(WORKERS_URGENT, note, 'u');
    while (atomic_load(&ran) == 0)
        sched_yield();
    cr_assert_eq(order[0], 'u');
    cr_assert_eq(stats_of(WORKERS_LONG).running + stats_of(WORKERS_LONG_IDLE).running, 2);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(ran, 8);
    workers_destroy(workers);
}

/* With all of one class at the freeze lock, one of the other goes by. */
static void passes(enum workers_class other, enum workers_class class)
{
    workers_group_init(&group);
    atomic_store(&ran, 0);
    start(2, 8);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 4; i++)
        submit(class, pass_freeze_lock, 0);
    await_running(class, 1);
    submit(other, count, 0);
    while (atomic_load(&ran) == 0)
        sched_yield();
    cr_assert_eq(stats_of(class).running, 1);
    cr_assert_eq(stats_of(class).queued, 3);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_destroy(workers);
}

Test(workers, each_class_of_long_work_leaves_a_worker_to_the_other)
{
    passes(WORKERS_LONG, WORKERS_LONG_IDLE);
    passes(WORKERS_LONG_IDLE, WORKERS_LONG);
}

/* As a drain does: work that needs the workers for short work. */
static int need_short_work(void *arg)
{
    struct workers_group g;
    struct workers_work w = {.fn = note, .arg = arg, .group = &g, .class = WORKERS_URGENT};

    workers_group_init(&g);
    for (int i = 0; i < 10; i++) {
        w.class = i % 2 ? WORKERS_URGENT : WORKERS_NORMAL;
        cr_assert_eq(workers_submit_work(workers, &w, NULL), 0);
    }
    return workers_group_wait(&g);
}

static int class_here(void)
{
    return (int)syscall(SYS_ioprio_get, 1, 0) >> 13; /* of the calling thread */
}

static int note_class(void *arg)
{
    (void)arg;
    return note((void *)(intptr_t)('0' + class_here()));
}

/* Idle work that rests, so that a worker begins for what is queued. */
static int rest_until_done(void *arg)
{
    (void)arg;
    {
        MUTEX_GUARD(&freeze_lock);
    }
    workers_rest_begin(workers);
    while (atomic_load(&ran) == 0)
        sched_yield();
    workers_rest_end(workers, true, NULL);
    return note_class(NULL);
}

/* Where the kernel has no such priority, all are of one class. */
Test(workers, a_worker_that_idle_work_had_begun_is_not_idle)
{
    start(1, 8);
    mutex_lock(&freeze_lock);
    submit(WORKERS_LONG_IDLE, rest_until_done, 0);
    await_running(WORKERS_LONG_IDLE, 1);
    submit(WORKERS_LONG, note_class, 0);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert(order[0] != '3' && (order[1] == '3' || order[1] == order[0]), "%s", order);
    workers_destroy(workers);
}

Test(workers, long_work_may_wait_for_short_work_where_there_is_one_worker_of_each)
{
    start(1, 1); /* the submits wait, too */
    for (int i = 0; i < 4; i++)
        submit(i % 2 ? WORKERS_LONG : WORKERS_LONG_IDLE, need_short_work, 's');
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(ran, 40);
    workers_destroy(workers);
}

static int submit_long(void *arg)
{
    const struct workers_work w = {.fn = count, .class = WORKERS_LONG_IDLE};

    (void)arg;
    return workers_submit_work(workers, &w, NULL);
}

Test(workers, long_work_that_waits_for_long_work_aborts, .signal = SIGABRT)
{
    start(2, 8);
    submit(WORKERS_LONG, submit_long, 0);
    workers_destroy(workers);
}

Test(workers, long_idle_work_has_idle_io_priority_and_other_long_work_has_not)
{
    start(1, 8);
    submit(WORKERS_LONG_IDLE, note_io, 'l');
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_group_init(&group);
    submit(WORKERS_LONG, note_io, 'l');
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_str_eq(order, "il");
    workers_destroy(workers);
}

Test(workers, more_workers_for_long_work_count_at_once_and_so_do_fewer)
{
    start(1, 8);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 6; i++)
        submit(WORKERS_LONG_IDLE, pass_freeze_lock, 0);
    await_running(WORKERS_LONG_IDLE, 1);
    cr_assert_eq(stats_of(WORKERS_LONG_IDLE).queued, 5);
    cr_assert_eq(workers_set_threads(workers, 3, 4), 0);
    await_running(WORKERS_LONG_IDLE, 3);
    cr_assert_eq(workers_set_threads(workers, 8, 1), 0);
    submit(WORKERS_URGENT, count, 0);
    while (atomic_load(&ran) == 0)
        sched_yield();
    cr_assert_eq(stats_of(WORKERS_LONG_IDLE).running, 3, "these go on");
    cr_assert_eq(workers_set_threads(workers, 1, 0), -EINVAL);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(ran, 7);
    workers_destroy(workers);
}

/* ---- resting ---- */

static struct mutex other_lock;
static _Atomic bool stop; /* what rests is asked to end */

/* Rests until it can pass the freeze lock. A capital letter goes on at once. */
static int rest_and_note(void *arg)
{
    int letter = (int)(intptr_t)arg;

    workers_rest_begin(workers);
    {
        MUTEX_GUARD(&freeze_lock);
    }
    workers_rest_end(workers, letter < 'a', &stop);
    return note(arg);
}

static int note_at_other_lock(void *arg)
{
    MUTEX_GUARD(&other_lock);
    return note(arg);
}

static void await_resting(enum workers_class class, size_t n)
{
    while (stats_of(class).resting < n)
        sched_yield();
}

static void await_ran(int n)
{
    while (atomic_load(&ran) < n)
        sched_yield();
}

/* One rests, and another one of its class has the only place. */
static void rest_beside_one(int letter)
{
    mutex_init(&other_lock, "freeze");
    start(1, 8);
    mutex_lock(&freeze_lock);
    mutex_lock(&other_lock);
    submit(WORKERS_LONG_IDLE, rest_and_note, letter);
    await_resting(WORKERS_LONG_IDLE, 1);
    cr_assert_eq(stats_of(WORKERS_LONG_IDLE).running, 0);
    submit(WORKERS_LONG_IDLE, note, 'a');
    submit(WORKERS_LONG, note, 'l');
    await_ran(2);
    submit(WORKERS_LONG_IDLE, note_at_other_lock, 'b');
    await_running(WORKERS_LONG_IDLE, 1);
}

/* Ten times, as a thread may be the first by chance. */
Test(workers, while_one_rests_others_run_and_it_goes_on_before_those_that_have_not_begun)
{
    for (int i = 0; i < 10; i++) {
        workers_group_init(&group);
        atomic_store(&ran, 0);
        atomic_store(&at, 0);
        rest_beside_one('r');
        submit(WORKERS_LONG_IDLE, note, 'c');
        mutex_unlock(&freeze_lock);
        while (stats_of(WORKERS_LONG_IDLE).queued < 2)
            sched_yield();
        cr_assert_eq(stats_of(WORKERS_LONG_IDLE).resting, 0);
        cr_assert_eq(ran, 2, "its place is taken");
        mutex_unlock(&other_lock);
        cr_assert_eq(workers_group_wait(&group), 0);
        cr_assert(!strcmp(order, "albrc") || !strcmp(order, "labrc"), "%s", order);
        workers_destroy(workers);
    }
}

Test(workers, one_that_is_about_to_end_waits_for_no_place)
{
    rest_beside_one('R');
    mutex_unlock(&freeze_lock);
    await_ran(3);
    cr_assert_eq(order[2], 'R');
    mutex_unlock(&other_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_destroy(workers);
}

Test(workers, one_that_is_asked_to_stop_meanwhile_waits_for_no_place)
{
    atomic_store(&stop, false);
    rest_beside_one('r');
    mutex_unlock(&freeze_lock);
    while (stats_of(WORKERS_LONG_IDLE).queued < 1)
        sched_yield();
    cr_assert_eq(ran, 2, "its place is taken");
    atomic_store(&stop, true);
    await_ran(3);
    cr_assert_eq(order[2], 'r');
    mutex_unlock(&other_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_destroy(workers);
}

Test(workers, more_than_may_rest_keep_their_places)
{
    start(1, 8);
    mutex_lock(&freeze_lock);
    for (int i = 0; i < 3; i++)
        submit(WORKERS_LONG_IDLE, rest_and_note, 'r');
    await_resting(WORKERS_LONG_IDLE, 1);
    await_running(WORKERS_LONG_IDLE, 1);
    cr_assert_eq(stats_of(WORKERS_LONG_IDLE).queued, 1);
    submit(WORKERS_NORMAL, count, 0);
    await_ran(1);
    cr_assert_eq(stats_of(WORKERS_LONG_IDLE).running, 1);
    cr_assert_eq(stats_of(WORKERS_LONG_IDLE).resting, 1);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_eq(ran, 4);
    workers_destroy(workers);
}

Test(workers, a_higher_limit_ends_a_rest)
{
    rest_beside_one('r');
    submit(WORKERS_LONG, rest_and_note, 's');
    mutex_unlock(&freeze_lock);
    while (stats_of(WORKERS_LONG_IDLE).queued < 1 || stats_of(WORKERS_LONG).queued < 1)
        sched_yield();
    cr_assert_eq(workers_set_threads(workers, 1, 3), 0);
    await_ran(4);
    mutex_unlock(&other_lock);
    workers_destroy(workers);
    cr_assert_eq(ran, 5);
}

Test(workers, the_end_waits_for_one_that_rests)
{
    pthread_t thread;

    start(1, 8);
    mutex_lock(&freeze_lock);
    submit(WORKERS_LONG_IDLE, rest_and_note, 'r');
    await_resting(WORKERS_LONG_IDLE, 1);
    cr_assert_eq(pthread_create(&thread, NULL, shut, NULL), 0);
    await_closed();
    cr_assert_not(has_shut);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(ran, 1);
    workers_destroy(workers);
}

Test(workers, who_is_no_worker_does_not_rest)
{
    start(1, 8);
    workers_rest_begin(workers);
    workers_rest_end(workers, false, NULL);
    mutex_lock(&freeze_lock);
    submit(WORKERS_NORMAL, rest_and_note, 'n');
    await_running(WORKERS_NORMAL, 1);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_str_eq(order, "n");
    workers_destroy(workers);
}

/* ---- keys ---- */

static uint64_t submit_of(uint64_t key, enum workers_class class, workers_job_fn *fn, int arg)
{
    const struct workers_work w = {
        .fn = fn, .arg = (void *)(intptr_t)arg, .group = &group, .class = class, .key = key};
    uint64_t id;

    cr_assert_eq(workers_submit_work(workers, &w, &id), 0);
    return id;
}

Test(workers, work_of_one_key_goes_in_order_and_one_at_a_time)
{
    start(4, 8);
    mutex_lock(&freeze_lock);
    submit_of(7, WORKERS_LONG_IDLE, note_at_freeze_lock, '1');
    submit_of(7, WORKERS_LONG_IDLE, note, '2');
    submit_of(7, WORKERS_LONG_IDLE, note, '3');
    submit_of(7, WORKERS_LONG_IDLE, note, '4');
    submit_of(8, WORKERS_LONG_IDLE, note, 'o');
    while (atomic_load(&ran) == 0)
        sched_yield();
    submit_of(0, WORKERS_LONG_IDLE, note, 'n');
    while (atomic_load(&ran) < 2)
        sched_yield();
    cr_assert_str_eq(order, "on", "others go by");
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    cr_assert_str_eq(order, "on1234");
    workers_destroy(workers);
}

#define KEYS 500
#define OF_KEY 8

struct turn {
    unsigned key, number;
};
static _Atomic unsigned turns[KEYS + 1];

/* The number of the turn rises within its key. */
static int take_turn(void *arg)
{
    const struct turn *t = arg;

    cr_assert_lt(atomic_exchange(&turns[t->key], t->number), t->number);
    return count(NULL);
}

/* 500 keys, of each of which every third is cancelled while it waits. */
Test(workers, each_of_many_keys_keeps_its_order)
{
    static struct turn t[KEYS * OF_KEY];
    static uint64_t ids[KEYS * OF_KEY];

    start(2, KEYS * OF_KEY);
    mutex_lock(&freeze_lock);
    submit(WORKERS_LONG_IDLE, note_at_freeze_lock, '0');
    submit(WORKERS_LONG, note_at_freeze_lock, '0');
    await_running(WORKERS_LONG_IDLE, 1);
    await_running(WORKERS_LONG, 1);
    for (unsigned i = 0; i < KEYS * OF_KEY; i++) {
        t[i] = (struct turn){1 + i % KEYS, 1 + i / KEYS};
        const struct workers_work w = {.fn = take_turn,
                                       .arg = &t[i],
                                       .class = i % 2 ? WORKERS_LONG : WORKERS_LONG_IDLE,
                                       .key = t[i].key};
        cr_assert_eq(workers_submit_work(workers, &w, &ids[i]), 0);
    }
    for (unsigned i = 0; i < KEYS * OF_KEY; i += 3)
        cr_assert_eq(workers_cancel(workers, ids[i]), 0);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), 0);
    workers_destroy(workers);
    cr_assert_eq(ran, 2 + KEYS * OF_KEY - (KEYS * OF_KEY + 2) / 3);
}

Test(workers, those_behind_one_that_is_cancelled_go_on)
{
    uint64_t first, second;

    start(1, 8);
    mutex_lock(&freeze_lock);
    submit(WORKERS_LONG, note_at_freeze_lock, '0');
    await_running(WORKERS_LONG, 1);
    first = submit_of(7, WORKERS_LONG, note, '1');
    second = submit_of(7, WORKERS_LONG, note, '2');
    submit_of(7, WORKERS_LONG, note, '3');
    submit_of(7, WORKERS_LONG, note, '4');
    cr_assert_eq(stats_of(WORKERS_LONG).queued, 4);
    cr_assert_eq(workers_cancel(workers, second), 0);
    cr_assert_eq(workers_cancel(workers, first), 0);
    mutex_unlock(&freeze_lock);
    cr_assert_eq(workers_group_wait(&group), -ECANCELED);
    cr_assert_str_eq(order, "034");
    workers_destroy(workers);
}
