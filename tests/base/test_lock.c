// SPDX-License-Identifier: Apache-2.0
/* Claims of lock.h. Each broken rule must abort; the name of the lock goes to stderr. */
#include "clock.h"
#include "lock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>

static struct mutex m;
static struct rwlock rw;
static struct cond c;
static int shared;

static void setup(void)
{
    mutex_init(&m, "test_mutex");
    rwlock_init(&rw, "test_rwlock");
    cond_init(&c);
    shared = 0;
}

static void run_thread(void *(*fn)(void *))
{
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, fn, NULL), 0);
    cr_assert_eq(pthread_join(t, NULL), 0);
}

static void *ask_mutex(void *arg)
{
    mutex_held(&m);
    return arg;
}

static void *ask_writer(void *arg)
{
    rwlock_held_write(&rw);
    return arg;
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        MUTEX_GUARD(&m);
        shared++;
    }
    return arg;
}

static void *count_up_rw(void *arg)
{
    for (int i = 0; i < 5000; i++) {
        {
            WRITE_GUARD(&rw);
            shared++;
        }
        READ_GUARD(&rw);
        rwlock_held(&rw);
    }
    return arg;
}

static void *signal_one(void *arg)
{
    MUTEX_GUARD(&m);
    shared = 1;
    cond_broadcast(&c);
    return arg;
}

static int four_threads(void *(*fn)(void *))
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, fn, NULL), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(t[i], NULL), 0);
    return shared;
}

TestSuite(lock, .init = setup);

Test(lock, a_held_mutex_knows_its_owner)
{
    MUTEX_GUARD(&m);
    mutex_held(&m);
}

Test(lock, a_guard_unlocks_at_the_end_of_its_block)
{
    {
        MUTEX_GUARD(&m);
    }
    mutex_lock(&m);
    mutex_unlock(&m);
    mutex_destroy(&m);
}

Test(lock, asking_for_a_free_mutex_aborts, .signal = SIGABRT)
{
    mutex_held(&m);
}

Test(lock, asking_for_the_mutex_of_another_thread_aborts, .signal = SIGABRT)
{
    mutex_lock(&m);
    run_thread(ask_mutex);
}

Test(lock, taking_a_mutex_twice_aborts, .signal = SIGABRT)
{
    mutex_lock(&m);
    mutex_lock(&m);
}

Test(lock, releasing_a_free_mutex_aborts, .signal = SIGABRT)
{
    mutex_unlock(&m);
}

Test(lock, destroying_a_held_mutex_aborts, .signal = SIGABRT)
{
    mutex_lock(&m);
    mutex_destroy(&m);
}

Test(lock, a_mutex_excludes)
{
    cr_assert_eq(four_threads(count_up), 80000);
}

static void *take_once(void *arg)
{
    MUTEX_GUARD(&m);
    shared = 1;
    return arg;
}

/* With the mutex held: a thread that sleeps for it. */
static pthread_t sleeper(void)
{
    pthread_t t;

    shared = 0;
    cr_assert_eq(pthread_create(&t, NULL, take_once, NULL), 0);
    while (atomic_load(&m.sleepers) == 0)
        sched_yield();
    return t;
}

static int64_t waited;

static void *let_others(void *arg)
{
    int64_t begun = clock_ticks(clock_real());

    mutex_let_others(&m);
    waited = clock_ticks(clock_real()) - begun;
    return arg;
}

Test(lock, letting_others_waits_for_who_sleeps_but_not_forever)
{
    run_thread(let_others); /* nobody sleeps */
    mutex_lock(&m);
    pthread_t t = sleeper();
    run_thread(let_others);
    cr_assert_eq(shared, 0);
    cr_assert_geq(waited, 200000);
    mutex_unlock(&m);
    cr_assert_eq(pthread_join(t, NULL), 0);
    cr_assert_eq(atomic_load(&m.sleepers), 0);
}

Test(lock, a_writer_excludes)
{
    cr_assert_eq(four_threads(count_up_rw), 20000);
}

Test(lock, either_side_counts_as_held)
{
    {
        READ_GUARD(&rw);
        rwlock_held(&rw);
    }
    WRITE_GUARD(&rw);
    rwlock_held(&rw);
    rwlock_held_write(&rw);
}

Test(lock, the_read_side_is_not_the_write_side, .signal = SIGABRT)
{
    rwlock_rdlock(&rw);
    rwlock_held_write(&rw);
}

Test(lock, a_free_rwlock_is_not_held, .signal = SIGABRT)
{
    rwlock_held(&rw);
}

Test(lock, the_writer_is_one_thread, .signal = SIGABRT)
{
    rwlock_wrlock(&rw);
    run_thread(ask_writer);
}

Test(lock, taking_the_write_side_twice_aborts, .signal = SIGABRT)
{
    rwlock_wrlock(&rw);
    rwlock_wrlock(&rw);
}

Test(lock, reading_as_the_writer_aborts, .signal = SIGABRT)
{
    rwlock_wrlock(&rw);
    rwlock_rdlock(&rw);
}

Test(lock, releasing_a_read_side_nobody_has_aborts, .signal = SIGABRT)
{
    rwlock_rdunlock(&rw);
}

Test(lock, a_wait_gives_up_the_mutex_and_takes_it_back)
{
    pthread_t t;
    mutex_lock(&m);
    cr_assert_eq(pthread_create(&t, NULL, signal_one, NULL), 0);
    while (shared == 0)
        cond_wait(&c, &m);
    mutex_held(&m);
    mutex_unlock(&m);
    cr_assert_eq(pthread_join(t, NULL), 0);
}

Test(lock, a_timed_wait_ends_with_the_mutex_held)
{
    MUTEX_GUARD(&m);
    int r;
    do
        r = cond_wait_for(&c, &m, 1000);
    while (r == 0);
    cr_assert_eq(r, -ETIMEDOUT);
    mutex_held(&m);
}

Test(lock, a_negative_wait_is_over_at_once)
{
    MUTEX_GUARD(&m);
    cr_assert_eq(cond_wait_for(&c, &m, -1), -ETIMEDOUT);
}

Test(lock, waiting_without_the_mutex_aborts, .signal = SIGABRT)
{
    cond_wait(&c, &m);
}
