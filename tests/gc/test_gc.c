// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of the coordinator of GC cycles: CONTRACTS section 3, a claim a line.
 */
#include "gc_fixture.h"
#include "gc_text.h"

static struct pool_of x;

static void setup(void)
{
    pool_setup(&x);
}
static void teardown(void)
{
    pool_teardown(&x);
}
TestSuite(gc, .init = setup, .fini = teardown);

/* ---- what people read ---- */

Test(gc, a_key_is_told_with_the_id_of_its_object_or_that_this_is_not_known)
{
    static const char hex[] = "abababababababab0000000000000007";
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct id key, whole, none = {{0}};

    cr_assert_eq(id_from_hex(hex, &key), 0);
    cr_assert_eq(id_from_hex("abababababababab1234567812345678", &whole), 0);
    gc_describe_key(&key, &whole, &text);
    strbuf_adds(&text, "\n");
    gc_describe_key(&key, &none, &text);
    strbuf_adds(&text, "\n");
    gc_describe_key(&key, NULL, &text);
    cr_assert_str_eq(text.s,
                     "key abababababababab0000000000000007 of object "
                     "abababababababab1234567812345678\n"
                     "key abababababababab0000000000000007 of an object whose id is not known\n"
                     "key abababababababab0000000000000007 of an object whose id is not known");
}

/* ---- states ---- */

Test(gc, defaults_are_300_s_600_s_and_one_node)
{
    const struct gc_config c = GC_CONFIG_INIT;
    cr_assert_eq(c.grace_period, 300 * NSEC_PER_SEC);
    cr_assert_eq(c.stale_report_threshold, 600 * NSEC_PER_SEC);
    cr_assert_eq(c.min_nodes_reporting, 1);
}

Test(gc, an_unknown_id_has_no_state)
{
    cr_assert_eq(state_of(&x, 1), GC_NONE);
}

Test(gc, pinned_beats_active_beats_unreferenced)
{
    struct pool_node *a, *b;
    pool_holds(&x, 4);
    a = pool_own(&x, 1);
    b = pool_own(&x, 2);
    a->names[0] = GC_NAMED_PINNED;
    b->names[0] = GC_NAMED_ACTIVE;
    a->names[1] = GC_NAMED_ACTIVE;
    b->names[2] = GC_NAMED_PINNED;
    struct gc_result r = pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_PINNED);
    cr_assert_eq(state_of(&x, 1), GC_ACTIVE);
    cr_assert_eq(state_of(&x, 2), GC_PINNED);
    cr_assert_eq(state_of(&x, 3), GC_UNREFERENCED);
    cr_assert_eq(r.held, 4);
    cr_assert_eq(r.pinned, 2);
    cr_assert_eq(r.active, 1);
    cr_assert_eq(r.kept[GC_KEEP_GRACE], 1);
}

Test(gc, an_object_tells_how_many_nodes_name_it_and_since_when_none_does)
{
    struct gc_object_info info;
    struct id id = id_nr(0), other = id_nr(1);
    pool_holds(&x, 2);
    pool_own(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    pool_own(&x, 2)->names[0] = GC_NAMED_PINNED;
    pool_own(&x, 3);
    pool_run(&x);
    pool_wait(&x, 5);
    pool_run(&x);
    gc_get(x.gc, &id, &info);
    cr_assert_eq(info.nodes, 2);
    cr_assert_eq(info.since, 0);
    gc_get(x.gc, &other, &info);
    cr_assert_eq(info.nodes, 0);
    cr_assert_eq(info.since, 1000 * NSEC_PER_SEC);
}

/* ---- pins ---- */

Test(gc, a_nodes_pins_end_with_its_report)
{
    struct pool_node *n = pool_own(&x, 1);
    pool_holds(&x, 2);
    n->names[0] = n->names[1] = GC_NAMED_PINNED;
    pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_PINNED);
    pool_report(&x, 1)->names[0] = GC_NAMED_NOT;
    pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_UNREFERENCED);
    cr_assert_eq(state_of(&x, 1), GC_PINNED);
}

Test(gc, a_pin_saves_what_is_marked_and_its_unpin_begins_the_grace_anew)
{
    pool_own(&x, 1);
    pool_holds(&x, 1);
    x.config.grace_period = 10 * NSEC_PER_SEC;
    pool_run(&x);
    pool_wait(&x, 10);
    pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_MARKED);
    pool_report(&x, 1)->names[0] = GC_NAMED_PINNED;
    cr_assert_eq(pool_run(&x).collected, 0);
    cr_assert_eq(state_of(&x, 0), GC_PINNED);
    pool_report(&x, 1)->names[0] = GC_NAMED_NOT;
    cr_assert_eq(pool_run(&x).collected, 0);
    cr_assert_eq(state_of(&x, 0), GC_UNREFERENCED);
    pool_report(&x, 1);
    pool_wait(&x, 9);
    cr_assert_eq(pool_run(&x).marked, 0);
}

/* ---- which reports count ---- */

Test(gc, below_the_minimum_nothing_changes_and_that_is_no_error)
{
    struct gc_result r;
    pool_holds(&x, 3);
    x.config.grace_period = 0;
    pool_own(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    pool_run(&x);
    x.config.min_nodes_reporting = 2;
    x.node[0].names[0] = GC_NAMED_NOT;
    pool_report(&x, 1);
    cr_assert_eq(pool_cycle(&x, false, &r), 0);
    cr_assert(r.below_minimum);
    cr_assert_eq(r.eligible_count + r.active + r.pinned + r.collected + r.held, 0);
    cr_assert_eq(state_of(&x, 0), GC_ACTIVE);
    cr_assert_eq(state_of(&x, 1), GC_MARKED);
    cr_assert(x.held[1]);
    gc_result_release(&r);
}

Test(gc, a_minimum_of_0_means_1)
{
    struct gc_result r;
    pool_holds(&x, 1);
    x.config.min_nodes_reporting = 0;
    cr_assert_eq(pool_cycle(&x, false, &r), 0);
    cr_assert(r.below_minimum);
    cr_assert_eq(state_of(&x, 0), GC_NONE);
    gc_result_release(&r);
}

Test(gc, a_serial_first_seen_proves_nothing_but_keeps_what_it_names)
{
    struct gc_result r;
    pool_holds(&x, 2);
    x.config.grace_period = 0;
    pool_report(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    cr_assert(pool_run(&x).below_minimum);
    cr_assert(pool_run(&x).below_minimum, "seen twice, it has not advanced");
    pool_own(&x, 2);
    r = pool_run(&x);
    cr_assert_eq(r.reporting, 1);
    cr_assert_eq(state_of(&x, 0), GC_ACTIVE);
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).reporting, 2);
}

Test(gc, a_report_is_stale_from_its_threshold_on_and_named)
{
    struct gc_result r;
    pool_report(&x, 7);
    pool_own(&x, 1);
    pool_run(&x);
    pool_report(&x, 7);
    pool_run(&x);
    pool_wait(&x, 599);
    cr_assert_eq(pool_run(&x).stale_count, 0);
    pool_wait(&x, 1);
    cr_assert_eq(pool_cycle(&x, false, &r), 0);
    cr_assert_eq(r.stale_count, 1);
    cr_assert_eq(r.stale[0], 7);
    cr_assert_eq(r.reporting, 1);
    gc_result_release(&r);
}

Test(gc, the_age_of_a_report_runs_from_when_its_serial_was_seen_to_advance)
{
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_run(&x);
    pool_wait(&x, 500);
    x.node[1].report.timestamp = INT64_MAX; /* its clock says anything */
    pool_run(&x);
    pool_wait(&x, 100);
    cr_assert_eq(pool_run(&x).stale_count, 1, "not advanced for 600 s");
    pool_report(&x, 2)->report.timestamp = 0;
    cr_assert_eq(pool_run(&x).stale_count, 0);
    pool_wait(&x, 599);
    cr_assert_eq(pool_run(&x).stale_count, 0);
}

Test(gc, a_newer_report_replaces_the_older)
{
    pool_holds(&x, 2);
    pool_own(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    pool_run(&x);
    pool_report(&x, 1)->names[0] = GC_NAMED_NOT;
    x.node[0].names[1] = GC_NAMED_ACTIVE;
    pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_UNREFERENCED);
    cr_assert_eq(state_of(&x, 1), GC_ACTIVE);
}

Test(gc, a_report_that_fell_behind_keeps_what_it_names_and_acknowledges_nothing)
{
    pool_holds(&x, 2);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_run(&x);
    pool_report(&x, 2);
    pool_run(&x);
    pool_report(&x, 2); /* has read all marks, and would let them go */
    x.node[1].names[0] = GC_NAMED_ACTIVE;
    x.node[1].report.serial -= 2;
    struct gc_result r = pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_ACTIVE);
    cr_assert_eq(r.collected, 0);
    cr_assert_eq(r.kept[GC_KEEP_UNACKNOWLEDGED], 1);
    cr_assert_eq(r.reporting, 1);
}

/* ---- grace, marks, collection ---- */

Test(gc, an_active_object_survives)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    for (int i = 0; i < 5; i++) {
        pool_report(&x, 1);
        pool_wait(&x, 1000);
        cr_assert_eq(pool_run(&x).active, 1);
    }
    cr_assert(x.held[0]);
    cr_assert_eq(x.looks, 0);
}

Test(gc, an_unreferenced_object_is_eligible_after_its_grace_and_not_before)
{
    struct gc_result r;
    pool_holds(&x, 1);
    pool_own(&x, 1);
    pool_run(&x);
    pool_wait(&x, 299);
    pool_report(&x, 1);
    r = pool_run(&x);
    cr_assert_eq(r.eligible_count, 0);
    cr_assert_eq(r.kept[GC_KEEP_GRACE], 1);
    pool_wait(&x, 1);
    r = pool_run(&x);
    cr_assert_eq(r.eligible_count, 1);
    cr_assert_eq(r.marked, 1);
    cr_assert_eq(state_of(&x, 0), GC_MARKED);
    cr_assert(x.held[0], "marking and deleting are two cycles");
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 1);
    cr_assert_not(x.held[0]);
    cr_assert_eq(state_of(&x, 0), GC_NONE);
}

static void still_marked(struct pool_of *p, unsigned object)
{
    cr_assert_eq(state_of(p, object), GC_MARKED);
}

Test(gc, whoever_asks_does_not_wait_for_a_removal)
{
    pool_holds(&x, 1);
    pool_own(&x, 1);
    x.config.grace_period = 0;
    pool_run(&x);
    pool_report(&x, 1);
    x.at_remove = still_marked;
    cr_assert_eq(pool_run(&x).collected, 1);
    cr_assert_eq(state_of(&x, 0), GC_NONE);
}

Test(gc, with_a_grace_of_0_the_first_cycle_marks_and_the_second_deletes)
{
    struct gc_result r;
    struct id id = id_nr(0);
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    cr_assert_eq(pool_cycle(&x, false, &r), 0);
    cr_assert_eq(r.eligible_count, 1);
    cr_assert(id_equal(&r.eligible[0], &id));
    cr_assert_eq(r.kept[GC_KEEP_NEW_MARK], 1);
    cr_assert_eq(r.collected, 0);
    gc_result_release(&r);
    cr_assert(x.held[0]);
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 1);
    cr_assert_eq(x.removed[0], 1);
}

Test(gc, a_pinned_object_is_not_collected)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    for (int i = 0; i < 5; i++) {
        pool_own(&x, 1)->names[0] = GC_NAMED_PINNED;
        cr_assert_eq(pool_run(&x).pinned, 1);
    }
    cr_assert(x.held[0]);
}

Test(gc, an_earlier_since_is_kept_and_being_named_ends_it)
{
    pool_holds(&x, 1);
    pool_own(&x, 1);
    pool_run(&x);
    pool_wait(&x, 200);
    pool_run(&x);
    pool_report(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    pool_run(&x);
    pool_report(&x, 1)->names[0] = GC_NAMED_NOT;
    pool_run(&x);
    pool_wait(&x, 200);
    cr_assert_eq(pool_run(&x).marked, 0);
    pool_wait(&x, 100);
    cr_assert_eq(pool_run(&x).marked, 1);
}

Test(gc, a_marked_object_that_is_reported_again_is_active_again)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_run(&x);
    cr_assert(x.listed[0]);
    pool_report(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_ACTIVE);
    cr_assert_not(x.listed[0], "the nodes are told");
    cr_assert(x.held[0]);
}

Test(gc, marks_are_published_under_a_serial_of_their_own_when_they_changed)
{
    pool_holds(&x, 2);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    cr_assert_eq(pool_run(&x).serial, 1);
    cr_assert(x.listed[0] && x.listed[1]);
    x.node[0].report.ack = 0;
    cr_assert_eq(pool_run(&x).serial, 1);
    cr_assert_eq(x.publications, 1, "nothing changed");
    x.held[1] = false;
    cr_assert_eq(pool_run(&x).serial, 2);
    cr_assert(x.listed[0] && !x.listed[1]);
}

Test(gc, every_known_node_must_acknowledge_a_mark_before_the_bytes_go)
{
    struct gc_result r;
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_run(&x);
    pool_report(&x, 1);
    pool_report(&x, 2)->report.ack = 0; /* written before it read the marks */
    r = pool_run(&x);
    cr_assert_eq(r.kept[GC_KEEP_UNACKNOWLEDGED], 1);
    cr_assert(x.held[0]);
    pool_report(&x, 2);
    cr_assert_eq(pool_run(&x).collected, 1);
}

Test(gc, an_acknowledgement_that_was_there_before_counts_for_nothing)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2)->report.ack = 1; /* of a list of a former incarnation */
    pool_run(&x);
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 0);
    cr_assert(x.held[0]);
}

Test(gc, an_acknowledgement_of_what_was_never_published_is_none)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_run(&x);
    pool_report(&x, 1);
    pool_report(&x, 2)->report.ack = 1000;
    cr_assert_eq(pool_run(&x).collected, 0);
    cr_assert(x.held[0]);
}

Test(gc, an_acknowledgement_taken_back_under_the_same_serial_counts_no_longer)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_run(&x);
    pool_report(&x, 2);
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_UNACKNOWLEDGED], 1, "node 1 has not said so");
    x.node[1].report.ack = 0; /* its store was restored from before */
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 0);
    cr_assert(x.held[0]);
}

Test(gc, a_registered_node_that_never_reported_blocks_all_removal)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    x.node[1] = (struct pool_node){.there = true, .report = {.node = 2}};
    pool_run(&x);
    for (int i = 0; i < 3; i++) {
        pool_report(&x, 1);
        pool_wait(&x, 1000);
        cr_assert_eq(pool_run(&x).kept[GC_KEEP_UNACKNOWLEDGED], 1);
    }
    cr_assert(x.held[0]);
}

Test(gc, a_known_node_whose_report_is_missing_blocks_all_removal)
{
    struct gc_result r;
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_report(&x, 2);
    pool_run(&x);
    pool_report(&x, 2);
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_UNACKNOWLEDGED], 1, "node 1 has not said so");
    pool_report(&x, 1);
    x.node[1].there = false; /* a listing of reports that is not whole */
    r = pool_run(&x);
    cr_assert_eq(r.collected, 0);
    cr_assert_eq(r.kept[GC_KEEP_UNACKNOWLEDGED], 1);
    x.node[1].there = true;
    cr_assert_eq(pool_run(&x).collected, 1);
}

/* Object 0 is marked, and acknowledged. */
static void mark_it(void)
{
    pool_holds(&x, 1);
    x.config.grace_period = 10 * NSEC_PER_SEC;
    pool_own(&x, 1);
    pool_run(&x);
    pool_wait(&x, 10);
    pool_run(&x);
    pool_report(&x, 1);
}

Test(gc, the_last_look_saves_what_is_in_use_and_its_grace_begins_anew)
{
    mark_it();
    x.in_use[0] = true;
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_IN_USE], 1);
    cr_assert(x.held[0]);
    cr_assert_eq(state_of(&x, 0), GC_ACTIVE);
    x.in_use[0] = false;
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_GRACE], 1);
}

Test(gc, what_is_revived_between_the_last_look_and_the_removal_is_in_use_too)
{
    mark_it();
    x.remove_error = -EBUSY;
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_IN_USE], 1);
    cr_assert_eq(state_of(&x, 0), GC_ACTIVE);
}

Test(gc, of_what_cannot_be_asked_nothing_is_judged_and_its_grace_goes_on)
{
    struct pool_node *n = pool_own(&x, 1);
    pool_holds(&x, 3);
    n->names[2] = GC_NAMED_UNKNOWN;
    x.config.grace_period = 10 * NSEC_PER_SEC;
    pool_run(&x);
    cr_assert_eq(state_of(&x, 2), GC_ACTIVE, "of what nobody knew nothing is claimed");
    pool_wait(&x, 10);
    n->names[0] = GC_NAMED_UNKNOWN;
    pool_report(&x, 1);
    struct gc_result r = pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_UNREFERENCED, "not marked, though its grace is over");
    cr_assert_eq(state_of(&x, 1), GC_MARKED);
    cr_assert_eq(r.kept[GC_KEEP_UNASKED], 1);
    n->names[0] = GC_NAMED_NOT;
    n->names[1] = GC_NAMED_UNKNOWN;
    pool_report(&x, 1);
    r = pool_run(&x);
    cr_assert_eq(state_of(&x, 0), GC_MARKED, "its grace went on meanwhile");
    cr_assert_eq(state_of(&x, 1), GC_MARKED, "neither collected nor unmarked");
    cr_assert_eq(r.collected, 0);
    cr_assert_eq(r.eligible_count, 2);
    cr_assert_eq(r.held, r.active + r.pinned + r.kept[GC_KEEP_NEW_MARK] + r.kept[GC_KEEP_UNASKED]);
    n->names[1] = GC_NAMED_NOT;
    pool_report(&x, 1);
    cr_assert_eq(pool_run(&x).collected, 2);
}

Test(gc, a_look_or_a_removal_that_fails_is_counted_and_tried_again)
{
    pool_holds(&x, 1);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_run(&x);
    pool_report(&x, 1);
    x.look_error = -EIO;
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_FAILED], 1);
    x.look_error = 0;
    x.remove_error = -EIO;
    cr_assert_eq(pool_run(&x).kept[GC_KEEP_FAILED], 1);
    cr_assert_eq(state_of(&x, 0), GC_MARKED);
    x.remove_error = -ENOENT; /* gone already */
    cr_assert_eq(pool_run(&x).collected, 1);
    cr_assert_eq(state_of(&x, 0), GC_NONE);
}

Test(gc, what_is_held_is_what_is_kept_for_a_reason_and_what_went)
{
    pool_holds(&x, 20);
    x.config.grace_period = 0;
    pool_own(&x, 1);
    pool_run(&x);
    x.config.grace_period = 100 * NSEC_PER_SEC;
    pool_holds(&x, 30);
    pool_report(&x, 1);
    for (unsigned i = 0; i < 4; i++)
        x.node[0].names[i] = GC_NAMED_ACTIVE;
    x.node[0].names[4] = GC_NAMED_PINNED;
    x.in_use[5] = x.in_use[6] = true;
    struct gc_result r = pool_run(&x);
    uint64_t kept = 0;
    for (int i = 0; i < GC_KEEP_REASONS; i++) {
        cr_assert_not_null(gc_keep_names[i]);
        kept += r.kept[i];
    }
    cr_assert_eq(r.held, 30);
    cr_assert_eq(r.active, 4);
    cr_assert_eq(r.pinned, 1);
    cr_assert_eq(r.collected, 13);
    cr_assert_eq(r.kept[GC_KEEP_IN_USE], 2);
    cr_assert_eq(r.kept[GC_KEEP_GRACE], 10);
    cr_assert_eq(r.held, r.active + r.pinned + r.collected + kept);
}

static void cycle_again(struct pool_of *p)
{
    struct gc_result r;
    p->at_list = NULL;
    cr_assert_eq(pool_cycle(p, false, &r), -EBUSY);
}

Test(gc, there_is_one_cycle_at_a_time)
{
    pool_own(&x, 1);
    pool_holds(&x, 1);
    x.at_list = cycle_again;
    pool_run(&x);
    pool_run(&x);
}

Test(gc, serials_of_marks_end_in_an_error_and_are_not_used_twice)
{
    struct gc_result r;
    gc_destroy(x.gc);
    cr_assert_eq(gc_create(&x.clock.base, UINT32_MAX - 1, &x.gc), 0);
    x.config.grace_period = 0;
    pool_holds(&x, 1);
    pool_own(&x, 1);
    cr_assert_eq(pool_run(&x).serial, UINT32_MAX);
    pool_holds(&x, 2);
    cr_assert_eq(pool_cycle(&x, false, &r), -EOVERFLOW);
    cr_assert_eq(state_of(&x, 1), GC_NONE);
}

/* ---- history ---- */

Test(gc, a_cycle_with_something_eligible_is_recorded)
{
    struct gc_record h;
    struct id id = id_nr(2);
    pool_holds(&x, 3);
    x.config.grace_period = 0;
    pool_own(&x, 1)->names[0] = GC_NAMED_ACTIVE;
    x.node[0].names[1] = GC_NAMED_PINNED;
    cr_assert_eq(gc_history_get(x.gc, 0, &h), -ENOENT);
    pool_run(&x);
    cr_assert_eq(history_count(x.gc), 1);
    cr_assert_eq(gc_history_get(x.gc, 0, &h), 0);
    cr_assert_eq(h.cycle, 1);
    cr_assert_eq(h.time, 1000 * NSEC_PER_SEC);
    cr_assert_eq(h.eligible, 1);
    cr_assert_eq(h.id_count, 1);
    cr_assert(id_equal(&h.ids[0], &id));
    cr_assert_eq(h.preserved, 2);
    cr_assert_eq(h.nodes, 1);
    free(h.ids);
    pool_report(&x, 1);
    pool_run(&x);
    pool_report(&x, 1);
    pool_run(&x);
    cr_assert_eq(history_count(x.gc), 2, "nothing was eligible in the third");
    cr_assert_eq(gc_history_get(x.gc, 0, &h), 0);
    cr_assert_eq(h.collected, 1);
    free(h.ids);
    cr_assert_eq(gc_history_get(x.gc, 2, &h), -ENOENT);
}

Test(gc, the_history_keeps_the_last_cycles_and_is_bounded)
{
    struct gc_record h;
    x.config.grace_period = 0;
    pool_holds(&x, 1);
    for (uint64_t i = 0; i < GC_HISTORY_MAX + 5; i++) {
        pool_own(&x, 1)->report.ack = 0;
        pool_run(&x);
    }
    cr_assert_eq(gc_history_get(x.gc, GC_HISTORY_MAX - 1, &h), 0);
    cr_assert_eq(h.cycle, 6);
    free(h.ids);
    cr_assert_eq(gc_history_get(x.gc, GC_HISTORY_MAX, &h), -ENOENT);
}
