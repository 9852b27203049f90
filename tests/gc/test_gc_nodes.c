// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of the coordinator of GC cycles: nodes that are stale, retired or somebody else's to
 * collect for.
 */
#include "gc_fixture.h"

static struct pool_of x;

static void setup(void)
{
    pool_setup(&x);
}
static void teardown(void)
{
    pool_teardown(&x);
}
TestSuite(gc_nodes, .init = setup, .fini = teardown);

/* ---- stale nodes ---- */

/* Node 2 has reported twice, names object 0, and falls silent for 600 s. Node 1 is our own. */
static void fall_silent(void)
{
    pool_holds(&x, 3);
    x.config.grace_period = 0;
    pool_own(&x, 1)->names[2] = GC_NAMED_ACTIVE;
    pool_report(&x, 2)->names[0] = GC_NAMED_ACTIVE;
    pool_run(&x);
    pool_report(&x, 2)->report.ack = 0;
    pool_run(&x);
    pool_wait(&x, 600);
    pool_report(&x, 1);
}

/* Somebody retires the node. */
static void retire(unsigned node)
{
    x.node[node - 1].report.gone = true;
}

Test(gc_nodes, all_that_a_stale_node_could_own_stays_until_it_is_retired)
{
    struct gc_result r;
    fall_silent();
    r = pool_run(&x);
    cr_assert_eq(r.stale_count, 1);
    cr_assert_eq(r.kept[GC_KEEP_STALE], 1, "it names one");
    cr_assert_eq(r.kept[GC_KEEP_UNACKNOWLEDGED], 1, "it could own the other");
    cr_assert_eq(r.active, 1, "but its report is left out");
    cr_assert_eq(state_of(&x, 0), GC_UNREFERENCED);
    retire(2);
    pool_report(&x, 1);
    r = pool_run(&x);
    cr_assert_eq(r.stale_count, 0);
    cr_assert_eq(r.collected, 1);
    cr_assert(x.held[0] && !x.held[1]);
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 1);
    cr_assert_not(x.held[0]);
}

/* ---- nodes ---- */

Test(gc_nodes, nodes_are_listed_with_what_is_known_of_them)
{
    struct gc_node_info *v;
    size_t n;
    pool_own(&x, 3);
    pool_report(&x, 1)->report.serial = 41;
    pool_run(&x);
    pool_wait(&x, 100);
    pool_report(&x, 1);
    pool_run(&x);
    pool_wait(&x, 600);
    cr_assert_eq(gc_node_list(x.gc, &x.config, &v, &n), 0);
    cr_assert_eq(n, 2);
    cr_assert_eq(v[0].node, 1);
    cr_assert_eq(v[0].serial, 42);
    cr_assert_eq(v[0].age, 600 * NSEC_PER_SEC);
    cr_assert(v[0].stale && v[0].proven && !v[0].own);
    cr_assert_eq(v[1].node, 3);
    cr_assert(v[1].own && !v[1].stale);
    free(v);
}

static int crowd(void *ctx, const struct gc_report **ret_v, size_t *ret_count)
{
    static struct gc_report many[GC_NODES_MAX + 1];
    (void)ctx;
    for (unsigned i = 0; i <= GC_NODES_MAX; i++)
        many[i] = (struct gc_report){.node = i + 1, .own = true};
    *ret_v = many;
    *ret_count = GC_NODES_MAX + 1;
    return 0;
}

Test(gc_nodes, more_nodes_than_it_can_know_end_the_cycle)
{
    const struct gc_sources s = {.reports = crowd, .list = pool_list, .ctx = &x};
    struct gc_result r;
    cr_assert_eq(gc_cycle(x.gc, &x.config, &s, &(struct gc_options){0}, &r), -E2BIG);
    pool_own(&x, 1);
    pool_run(&x);
}

/* ---- looking on between cycles ---- */

static void observe(void)
{
    const struct gc_sources sources = {.reports = pool_reports, .ctx = &x};

    cr_assert_eq(gc_observe(x.gc, &x.config, &sources), 0);
}

Test(gc_nodes, a_report_that_was_seen_to_advance_between_cycles_counts_in_the_next)
{
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_holds(&x, 1);
    observe();
    pool_report(&x, 2);
    observe();
    cr_assert_eq(gc_cycles(x.gc), 0, "it is no cycle");
    cr_assert_eq(pool_run(&x).reporting, 2);
    pool_own(&x, 1);
    pool_report(&x, 2);
    cr_assert_eq(pool_run(&x).collected, 1);
}

Test(gc_nodes, ages_run_from_when_a_node_was_observed)
{
    pool_own(&x, 1);
    pool_report(&x, 2);
    observe();
    pool_wait(&x, 600);
    cr_assert_eq(pool_run(&x).reporting, 1);
}

Test(gc_nodes, what_somebody_else_retired_is_forgotten_although_it_is_not_stale)
{
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2)->names[0] = GC_NAMED_ACTIVE;
    pool_holds(&x, 1);
    pool_run(&x);
    retire(2);
    cr_assert_eq(pool_run(&x).marked, 1, "its report keeps nothing any more");
    pool_own(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 1, "and nothing waits for it");
}

Test(gc_nodes, what_was_retired_before_it_was_known_is_never_known)
{
    struct gc_node_info *v;
    size_t count;

    pool_own(&x, 1);
    pool_report(&x, 2)->report.gone = true;
    observe();
    cr_assert_eq(gc_node_list(x.gc, &x.config, &v, &count), 0);
    cr_assert_eq(count, 1);
    free(v);
}

/* ---- taking over from another coordinator ---- */

/* A second one over the same pool, which knows the nodes but no object. */
static struct gc *first;

static void take_over(uint64_t serial)
{
    struct gc_saved list[POOL_OBJECTS];

    memcpy(list, x.list, sizeof list);
    cr_assert_eq(gc_take_over(x.gc, serial, list, x.list_count), 0);
}

static void change_places(void)
{
    struct gc *gc = x.gc;

    x.gc = first;
    first = gc;
}

/* Both know node 1; what is said next is said to the second. */
static void two_coordinators(void)
{
    x.with_since = true;
    pool_own(&x, 1);
    pool_run(&x);
    cr_assert_eq(gc_create(&x.clock.base, 0, &first), 0);
    change_places();
    pool_own(&x, 1);
    pool_run(&x);
}

Test(gc_nodes, who_takes_over_goes_on_with_the_grace_of_the_list_in_force)
{
    two_coordinators();
    pool_holds(&x, 1);
    pool_run(&x);
    cr_assert_eq(x.published, 1, "what is unreferenced is listed, too");
    cr_assert_eq(x.list_count, 1);
    cr_assert_eq(x.list[0].mark, 0);
    pool_wait(&x, 299);
    change_places();
    take_over(1);
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_GRACE], 1);
    pool_wait(&x, 1);
    cr_assert_eq(pool_run(&x).marked, 1);
    cr_assert_eq(x.published, 2);
    cr_assert_eq(x.list[0].mark, 2);
    gc_destroy(first);
}

Test(gc_nodes, who_takes_over_keeps_the_serial_under_which_each_was_marked)
{
    x.config.grace_period = 0;
    two_coordinators();
    pool_holds(&x, 1);
    pool_run(&x);
    pool_holds(&x, 2);
    pool_own(&x, 1);
    pool_run(&x);
    cr_assert(!x.held[0], "acknowledged with 1");
    pool_holds(&x, 1); /* its bytes came back in the pool: the second's list still has its mark */
    change_places();
    take_over(2);
    pool_own(&x, 1)->report.ack = 1;
    cr_assert_eq(pool_run(&x).collected, 1);
    cr_assert(x.held[1], "marked with 2");
    gc_destroy(first);
}

Test(gc_nodes, who_takes_over_still_knows_which_nodes_there_are)
{
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_holds(&x, 1);
    pool_run(&x);
    pool_report(&x, 2);
    pool_run(&x);
    x.node[1].there = false;
    take_over(x.published);
    pool_own(&x, 1);
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_UNACKNOWLEDGED], 1, "node 2 is known, and silent");
}

Test(gc_nodes, a_list_that_is_damaged_is_not_taken_over)
{
    struct gc_saved bad[] = {{.id = id_nr(2), .mark = 1}, {.id = id_nr(1), .mark = 1}};
    struct gc_saved late[] = {{.id = id_nr(1), .mark = 8}};

    pool_own(&x, 1);
    pool_holds(&x, 1);
    pool_run(&x);
    cr_assert_eq(gc_take_over(x.gc, 7, bad, 2), -EUCLEAN);
    cr_assert_eq(gc_take_over(x.gc, 7, late, 1), -EUCLEAN);
    cr_assert_eq(gc_serial(x.gc), 0);
    cr_assert_eq(state_of(&x, 0), GC_UNREFERENCED);
}

Test(gc_nodes, a_list_that_another_published_first_removes_nothing)
{
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_holds(&x, 1);
    pool_run(&x);
    pool_holds(&x, 2); /* so that there is something to publish */
    pool_own(&x, 1);
    x.publish_error = -EEXIST;
    cr_assert_eq(pool_cycle(&x, false, &(struct gc_result){0}), -EEXIST);
    cr_assert(x.held[0]);
    x.publish_error = 0;
    take_over(1);
    x.published = 1;
    cr_assert_eq(pool_run(&x).serial, 2, "the number after the list that was taken over");
}

static int tried_to_take_over;

static void try_to_take_over(struct pool_of *pool)
{
    tried_to_take_over = gc_take_over(pool->gc, 1, NULL, 0);
}

Test(gc_nodes, nobody_takes_over_while_a_cycle_runs)
{
    x.at_list = try_to_take_over;
    pool_own(&x, 1);
    pool_run(&x);
    cr_assert_eq(tried_to_take_over, -EBUSY);
}
