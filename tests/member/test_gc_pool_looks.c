// SPDX-License-Identifier: Apache-2.0
/*
 * A store's look at the nodes of its pool, which its own thread takes after each report, and what
 * else begins while that look lasts: none of it fails for that.
 */
#include "nodes_fixture.h"

#include <time.h>

#define LIMIT 60 /* seconds */

static void two(void)
{
    pool_of_nodes(2);
}
TestSuite(gc_pool_looks, .init = two, .fini = pool_is_gone);

/* The first thread that opens a file of the pool stands still there until `go`. */
static _Atomic bool first, inside, go, done;

static void wait_for(bool (*holds)(void))
{
    for (unsigned ms = 0; !holds(); ms++) {
        cr_assert_lt(ms, LIMIT * 1000);
        nanosleep(&(struct timespec){.tv_nsec = NSEC_PER_MSEC}, NULL);
    }
}

static bool may_go(void)
{
    return atomic_load(&go);
}

static int open_slowly(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    if (atomic_exchange(&first, false)) {
        atomic_store(&inside, true);
        wait_for(may_go);
    }
    return unwrapped->open(d, name, flags, ret);
}

static int look_at_nodes(void)
{
    return gc_pool_observe(A->p);
}

static int (*stand)(void);

static void *stand_still(void *ret)
{
    *(int *)ret = stand();
    return NULL;
}

static bool is_inside(void)
{
    return atomic_load(&inside);
}

static int (*act)(void);

static void *work(void *ret)
{
    *(int *)ret = act();
    atomic_store(&done, true);
    return NULL;
}

static bool is_done_or_waits(void)
{
    return atomic_load(&done) || atomic_load(&A->p->node->looking.sleepers) > 0;
}

/* Calls `fn` while `stands` of A stands still, which must end well. Returns what `fn` returned, and
 * whether that had to wait. */
static int beside(int (*stands)(void), int (*fn)(void), bool *ret_waited)
{
    pthread_t looks, works;
    int looked, worked;

    stand = stands;
    act = fn;
    atomic_store(&first, true);
    wrap_disk(true);
    wrapped.open = open_slowly;
    cr_assert_eq(pthread_create(&looks, NULL, stand_still, &looked), 0);
    wait_for(is_inside);
    cr_assert_eq(pthread_create(&works, NULL, work, &worked), 0);
    wait_for(is_done_or_waits);
    *ret_waited = !atomic_load(&done);
    atomic_store(&go, true);
    pthread_join(looks, NULL);
    pthread_join(works, NULL);
    wrap_disk(false);
    cr_assert_eq(looked, 0);
    return worked;
}

static int beside_a_look(int (*fn)(void))
{
    bool waited;

    return beside(look_at_nodes, fn, &waited);
}

static int run_cycle(void)
{
    struct gc_result r;

    return try_cycle(A, 0, &r);
}

Test(gc_pool_looks, a_cycle_waits_for_one)
{
    cr_assert_eq(beside_a_look(run_cycle), 0);
}

static void b_is_stale(void)
{
    knows_all(A);
    wait_seconds(601);
}

static int retire_b(void)
{
    return gc_pool_retire(A->p, 2, NULL);
}

Test(gc_pool_looks, retiring_a_node_waits_for_one)
{
    b_is_stale();
    cr_assert_eq(beside_a_look(retire_b), 0);
    cr_assert_eq(pool_node_is_retired(shared, 2), 1);
}

static int prune(void)
{
    size_t retired;

    return gc_pool_prune(A->p, NULL, &retired);
}

Test(gc_pool_looks, pruning_waits_for_one)
{
    b_is_stale();
    cr_assert_eq(beside_a_look(prune), 0);
    cr_assert_eq(pool_node_is_retired(shared, 2), 1);
}

static int list(void)
{
    struct gc_node_info *v;
    size_t count;
    int err = gc_pool_nodes(A->p, &v, &count);

    if (err == 0)
        free(v);
    return err == 0 && count != 2 ? -ENOENT : err;
}

Test(gc_pool_looks, a_list_of_the_nodes_has_them_beside_the_first_one)
{
    cr_assert_eq(beside_a_look(list), 0);
}

Test(gc_pool_looks, one_beside_a_cycle_is_left_to_that)
{
    atomic_store(&A->p->node->running, true);
    cr_assert_eq(gc_pool_observe(A->p), -EBUSY);
    cr_assert_eq(prune(), -EBUSY);
    atomic_store(&A->p->node->running, false);
    cr_assert_eq(gc_pool_observe(A->p), 0);
}

/* Its reports would stop for as long as the packs of a node are read, and it would look stale to
 * others. */
Test(gc_pool_looks, the_look_of_the_thread_that_reports_waits_for_nobody)
{
    bool waited;

    b_is_stale();
    cr_assert_eq(beside(prune, look_at_nodes, &waited), -EBUSY);
    cr_assert(!waited);
    cr_assert_eq(pool_node_is_retired(shared, 2), 1);
    cr_assert_eq(gc_pool_observe(A->p), 0);
}
