// SPDX-License-Identifier: Apache-2.0
/* Claims of pool.h. A gate (a mutex a job must pass) stands in for slow work: no sleeps. */
#include "pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct pool *pool;
static struct pool_group group;
static _Atomic int ran;
static _Atomic int submitted;
static struct mutex gate;

static void setup(void)
{
    mutex_init(&gate, "gate");
    pool_group_init(&group);
}

static void start(unsigned threads, size_t queue)
{
    cr_assert_eq(pool_create(threads, queue, &pool), 0);
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

static int pass_gate(void *arg)
{
    MUTEX_GUARD(&gate);
    return count(arg);
}

static int submit_again(void *arg)
{
    pool_submit(pool, NULL, count, arg);
    return 0;
}

static int wait_again(void *arg)
{
    struct pool_group *g = arg;
    return pool_group_wait(g);
}

static void *submit_ten(void *arg)
{
    for (int i = 0; i < 10; i++) {
        pool_submit(pool, &group, pass_gate, NULL);
        atomic_fetch_add(&submitted, 1);
    }
    return arg;
}

static struct pool_class_stats stats_of(enum pool_class class)
{
    struct pool_stats s;

    pool_get_stats(pool, &s);
    return s.of[class];
}

/* One at work, and the next submitter waits. */
static bool is_full(void)
{
    struct pool_class_stats s = stats_of(POOL_NORMAL);

    return s.running == 1 && s.waiting == 1 && s.queued >= 2;
}

TestSuite(pool, .init = setup, .timeout = 60);

Test(pool, bad_numbers_are_refused)
{
    cr_assert_eq(pool_create(0, 1, &pool), -EINVAL);
    cr_assert_eq(pool_create(257, 1, &pool), -EINVAL);
    cr_assert_eq(pool_create(1, 0, &pool), -EINVAL);
    pool_destroy(NULL);
}

Test(pool, every_job_runs_once_before_the_wait_ends)
{
    start(4, 3);
    for (int i = 0; i < 1000; i++)
        pool_submit(pool, &group, count, NULL);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(ran, 1000);
    pool_destroy(pool);
}

Test(pool, the_first_error_is_returned_and_the_rest_still_runs)
{
    start(1, 8);
    pool_submit(pool, &group, count, NULL);
    pool_submit(pool, &group, fail_with, (void *)(intptr_t)ENOSPC);
    pool_submit(pool, &group, fail_with, (void *)(intptr_t)EIO);
    pool_submit(pool, &group, count, NULL);
    cr_assert_eq(pool_group_wait(&group), -ENOSPC);
    cr_assert_eq(ran, 4);
    pool_destroy(pool);
}

Test(pool, an_empty_group_is_done)
{
    cr_assert_eq(pool_group_wait(&group), 0);
}

Test(pool, destroy_runs_what_is_queued)
{
    start(1, 64);
    mutex_lock(&gate);
    for (int i = 0; i < 50; i++)
        pool_submit(pool, NULL, pass_gate, NULL);
    mutex_unlock(&gate);
    pool_destroy(pool);
    cr_assert_eq(ran, 50);
}

Test(pool, at_the_limit_the_submitter_waits_and_nothing_is_dropped)
{
    pthread_t t;
    start(1, 2);
    mutex_lock(&gate);
    cr_assert_eq(pthread_create(&t, NULL, submit_ten, NULL), 0);
    while (!is_full())
        sched_yield();
    /* One job at the gate and two queued is all there is room for. */
    cr_assert_eq(stats_of(POOL_NORMAL).queued, 2);
    cr_assert_leq(atomic_load(&submitted), 3);
    mutex_unlock(&gate);
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(ran, 10);
    pool_destroy(pool);
}

Test(pool, a_longer_queue_counts_at_once_and_so_do_more_workers_and_fewer)
{
    pthread_t thread;
    struct pool_stats s;
    uint64_t id;

    start(1, 2); /* as is_full has it */
    mutex_lock(&gate);
    cr_assert_eq(pthread_create(&thread, NULL, submit_ten, NULL), 0);
    while (!is_full())
        sched_yield();
    cr_assert_lt(atomic_load(&submitted), 10);
    cr_assert_eq(pool_set_queue(pool, 20), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&submitted), 10);
    cr_assert_eq(stats_of(POOL_NORMAL).running, 1);
    cr_assert_eq(pool_set_threads(pool, 4), 0); /* one is kept for urgent work */
    while (stats_of(POOL_NORMAL).running < 3)
        sched_yield();
    cr_assert_eq(pool_set_threads(pool, 1), 0); /* these go on */
    pool_get_stats(pool, &s);
    cr_assert_eq(s.threads, 1);
    cr_assert_eq(s.of[POOL_NORMAL].running, 3);
    struct pool_work work = {.fn = count, .class = POOL_NORMAL};
    cr_assert_eq(pool_submit_work(pool, &work, &id), 0);
    cr_assert_eq(pool_cancel(pool, id), 0);
    cr_assert_eq(pool_set_queue(pool, 0), -EINVAL);
    cr_assert_eq(pool_set_threads(pool, 257), -EINVAL);
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(atomic_load(&ran), 10);
    pool_destroy(pool);
}

Test(pool, a_job_that_submits_to_its_own_pool_aborts, .signal = SIGABRT)
{
    start(1, 4);
    pool_submit(pool, NULL, submit_again, NULL);
    pool_destroy(pool);
}

Test(pool, a_job_that_waits_for_its_own_pool_aborts, .signal = SIGABRT)
{
    start(1, 4);
    pool_submit(pool, &group, wait_again, &group);
    pool_destroy(pool);
}

/* ---- classes ---- */

static char order[64]; /* what ran, a letter each */
static _Atomic int at;

static int note(void *arg)
{
    order[atomic_fetch_add(&at, 1)] = (char)(intptr_t)arg;
    return count(NULL);
}

static int note_at_gate(void *arg)
{
    MUTEX_GUARD(&gate);
    return note(arg);
}

static uint64_t submit(enum pool_class class, pool_job_fn *fn, int arg)
{
    const struct pool_work w = {
        .fn = fn, .arg = (void *)(intptr_t)arg, .group = &group, .class = class};
    uint64_t id;

    cr_assert_eq(pool_submit_work(pool, &w, &id), 0);
    return id;
}

static void await_running(enum pool_class class, size_t n)
{
    while (stats_of(class).running < n)
        sched_yield();
}

Test(pool, urgent_work_goes_first_and_idle_work_last)
{
    start(1, 8);
    mutex_lock(&gate);
    submit(POOL_NORMAL, note_at_gate, '0');
    await_running(POOL_NORMAL, 1);
    submit(POOL_IDLE, note, 'i');
    submit(POOL_NORMAL, note, 'n');
    submit(POOL_URGENT, note, 'u');
    submit(POOL_NORMAL, note, 'm');
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_str_eq(order, "0unmi");
    pool_destroy(pool);
}

Test(pool, one_worker_is_kept_for_urgent_work)
{
    start(2, 8);
    mutex_lock(&gate);
    for (int i = 0; i < 4; i++)
        submit(POOL_NORMAL, note_at_gate, 'n');
    await_running(POOL_NORMAL, 1);
    submit(POOL_URGENT, note, 'u');
    while (atomic_load(&ran) == 0)
        sched_yield();
    cr_assert_eq(order[0], 'u');
    cr_assert_eq(stats_of(POOL_NORMAL).running, 1);
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), 0);
    pool_destroy(pool);
}

Test(pool, another_one_is_kept_from_idle_work)
{
    start(3, 8);
    mutex_lock(&gate);
    for (int i = 0; i < 4; i++)
        submit(POOL_IDLE, note_at_gate, 'i');
    await_running(POOL_IDLE, 1);
    submit(POOL_NORMAL, note, 'n');
    while (atomic_load(&ran) == 0)
        sched_yield();
    cr_assert_eq(order[0], 'n');
    cr_assert_eq(stats_of(POOL_IDLE).running, 1);
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(ran, 5);
    pool_destroy(pool);
}

static int io_class(void *arg)
{
    *(long *)arg = syscall(SYS_ioprio_get, 1, 0) >> 13;
    return 0;
}

Test(pool, idle_work_has_idle_io_priority_and_what_comes_after_it_has_not)
{
    long idle = -1, after = -1;
    struct pool_work w = {.fn = io_class, .arg = &idle, .group = &group, .class = POOL_IDLE};

    if (syscall(SYS_ioprio_set, 1, 0, 0) < 0)
        cr_skip_test("no I/O priorities here");
    start(1, 8);
    cr_assert_eq(pool_submit_work(pool, &w, NULL), 0);
    w.arg = &after;
    w.class = POOL_NORMAL;
    cr_assert_eq(pool_submit_work(pool, &w, NULL), 0);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(idle, 3);
    cr_assert_neq(after, 3);
    pool_destroy(pool);
}

static int io_priority(void *arg)
{
    *(long *)arg = syscall(SYS_ioprio_get, 1, 0);
    return 0;
}

Test(pool, after_idle_work_a_thread_has_the_io_priority_it_had)
{
    const long before = (2 << 13) + 2;
    long after = -1;
    struct pool_work w = {.fn = count, .group = &group, .class = POOL_IDLE};

    if (syscall(SYS_ioprio_set, 1, 0, before) < 0)
        cr_skip_test("no I/O priorities here");
    start(1, 8); /* its thread inherits it */
    cr_assert_eq(pool_submit_work(pool, &w, NULL), 0);
    w = (struct pool_work){.fn = io_priority, .arg = &after, .group = &group, .class = POOL_NORMAL};
    cr_assert_eq(pool_submit_work(pool, &w, NULL), 0);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(after, before);
    pool_destroy(pool);
}

Test(pool, each_class_has_a_queue_of_its_own)
{
    const struct pool_work more = {.fn = note, .class = POOL_NORMAL};

    start(1, 2);
    mutex_lock(&gate);
    submit(POOL_NORMAL, note_at_gate, '0');
    await_running(POOL_NORMAL, 1);
    submit(POOL_NORMAL, note, 'n');
    submit(POOL_NORMAL, note, 'n');
    cr_assert_eq(pool_try_submit(pool, &more, NULL), -EAGAIN);
    submit(POOL_IDLE, note, 'i');
    submit(POOL_URGENT, note, 'u');
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_str_eq(order, "0unni");
    pool_destroy(pool);
}

Test(pool, work_that_is_none_is_refused)
{
    start(1, 2);
    cr_assert_eq(pool_submit_work(pool, &(struct pool_work){.class = POOL_NORMAL}, NULL), -EINVAL);
    cr_assert_eq(
        pool_submit_work(pool, &(struct pool_work){.fn = count, .class = POOL_CLASSES}, NULL),
        -EINVAL);
    pool_destroy(pool);
}

/* ---- cancelling ---- */

static int told;

static void on_dropped(void *arg, int err)
{
    *(int *)arg = err;
}

Test(pool, what_is_cancelled_never_runs_and_its_owner_is_told)
{
    struct pool_work w = {.fn = count, .dropped = on_dropped, .arg = &told};
    uint64_t first, behind, ready;

    start(1, 8);
    mutex_lock(&gate);
    first = submit(POOL_NORMAL, note_at_gate, 'a');
    await_running(POOL_NORMAL, 1);
    w.class = POOL_NORMAL;
    cr_assert_eq(pool_submit_work(pool, &w, &behind), 0);
    ready = submit(POOL_NORMAL, note, 'x');
    submit(POOL_NORMAL, note, 'b');
    cr_assert_eq(pool_cancel(pool, first), -EBUSY);
    cr_assert_eq(pool_cancel(pool, behind), 0);
    cr_assert_eq(told, -ECANCELED);
    cr_assert_eq(pool_cancel(pool, ready), 0);
    cr_assert_eq(pool_cancel(pool, ready), -ENOENT);
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), -ECANCELED);
    cr_assert_str_eq(order, "ab");
    cr_assert_eq(pool_cancel(pool, first), -ENOENT);
    cr_assert_eq(pool_cancel(pool, 0), -ENOENT);
    cr_assert_eq(stats_of(POOL_NORMAL).dropped, 2);
    pool_destroy(pool);
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
    const struct pool_config c = {.threads = 1, .queue = 8, .fatal = on_fatal, .ctx = &fatals};

    cr_assert_eq(pool_open(&c, &pool), 0);
}

Test(pool, an_error_that_nobody_takes_is_fatal_once)
{
    const struct pool_work w = {
        .fn = fail_with, .arg = (void *)(intptr_t)EIO, .name = "trying", .class = POOL_NORMAL};

    start_with_fatal();
    submit(POOL_NORMAL, fail_with, ENOSPC);
    cr_assert_eq(pool_submit_work(pool, &w, NULL), 0);
    cr_assert_eq(pool_submit(pool, NULL, fail_with, (void *)(intptr_t)ENOSPC), 0);
    cr_assert_eq(pool_group_wait(&group), -ENOSPC);
    pool_destroy(pool);
    cr_assert_eq(fatals, 1);
    cr_assert_eq(fatal_err, -EIO);
    cr_assert_str_eq(fatal_name, "trying");
    cr_assert_eq(ran, 3, "the rest still runs");
}

Test(pool, what_cannot_be_recovered_is_fatal_also_in_a_group)
{
    start_with_fatal();
    submit(POOL_NORMAL, fail_with, ENOTRECOVERABLE);
    cr_assert_eq(pool_group_wait(&group), -ENOTRECOVERABLE);
    pool_destroy(pool);
    cr_assert_eq(fatals, 1);
}

/* ---- the end ---- */

static size_t remained[64];
static _Atomic size_t reports;

static void on_remaining(void *ctx, size_t jobs)
{
    (void)ctx;
    if (atomic_load(&reports) == 0)
        mutex_unlock(&gate); /* by the thread that took it */
    remained[atomic_fetch_add(&reports, 1)] = jobs;
}

Test(pool, shutdown_empties_a_full_queue_and_says_how_many_remain)
{
    start(1, 8);
    mutex_lock(&gate);
    for (int i = 0; i < 4; i++) {
        submit(POOL_NORMAL, note_at_gate, 'n');
        submit(POOL_IDLE, note, 'i');
    }
    pool_shutdown(pool, on_remaining, NULL);
    cr_assert_eq(ran, 8);
    cr_assert_eq(remained[0], 8);
    cr_assert_eq(remained[reports - 1], 0);
    for (size_t i = 1; i < reports; i++)
        cr_assert_lt(remained[i], remained[i - 1]);
    cr_assert_eq(pool_group_wait(&group), 0);
    pool_destroy(pool);
}

Test(pool, after_shutdown_nothing_is_taken_and_twice_is_harmless)
{
    const struct pool_work w = {.fn = count, .class = POOL_URGENT};
    size_t before;

    start(2, 8);
    pool_shutdown(pool, NULL, NULL);
    pool_shutdown(pool, on_remaining, NULL);
    before = reports;
    cr_assert_eq(before, 0, "nothing remained");
    cr_assert_eq(pool_submit(pool, &group, count, NULL), -ESHUTDOWN);
    cr_assert_eq(pool_submit_work(pool, &w, NULL), -ESHUTDOWN);
    cr_assert_eq(pool_try_submit(pool, &w, NULL), -ESHUTDOWN);
    cr_assert_eq(pool_group_wait(&group), 0, "the group knows nothing of it");
    cr_assert_eq(ran, 0);
    pool_destroy(pool);
}

static void *submit_one(void *arg)
{
    return (void *)(intptr_t)pool_submit(arg, NULL, count, NULL);
}

static void *shut_down(void *arg)
{
    pool_shutdown(arg, NULL, NULL);
    return NULL;
}

Test(pool, who_waits_for_room_is_told_of_the_shutdown)
{
    pthread_t waiter, ender;
    void *result;

    start(1, 1);
    mutex_lock(&gate);
    submit(POOL_NORMAL, note_at_gate, 'a');
    await_running(POOL_NORMAL, 1);
    submit(POOL_NORMAL, note, 'b');
    cr_assert_eq(pthread_create(&waiter, NULL, submit_one, pool), 0);
    while (stats_of(POOL_NORMAL).waiting == 0)
        sched_yield();
    cr_assert_eq(pthread_create(&ender, NULL, shut_down, pool), 0);
    cr_assert_eq(pthread_join(waiter, &result), 0);
    cr_assert_eq((int)(intptr_t)result, -ESHUTDOWN);
    mutex_unlock(&gate);
    cr_assert_eq(pthread_join(ender, NULL), 0);
    cr_assert_str_eq(order, "ab");
    pool_destroy(pool);
}

Test(pool, a_forced_end_drops_what_has_not_begun_and_tells_its_owners)
{
    struct pool_work w = {
        .fn = count, .dropped = on_dropped, .arg = &told, .class = POOL_IDLE};

    start(1, 8);
    mutex_lock(&gate);
    submit(POOL_NORMAL, note_at_gate, 'a');
    await_running(POOL_NORMAL, 1);
    submit(POOL_NORMAL, note, 'b');
    submit(POOL_URGENT, note, 'c');
    cr_assert_eq(pool_submit_work(pool, &w, NULL), 0);
    cr_assert_eq(pool_abort(pool), 3);
    cr_assert_eq(told, -ESHUTDOWN);
    cr_assert_eq(pool_abort(pool), 0);
    mutex_unlock(&gate);
    cr_assert_eq(pool_group_wait(&group), -ESHUTDOWN);
    cr_assert_str_eq(order, "a");
    pool_destroy(pool);
}

Test(pool, the_time_that_submitters_waited_is_that_of_the_clock)
{
    struct clock_manual clock;
    struct pool_config c = {.threads = 1, .queue = 1, .clock = &clock.base};
    pthread_t waiter;

    clock_manual_init(&clock, 1000);
    cr_assert_eq(pool_open(&c, &pool), 0);
    mutex_lock(&gate);
    submit(POOL_NORMAL, note_at_gate, 'a');
    await_running(POOL_NORMAL, 1);
    submit(POOL_NORMAL, note, 'b');
    cr_assert_eq(pthread_create(&waiter, NULL, submit_one, pool), 0);
    while (stats_of(POOL_NORMAL).waiting == 0)
        sched_yield();
    clock_manual_advance(&clock, 70);
    mutex_unlock(&gate);
    cr_assert_eq(pthread_join(waiter, NULL), 0);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(stats_of(POOL_NORMAL).waited_ns, 70);
    pool_destroy(pool);
}
