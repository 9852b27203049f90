// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of draining: what counts as done, and that who gave it a time is answered then, whatever a
 * disk that does not answer makes others hold.
 */
#include "fixture.h"

#include "drain.h"
#include "store_impl.h"
#include "refs_impl.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(drain, .init = up, .fini = down);

/* Somebody who waits for the disk while he counts references. */
static struct {
    pthread_t thread;
    _Atomic bool has, let_go;
} counting;

static void *hold_refs(void *arg)
{
    MUTEX_GUARD(&x.p->refs->lock);
    (void)arg;
    atomic_store(&counting.has, true);
    while (!atomic_load(&counting.let_go))
        sched_yield();
    return NULL;
}

static void count_slowly(void)
{
    atomic_store(&counting.has, false);
    atomic_store(&counting.let_go, false);
    cr_assert_eq(pthread_create(&counting.thread, NULL, hold_refs, NULL), 0);
    while (!atomic_load(&counting.has))
        sched_yield();
}

static void count_on(void)
{
    atomic_store(&counting.let_go, true);
    pthread_join(counting.thread, NULL);
}

Test(drain, where_nothing_is_pending_any_time_is_enough)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok seq=");
    for (int i = 0; i < 20; i++) {
        agreed(&x, "drain 0ms", "ok seq=");
        agreed(&x, "drain 1ms", "ok seq=");
        agreed(&x, "drain 0", "ok seq=");
        agreed(&x, "drain idle 0ms", "ok seq=");
        cr_assert_eq(flush_drain(x.p, false, 0, NULL), 0);
        cr_assert_eq(flush_drain(x.p, true, 0, NULL), 0);
    }
}

Test(drain, what_is_pending_when_the_time_is_over_is_named)
{
    put_file(&x, "main/a", "hello");
    WRITE_GUARD(&x.p->freeze_lock); /* no flush begins */
    refused(&x, "drain 0ms", -ETIMEDOUT, "not all was durable in time; by now seq=");
    refused(&x, "drain 0ms", -ETIMEDOUT,
            "unsealed=1, dropped pages to work off 0, objects to delete 0");
}

Test(drain, who_gave_it_a_time_does_not_wait_for_a_lock_that_a_slow_disk_holds)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "drain", "ok seq=");
    {
        WRITE_GUARD(&x.p->freeze_lock);
        agreed(&x, "drain 0ms", "ok seq=");
        count_slowly();
        refused(&x, "drain 0ms", -ETIMEDOUT, "objects to delete not known");
        count_on();
        agreed(&x, "drain 0ms", "ok seq=");
    }
    agreed(&x, "drain", "ok seq=");
}

Test(drain, drains_that_are_stuck_do_not_make_the_next_one_late)
{
    agreed(&x, "drain", "ok seq=");
    WRITE_GUARD(&x.p->freeze_lock);
    for (int i = 0; i < 70; i++)
        agreed(&x, "drain 0ms", "ok seq=");
}

Test(drain, a_round_that_ends_late_is_a_success_if_all_is_done)
{
    struct drain_left left;
    put_file(&x, "main/a", "hello");
    put_file(&x, "main/b", "world");
    remove_file(&x, "main/a");
    cr_assert_not(drain_done(x.p, false, state_seq(x.p)));
    while (flush_drain(x.p, true, 0, NULL) == -ETIMEDOUT) /* each gets something done */
        ;
    cr_assert(drain_done(x.p, true, state_seq(x.p)));
    drain_look(x.p, &left);
    cr_assert_eq(left.seq, left.durable);
    cr_assert_eq(left.unsealed + left.dying + left.flushes + left.dropped_pages, 0);
}

Test(drain, one_that_is_interrupted_ends)
{
    static const _Atomic bool yes = true;
    put_file(&x, "main/a", "hello");
    cr_assert_eq(flush_drain(x.p, false, -1, &yes), -EINTR);
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
}
