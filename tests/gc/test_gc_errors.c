// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of the coordinator of GC cycles: what ends one, or only tries one, changes nothing.
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
TestSuite(gc_errors, .init = setup, .fini = teardown);

static struct {
    bool held[POOL_OBJECTS];
    enum gc_state state[POOL_OBJECTS];
    struct gc_object_info info[POOL_OBJECTS];
    uint64_t records;
    unsigned publications;
} before;

static void remember(void)
{
    memcpy(before.held, x.held, sizeof x.held);
    for (unsigned i = 0; i < POOL_OBJECTS; i++) {
        struct id id = id_nr(i);
        gc_get(x.gc, &id, &before.info[i]);
    }
    before.records = history_count(x.gc);
    before.publications = x.publications;
}

static void nothing_changed(void)
{
    for (unsigned i = 0; i < POOL_OBJECTS; i++) {
        struct gc_object_info info;
        struct id id = id_nr(i);
        gc_get(x.gc, &id, &info);
        cr_assert_eq(info.state, before.info[i].state, "object %u", i);
        cr_assert_eq(info.since, before.info[i].since, "object %u", i);
        cr_assert_eq(info.nodes, before.info[i].nodes, "object %u", i);
    }
    cr_assert_arr_eq(x.held, before.held, sizeof x.held);
    cr_assert_eq(history_count(x.gc), before.records);
}

/* All kinds of states at once; the next cycle would change most of them, and delete. */
static void prepare(void)
{
    x.config.grace_period = 0;
    pool_holds(&x, 16);
    pool_own(&x, 1);
    pool_report(&x, 2);
    for (unsigned i = 8; i < 12; i++)
        x.node[0].names[i] = GC_NAMED_ACTIVE;
    pool_run(&x);
    x.config.grace_period = 50 * NSEC_PER_SEC;
    pool_holds(&x, 20);
    pool_report(&x, 1);
    pool_report(&x, 2)->report.ack = 0;
    pool_run(&x);
    pool_wait(&x, 60);
    for (unsigned i = 8; i < 12; i++)
        x.node[0].names[i] = i < 10 ? GC_NAMED_PINNED : GC_NAMED_NOT;
    x.node[1].names[0] = GC_NAMED_ACTIVE;
    pool_holds(&x, 30);
    x.node[1].names[1] = GC_NAMED_PINNED;
    pool_report(&x, 1);
    pool_report(&x, 2);
    x.held[15] = false;
    remember();
}

static void fails_with(int err)
{
    struct gc_result r;
    cr_assert_eq(pool_cycle(&x, false, &r), err);
    cr_assert(!r.eligible && !r.stale && !r.held && !r.collected && !r.active);
    nothing_changed();
    cr_assert_eq(x.publications, before.publications);
}

/* What the failed cycle would have done, the next one does. */
static void goes_on(void)
{
    struct gc_result r = pool_run(&x);
    cr_assert_gt(r.collected, 0);
    cr_assert_gt(r.marked, 0);
    cr_assert_eq(r.active, 1);
    cr_assert_eq(state_of(&x, 15), GC_NONE);
    cr_assert_eq(state_of(&x, 25), GC_UNREFERENCED);
}

Test(gc_errors, an_error_at_any_point_of_the_listing_changes_nothing)
{
    prepare();
    for (unsigned after = 0; after < 7; after++) {
        x.list_error = -EIO;
        x.list_after = after;
        fails_with(-EIO);
    }
    x.list_error = 0;
    goes_on();
}

Test(gc_errors, an_error_at_any_point_of_reading_reports_changes_nothing)
{
    prepare();
    x.reports_error = -EACCES;
    fails_with(-EACCES);
    x.reports_error = 0;
    for (unsigned after = 0; after < 12; after++) {
        x.names_error = -EIO;
        x.names_after = after;
        fails_with(-EIO);
    }
    x.names_error = 0;
    goes_on();
}

Test(gc_errors, a_listing_that_is_not_in_order_changes_nothing)
{
    prepare();
    x.list_disorder = true;
    fails_with(-EUCLEAN);
    x.list_disorder = false;
    goes_on();
}

Test(gc_errors, reports_that_are_damaged_change_nothing)
{
    prepare();
    x.node_twice = true;
    fails_with(-EUCLEAN);
    x.node_twice = false;
    x.node[0].names[3] = GC_NAMED_PINNED + 1;
    fails_with(-EUCLEAN);
    x.node[0].names[3] = GC_NAMED_NOT;
    goes_on();
}

Test(gc_errors, a_cycle_that_is_cancelled_while_it_lists_changes_nothing)
{
    prepare();
    for (unsigned after = 1; after < 6; after++) {
        x.cancel_after = after;
        fails_with(-ECANCELED);
    }
    x.cancel_after = 0;
    goes_on();
}

Test(gc_errors, marks_that_cannot_be_published_change_nothing_but_use_up_their_serial)
{
    struct gc_result r;
    prepare();
    x.publish_error = -ENOSPC;
    cr_assert_eq(pool_cycle(&x, false, &r), -ENOSPC);
    nothing_changed();
    cr_assert_eq(x.published, 2);
    x.publish_error = 0;
    pool_report(&x, 2); /* it has read the list that failed: no mark is in it */
    goes_on();
    cr_assert_eq(x.published, 3);
}

Test(gc_errors, a_dry_run_says_what_would_be_and_changes_nothing)
{
    struct gc_result dry, r;
    prepare();
    cr_assert_eq(pool_cycle(&x, true, &dry), 0);
    nothing_changed();
    cr_assert_eq(x.publications, before.publications);
    cr_assert_eq(pool_cycle(&x, false, &r), 0);
    cr_assert_eq(dry.cycle, r.cycle);
    cr_assert_eq(dry.held, r.held);
    cr_assert_eq(dry.active, r.active);
    cr_assert_eq(dry.pinned, r.pinned);
    cr_assert_eq(dry.marked, r.marked);
    cr_assert_eq(dry.collected, r.collected);
    cr_assert_eq(dry.eligible_count, r.eligible_count);
    cr_assert_gt(r.collected, 0);
    gc_result_release(&dry);
    gc_result_release(&r);
}
