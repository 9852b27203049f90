// SPDX-License-Identifier: Apache-2.0
/* Claims of pool.h. A gate (a mutex a job must pass) stands in for slow work: no sleeps. */
#include "pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

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
    while (atomic_load(&submitted) < 2)
        sched_yield();
    /* One job at the gate and two queued is all there is room for. */
    for (int i = 0; i < 1000; i++)
        cr_assert_leq(atomic_load(&submitted), 3);
    mutex_unlock(&gate);
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_eq(pool_group_wait(&group), 0);
    cr_assert_eq(ran, 10);
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
