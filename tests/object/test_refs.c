// SPDX-License-Identifier: Apache-2.0
/* CONTRACTS section 1, line by line, and the rest of refs.h. */
#include "bytes.h"
#include "table.h"

#include <pthread.h>
#include <stdio.h>

static struct table t, u;

static void setup(void)
{
    table_create(&t);
}
static void teardown(void)
{
    table_destroy(&t);
}

TestSuite(refs, .init = setup, .fini = teardown);

/* ---- counting ---- */

Test(refs, an_overflowing_alias_changes_neither_it_nor_its_target)
{
    uint64_t target = object(&t, "x", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(refs_correct(t.refs, target, UINT32_MAX - 2), 0);
    cr_assert_eq(refs_ref(t.refs, n), -EOVERFLOW);
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(count_of(&t, target), UINT32_MAX);
}

Test(refs, what_reached_zero_is_collected_each_once)
{
    uint64_t a = object(&t, "a", 2), b = object(&t, "b", 2);
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(refs_unref(t.refs, b), 0);
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(collect(&t), 0);
    cr_assert_not(exists(&t, a));
    cr_assert_eq(count_of(&t, b), 1);
}

Test(refs, a_number_nobody_counted_is_a_fault_and_reported_and_never_deletable)
{
    char said[1][REPORT_TEXT];
    struct refs_stats s;
    uint64_t n = fresh(&t, 0);
    cr_assert_eq(refs_ref(t.refs, 12345), -ENOENT);
    cr_assert_eq(refs_unref(t.refs, 12345), -ENOENT);
    cr_assert_eq(refs_unref(t.refs, n), -ENOENT);
    cr_assert_eq(report_count(REPORT_WARN), 3);
    cr_assert_eq(report_recent(REPORT_WARN, said, 1), 1);
    cr_assert_not_null(strstr(said[0], "rebuild"));
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.unknown_decrements, 2);
    cr_assert_eq(collect(&t), 0);
}

/* ---- the dying ---- */

Test(refs, a_first_reference_changes_the_count_alone)
{
    uint64_t n;

    cr_assert_eq(refs_new(t.refs, &n), 0);
    cr_assert_eq(refs_ref(t.refs, n), 0);
    cr_assert_eq(refs_changes(t.refs), 1, "nothing to be taken from among the dying");
}

Test(refs, at_zero_an_object_is_dying_and_found_and_revived_by_its_id)
{
    struct id id = named(&t, "a");
    uint64_t n = object(&t, "a", 1), found;
    struct entry e;
    bool pending;
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(refs_dying(t.refs), 1);
    cr_assert_eq(refs_find(t.refs, &id, &found, &e, &pending), 0);
    cr_assert_eq(found, n);
    cr_assert_eq(refs_ref(t.refs, n), 0);
    refs_unhold(t.refs, n);
    cr_assert_eq(refs_dying(t.refs), 0);
    cr_assert_eq(collect(&t), 0);
    cr_assert_eq(get(&t, &id), 1);
}

Test(refs, what_dies_is_retained_until_a_commit_has_its_death)
{
    uint64_t n = object(&t, "a", 1);
    struct refs_dead dead;
    struct refs_stats s;
    struct entry e;
    commit(&t);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.retained, 0);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(refs_entry(t.refs, n, false, NULL, &e), 0);
    refs_get_stats(t.refs, &s); /* the log's changes are all that knows of it */
    cr_assert_eq(s.retained, 1);
    cr_assert_eq(s.retained_bytes, e.size);
    commit(&t); /* which does not have what is not collected */
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.retained, 1);
    cr_assert_eq(collect(&t), 1);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.retained, 1);
    cr_assert_eq(s.retained_bytes, e.size);
    cr_assert_eq(refs_collected(t.refs, &dead, 1), 0);
    commit(&t);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.retained, 0);
    cr_assert_eq(s.retained_bytes, 0);
    cr_assert_eq(s.dying, 1, "its bytes are still there");
    cr_assert_eq(refs_collected(t.refs, &dead, 1), 1);
    cr_assert_eq(refs_reclaimed(t.refs, &dead, 1), 0);
}

Test(refs, what_a_handle_holds_is_not_retained_by_the_log)
{
    uint64_t n = object(&t, "a", 1), found;
    struct id id = named(&t, "a");
    struct refs_stats s;
    struct entry e;
    bool pending;
    cr_assert_eq(refs_find(t.refs, &id, &found, &e, &pending), 0);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.retained, 0);
    refs_unhold(t.refs, n);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.retained, 1);
}

Test(refs, the_dying_survive_a_crash_and_can_still_be_revived)
{
    uint64_t n = object(&t, "a", 1);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    commit(&t);
    crash(&t);
    cr_assert_eq(refs_dying(t.refs), 1);
    cr_assert_eq(refs_ref(t.refs, n), 0);
    commit(&t);
    cr_assert_eq(rows(&t, 2), 0);
    crash(&t);
    cr_assert_eq(refs_dying(t.refs), 0);
    cr_assert_eq(count_of(&t, n), 1);
}

Test(refs, what_somebody_holds_is_not_collected_and_what_nobody_holds_is)
{
    uint64_t n = object(&t, "a", 1);
    cr_assert_eq(refs_hold(t.refs, n), 0);
    cr_assert_eq(refs_hold(t.refs, n), 0);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(collect(&t), 0);
    refs_unhold(t.refs, n);
    cr_assert_eq(refs_holds(t.refs, n), 1);
    cr_assert_eq(collect(&t), 0);
    refs_unhold(t.refs, n);
    cr_assert_eq(collect(&t), 1);
}

/* Each call goes on where the one before ended, while others come and move. */
Test(refs, many_are_collected_by_and_by_and_none_is_passed_by)
{
    enum { MANY = 900, AT_ONCE = 7, HELD = 50 };
    uint64_t number[MANY];
    size_t collected = 0, let_go = 0;
    int n;

    for (size_t i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%zu", i);
        number[i] = object(&t, name, 1);
    }
    for (size_t i = 0; i < MANY; i += HELD)
        cr_assert_eq(refs_hold(t.refs, number[i]), 0);
    do {
        for (size_t i = 0; i < 2 * AT_ONCE && let_go < MANY; i++)
            cr_assert_eq(refs_unref(t.refs, number[let_go++]), 0);
        n = refs_collect(t.refs, AT_ONCE, NULL, NULL);
        cr_assert_geq(n, 0);
        cr_assert(n == AT_ONCE || let_go == MANY, "%d", n);
        collected += (size_t)n;
    } while (n == AT_ONCE);
    cr_assert_eq(collected, MANY - MANY / HELD);
    for (size_t i = 0; i < MANY; i += HELD)
        refs_unhold(t.refs, number[i]);
    cr_assert_eq(refs_collect(t.refs, MANY, NULL, NULL), MANY / HELD);
}

Test(refs, bytes_are_told_dead_only_after_the_commit_that_forgot_them)
{
    uint64_t n = object(&t, "a", 1);
    struct refs_dead d;
    commit(&t);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0);
    freeze(&t);
    cr_assert_eq(write_out(&t), 0);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0);
    refs_retire(t.refs, 1);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
    cr_assert_eq(d.number, n);
    cr_assert_eq(d.entry.kind, ENTRY_PACK);
    cr_assert_eq(d.entry.offset, n * 64);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0);
}

Test(refs, a_slot_that_is_given_up_is_told_after_its_commit_and_known_until_its_name_is_gone)
{
    struct refs_dead d;

    freeze(&t);
    cr_assert_eq(refs_reclaim_slot(t.refs, 7), 0);
    cr_assert_eq(write_out(&t), 0);
    refs_retire(t.refs, 1);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0, "that commit was frozen before");
    commit(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
    cr_assert(d.number == 7 && d.entry.kind == ENTRY_SLOT && d.unrecorded);
    cr_assert(refs_has_slot(t.refs, 7), "its name is still there");
    cr_assert_eq(refs_reclaimed(t.refs, &d, 1), 0);
    cr_assert_not(refs_has_slot(t.refs, 7));
}

Test(refs, what_is_collected_while_a_commit_is_under_way_waits_for_the_next)
{
    uint64_t n = object(&t, "a", 1);
    struct refs_dead d;
    commit(&t);
    freeze(&t);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(write_out(&t), 0);
    refs_retire(t.refs, 1);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0, "its removal is not durable");
    commit(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
}

Test(refs, bytes_of_several_batches_are_told_dead_after_the_commit_of_their_own)
{
    uint64_t n[3];
    struct refs_dead d[3];
    for (unsigned i = 0; i < 3; i++)
        n[i] = object(&t, (const char *[]){"a", "b", "c"}[i], 1);
    commit(&t);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(refs_unref(t.refs, n[i]), 0);
        cr_assert_eq(collect(&t), 1);
        freeze(&t);
    }
    cr_assert_eq(write_some(&t, 1), 0);
    refs_retire(t.refs, 1);
    cr_assert_eq(refs_collected(t.refs, d, 3), 1);
    cr_assert_eq(d[0].number, n[0]);
    cr_assert_eq(write_some(&t, 2), 0);
    cr_assert_eq(refs_collected(t.refs, d, 3), 0, "retired is what a commit has");
    refs_retire(t.refs, 2);
    cr_assert_eq(refs_collected(t.refs, d, 3), 2);
    cr_assert_eq(refs_dying(t.refs), 0);
}

Test(refs, dead_bytes_not_reclaimed_before_a_crash_are_told_again_and_reclaimed_ones_not)
{
    uint64_t n = object(&t, "a", 1);
    struct refs_dead d;
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(collect(&t), 1);
    commit(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
    crash(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
    cr_assert_eq(d.entry.offset, n * 64);
    cr_assert_eq(refs_reclaimed(t.refs, &d, 1), 0);
    commit(&t);
    crash(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0);
    cr_assert_eq(rows(&t, 0) + rows(&t, 1) + rows(&t, 2), 0, "nothing is left in any table");
}

Test(refs, a_crash_before_the_commit_of_a_removal_brings_the_object_back)
{
    uint64_t n = object(&t, "a", 1);
    struct id id = named(&t, "a");
    commit(&t);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(collect(&t), 1);
    crash(&t);
    cr_assert_eq(get(&t, &id), 1);
    cr_assert_eq(refs_dying(t.refs), 0);
}

static void tell(uint64_t number, const struct entry *e, void *ctx)
{
    cr_assert_eq(e->count, 0);
    *(uint64_t *)ctx += number;
}

Test(refs, collect_tells_each_and_takes_no_more_than_it_may)
{
    uint64_t sum = 0, a = object(&t, "a", 1), b = object(&t, "b", 1);
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(refs_unref(t.refs, b), 0);
    cr_assert_eq(refs_collect(t.refs, 0, tell, &sum), 0);
    cr_assert_eq(refs_collect(t.refs, 1, tell, &sum), 1);
    cr_assert_eq(refs_collect(t.refs, 9, tell, &sum), 1);
    cr_assert_eq(sum, a + b);
    cr_assert(!exists(&t, a) && !exists(&t, b));
}

Test(refs, a_thousand_dying_are_collected_in_one_call)
{
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(refs_unref(t.refs, fresh(&t, 1)), 0);
    cr_assert_eq(refs_collect(t.refs, 2000, NULL, NULL), 1000);
    cr_assert_eq(refs_dying(t.refs), 1000);
}

Test(refs, what_is_held_is_not_counted_among_the_dying_whatever_becomes_of_it)
{
    uint64_t a = object(&t, "a", 1), b = object(&t, "b", 1), c = object(&t, "c", 1);

    cr_assert_eq(refs_hold(t.refs, a), 0);
    cr_assert_eq(refs_hold(t.refs, a), 0);
    cr_assert_eq(refs_unref(t.refs, a), 0);
    cr_assert_eq(refs_unref(t.refs, b), 0);
    cr_assert_eq(refs_unref(t.refs, c), 0);
    cr_assert_eq(refs_dying(t.refs), 2);
    cr_assert_eq(refs_hold(t.refs, b), 0);
    cr_assert_eq(refs_dying(t.refs), 1);
    refs_unhold(t.refs, a);
    cr_assert_eq(refs_dying(t.refs), 1);
    refs_unhold(t.refs, a);
    cr_assert_eq(refs_dying(t.refs), 2);
    cr_assert_eq(refs_ref(t.refs, b), 0); /* revived while it is held */
    refs_unhold(t.refs, b);
    cr_assert_eq(refs_dying(t.refs), 2);
    cr_assert_eq(refs_unref(t.refs, b), 0);
    cr_assert_eq(refs_dying(t.refs), 3);
    cr_assert_eq(collect(&t), 3);
    cr_assert_eq(refs_dying(t.refs), 3);
}

Test(refs, a_reclaimed_place_is_told_dead_after_the_next_commit)
{
    struct entry place = {.kind = ENTRY_FILE, .where = 44, .id = named(&t, "a"), .size = 5};
    struct refs_dead d;
    cr_assert_eq(refs_reclaim_place(t.refs, &place), 0);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 0);
    commit(&t);
    crash(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
    cr_assert_eq(d.entry.where, 44);
    cr_assert_eq(d.entry.kind, ENTRY_FILE);
}

/* ---- pending, sealing ---- */

Test(refs, an_entry_is_pending_from_its_sealing_until_its_bytes_are_synced)
{
    struct id id = named(&t, "a");
    uint64_t n = fresh(&t, 1), found;
    struct entry e;
    bool pending;
    cr_assert_eq(seal_as(&t, n, &id), 0);
    cr_assert_eq(refs_find(t.refs, &id, &found, &e, &pending), 0);
    cr_assert(pending);
    refs_settle(t.refs, refs_pending_mark(t.refs));
    cr_assert_eq(refs_find(t.refs, &id, &found, &e, &pending), 0);
    cr_assert(!pending);
    cr_assert_eq(refs_holds(t.refs, n), 2);
}

Test(refs, a_note_alone_makes_nothing_pending)
{
    struct entry e, place = {.kind = ENTRY_PACK, .where = 3, .offset = 32, .size = 5000};
    uint64_t n = fresh(&t, 1), found;
    bool pending;

    place.id = named(&t, "a");
    cr_assert_eq(refs_seal_new(t.refs, n, &place), 0);
    refs_settle(t.refs, refs_pending_mark(t.refs));
    cr_assert_eq(refs_find(t.refs, &place.id, &found, &e, &pending), 0);
    place.stored = 5000;
    cr_assert_eq(refs_relocate(t.refs, n, &e, &place), 0);
    cr_assert_eq(refs_find(t.refs, &place.id, &found, &e, &pending), 0);
    cr_assert(!pending && e.stored == 5000);
    place.offset = 64;
    cr_assert_eq(refs_relocate(t.refs, n, &e, &place), 0);
    cr_assert_eq(refs_find(t.refs, &place.id, &found, &e, &pending), 0);
    cr_assert(pending, "its bytes are elsewhere");
}

Test(refs, what_is_sealed_beside_a_sync_stays_pending)
{
    struct id a = named(&t, "a"), b = named(&t, "b");
    uint64_t n = fresh(&t, 1), m = fresh(&t, 1), found;
    struct entry e;
    bool pending;
    cr_assert_eq(seal_as(&t, n, &a), 0);
    uint64_t mark = refs_pending_mark(t.refs);
    cr_assert_eq(seal_as(&t, m, &b), 0);
    refs_settle(t.refs, mark);
    cr_assert_eq(refs_find(t.refs, &a, &found, &e, &pending), 0);
    cr_assert(!pending);
    cr_assert_eq(refs_find(t.refs, &b, &found, &e, &pending), 0);
    cr_assert(pending, "nobody synced it");
    refs_settle(t.refs, refs_pending_mark(t.refs));
    cr_assert_eq(refs_find(t.refs, &b, &found, &e, &pending), 0);
    cr_assert(!pending);
}

Test(refs, an_id_that_is_taken_is_not_taken_again)
{
    struct id id = named(&t, "a");
    object(&t, "a", 1);
    cr_assert_eq(seal_as(&t, fresh(&t, 1), &id), -EEXIST);
}

Test(refs, what_is_sealed_is_not_sealed_again)
{
    struct id b = named(&t, "b");
    uint64_t a = object(&t, "a", 1), c = object(&t, "c", 1), n = fresh(&t, 1);
    cr_assert_eq(seal_as(&t, a, &b), -EINVAL);
    cr_assert_eq(refs_seal_alias(t.refs, a, c), -EINVAL);
    cr_assert_eq(refs_seal_alias(t.refs, n, fresh(&t, 1)), -EINVAL);
}

Test(refs, what_died_before_it_was_sealed_is_deleted_where_it_was_placed)
{
    struct id id = named(&t, "a");
    uint64_t n = fresh(&t, 1);
    struct refs_dead d;
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(seal_as(&t, n, &id), 0);
    cr_assert_eq(collect(&t), 1);
    commit(&t);
    cr_assert_eq(refs_collected(t.refs, &d, 1), 1);
    cr_assert_eq(d.entry.offset, n * 64);
}

Test(refs, a_slot_keeps_its_size_and_its_count)
{
    uint64_t n = fresh(&t, 3);
    struct entry e;
    cr_assert_eq(refs_set_slot(t.refs, n, 4096), 0);
    commit(&t);
    crash(&t);
    cr_assert_eq(refs_entry(t.refs, n, false, NULL, &e), 0);
    cr_assert(e.kind == ENTRY_SLOT && e.size == 4096 && e.count == 3);
}

Test(refs, a_number_cancelled_leaves_nothing)
{
    uint64_t n = fresh(&t, 0);
    refs_cancel(t.refs, n);
    commit(&t);
    cr_assert_eq(rows(&t, 0) + rows(&t, 2), 0);
    cr_assert_neq(fresh(&t, 0), n, "a number is never used again");
}

Test(refs, numbers_are_not_used_again_after_a_restart)
{
    uint64_t n = fresh(&t, 1);
    commit(&t);
    crash(&t);
    cr_assert_gt(fresh(&t, 1), n);
}

Test(refs, a_moved_object_keeps_id_and_count_and_gives_its_old_place)
{
    uint64_t n = object(&t, "a", 2);
    struct entry old, e, place = {.kind = ENTRY_FILE, .id = named(&t, "a"), .where = 9, .size = 10};
    cr_assert_eq(refs_move(t.refs, n, &place, &old), 0);
    cr_assert_eq(old.offset, n * 64);
    cr_assert_eq(refs_entry(t.refs, n, false, NULL, &e), 0);
    cr_assert(e.kind == ENTRY_FILE && e.where == 9 && e.count == 2);
    place.id = named(&t, "b");
    cr_assert_eq(refs_move(t.refs, n, &place, &old), -EINVAL);
}

/* ---- aliases ---- */

Test(refs, references_of_an_alias_count_for_its_target)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 2), at;
    struct entry e;
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(count_of(&t, target), 3);
    cr_assert_eq(refs_ref(t.refs, n), 0);
    cr_assert_eq(count_of(&t, target), 4);
    cr_assert_eq(count_of(&t, n), 3);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(count_of(&t, target), 3);
    cr_assert_eq(refs_resolve(t.refs, n), target);
    cr_assert_eq(refs_entry(t.refs, n, true, &at, &e), 0);
    cr_assert(at == target && e.kind == ENTRY_PACK);
}

Test(refs, of_many_at_once_an_alias_gives_its_place_to_its_target_which_alone_counts)
{
    uint64_t target = object(&t, "a", 1), other = object(&t, "b", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    uint64_t named[] = {n, 0, other, target};
    cr_assert_eq(refs_ref_all(t.refs, named, 4), 0);
    cr_assert(named[0] == target && named[1] == 0 && named[2] == other && named[3] == target);
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(count_of(&t, target), 4);
    cr_assert_eq(count_of(&t, other), 2);
}

Test(refs, of_none_at_once_nothing_is_changed)
{
    cr_assert_eq(refs_ref_all(t.refs, NULL, 0), 0);
    cr_assert_eq(refs_changes(t.refs), 0);
}

/* A damaged entry in the middle: the batch is taken back. */
Test(refs, of_many_at_once_a_damaged_one_keeps_all_from_being_counted)
{
    uint64_t a = object(&t, "a", 1), b = object(&t, "b", 1), named[] = {a, a, b, a};
    uint8_t key[8];
    commit(&t);
    put_be64(key, b);
    cr_assert_eq(kv_mem_flip(t.mem, 0, key, 8, 0, 7), 0);
    cr_assert_eq(refs_ref_all(t.refs, named, 4), -EUCLEAN);
    cr_assert_eq(count_of(&t, a), 1);
    cr_assert_eq(refs_dying(t.refs), 0);
}

Test(refs, of_many_at_once_all_are_counted_or_none)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1), full = object(&t, "b", 1);
    uint64_t named[] = {n, target, 0, full, target};
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(refs_correct(t.refs, full, UINT32_MAX - 1), 0);
    cr_assert_eq(refs_ref_all(t.refs, named, 5), -EOVERFLOW);
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(count_of(&t, target), 2);
    cr_assert_eq(refs_correct(t.refs, full, -(int64_t)UINT32_MAX + 1), 0);
}

/* A page that names it is copied: its other items are no worse for that. */
Test(refs, of_many_at_once_one_whose_row_is_lost_is_left_out_and_told)
{
    uint64_t target = object(&t, "a", 1), named[] = {target, 12345, target};
    cr_assert_eq(refs_ref_all(t.refs, named, 3), 0);
    cr_assert_eq(report_count(REPORT_WARN), 1);
    cr_assert_eq(count_of(&t, target), 3);
}

Test(refs, an_id_whose_row_is_lost_is_damage_not_unknown)
{
    struct id id = named(&t, "a");
    uint64_t target = object(&t, "a", 1), at;
    bool pending;
    struct entry e;
    uint8_t key[8];
    struct kv_txn *txn;
    commit(&t);
    put_be64(key, target);
    cr_assert_eq(kv_txn_begin(t.kv, &txn), 0);
    cr_assert_eq(kv_del(txn, 0, key, 8), 0);
    cr_assert_eq(kv_commit(txn), 0);
    cr_assert_eq(refs_find(t.refs, &id, &at, &e, &pending), -EUCLEAN);
    cr_assert_eq(refs_restore(t.refs, target, &(struct entry){.kind = ENTRY_NEW, .count = 3}), 0);
    cr_assert_eq(count_of(&t, target), 3);
    cr_assert_eq(refs_restore(t.refs, target, &(struct entry){.kind = ENTRY_NEW, .count = 3}),
                 -EEXIST);
}

Test(refs, an_alias_revives_a_dying_target)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_unref(t.refs, target), 0);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(refs_dying(t.refs), 0);
    cr_assert_eq(collect(&t), 0);
}

Test(refs, an_alias_dies_alone_and_both_die_together)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(count_of(&t, target), 1);
    cr_assert_eq(refs_unref(t.refs, target), 0);
    cr_assert_eq(collect(&t), 1);
    commit(&t);
    cr_assert_eq(rows(&t, 0) + rows(&t, 1), 0);
}

Test(refs, holds_taken_before_a_number_became_an_alias_hold_the_target)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_hold(t.refs, n), 0);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(refs_unref(t.refs, target), 0);
    cr_assert_eq(collect(&t), 0);
    refs_unhold(t.refs, n);
    cr_assert_eq(refs_holds(t.refs, target), 0);
    cr_assert_eq(collect(&t), 2);
}

/* ---- pins ---- */

Test(refs, a_pin_counts_once_however_often_it_is_set)
{
    uint64_t n = object(&t, "a", 1);
    struct refs_stats s;
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(count_of(&t, n), 2);
    cr_assert(refs_is_pinned(t.refs, n));
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.pinned, 1);
}

Test(refs, a_pinned_object_lives_on_over_a_crash_until_it_is_unpinned)
{
    uint64_t n = object(&t, "a", 1);
    struct refs_stats s;
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    commit(&t);
    crash(&t);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.pinned, 1);
    cr_assert_eq(collect(&t), 0);
    cr_assert_eq(refs_unpin(t.refs, n), 0);
    cr_assert_eq(refs_unpin(t.refs, n), 0, "not pinned is fine");
    cr_assert_eq(collect(&t), 1);
}

Test(refs, a_pin_of_an_alias_is_its_targets)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert(refs_is_pinned(t.refs, target) && refs_is_pinned(t.refs, n));
    cr_assert_eq(count_of(&t, target), 3);
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(refs_unpin(t.refs, n), 0);
    cr_assert_eq(count_of(&t, target), 2);
}

Test(refs, a_pin_from_before_a_number_became_an_alias_can_be_taken_back)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    cr_assert(refs_is_pinned(t.refs, n));
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(refs_unpin(t.refs, n), 0);
    cr_assert(!refs_is_pinned(t.refs, n));
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(count_of(&t, target), 2);
}

/* Its row is lost, as by a damaged key. */
static void lose_pin(uint64_t n)
{
    uint8_t key[8];
    struct kv_txn *txn;

    put_be64(key, n);
    commit(&t);
    cr_assert_eq(kv_txn_begin(t.kv, &txn), 0);
    cr_assert_eq(kv_del(txn, 3, key, sizeof key), 0);
    cr_assert_eq(kv_commit(txn), 0);
    crash(&t);
}

Test(refs, a_pin_whose_row_is_lost_is_one_until_it_is_unpinned)
{
    uint64_t n = object(&t, "a", 1);
    cr_assert_eq(refs_pin(t.refs, n), 0);
    lose_pin(n);
    cr_assert(refs_is_pinned(t.refs, n));
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(count_of(&t, n), 2, "it counts once");
    lose_pin(n);
    cr_assert_eq(refs_restore_pin(t.refs, n), 1);
    cr_assert_eq(refs_restore_pin(t.refs, n), 0);
    lose_pin(n);
    cr_assert_eq(refs_unpin(t.refs, n), 0);
    cr_assert(!refs_is_pinned(t.refs, n));
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(refs_restore_pin(t.refs, n), 0);
}

Test(refs, an_entry_keeps_its_pin_when_it_is_sealed)
{
    uint64_t target = object(&t, "a", 1), n = fresh(&t, 1);
    cr_assert_eq(refs_pin(t.refs, n), 0);
    cr_assert_eq(refs_seal_alias(t.refs, n, target), 0);
    lose_pin(n);
    cr_assert(refs_is_pinned(t.refs, n));
    cr_assert_eq(refs_unpin(t.refs, n), 0);
    cr_assert_eq(count_of(&t, n), 1);
    cr_assert_eq(count_of(&t, target), 2);
}

/* ---- chains ---- */

/* Contents that collide: each has the id derived from the one before. */
static void chain(struct id *ids, uint64_t *numbers, unsigned count)
{
    ids[0] = named(&t, "a");
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = fresh(&t, 1);
        cr_assert_eq(seal_as(&t, numbers[i], &ids[i]), 0);
        id_derive(&t.key, &ids[i], &ids[i + 1]);
    }
    refs_settle(t.refs, refs_pending_mark(t.refs));
}

static int find(const struct id *id)
{
    struct entry e;
    uint64_t n;
    bool pending;
    int err = refs_find(t.refs, id, &n, &e, &pending);
    if (err == 0)
        refs_unhold(t.refs, n);
    return err;
}

Test(refs, removing_an_id_keeps_the_rest_of_its_chain_findable)
{
    struct id ids[4];
    uint64_t n[3];
    chain(ids, n, 3);
    cr_assert_eq(refs_unref(t.refs, n[1]), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(find(&ids[0]), 0);
    cr_assert_eq(find(&ids[1]), -EAGAIN);
    cr_assert_eq(find(&ids[2]), 0);
    cr_assert_eq(refs_unref(t.refs, n[0]), 0);
    cr_assert_eq(collect(&t), 1);
    commit(&t);
    crash(&t);
    cr_assert_eq(find(&ids[0]), -EAGAIN, "a marker before a marker");
    cr_assert_eq(find(&ids[2]), 0);
}

Test(refs, the_last_of_a_chain_goes_without_a_marker_and_a_marker_counts_nothing)
{
    struct id ids[3];
    uint64_t n[2];
    chain(ids, n, 2);
    cr_assert_eq(refs_unref(t.refs, n[1]), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(find(&ids[1]), -ENOENT);
    cr_assert_eq(refs_unref(t.refs, n[0]), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(find(&ids[0]), -ENOENT);
    cr_assert_eq(get(&t, &ids[0]), 0);
}

Test(refs, a_marker_gives_its_id_to_who_asks_for_it)
{
    struct id ids[3];
    uint64_t n[2];
    chain(ids, n, 2);
    cr_assert_eq(refs_unref(t.refs, n[0]), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(get(&t, &ids[0]), 0);
    cr_assert_eq(seal_as(&t, fresh(&t, 1), &ids[0]), 0);
    cr_assert_eq(find(&ids[0]), 0);
    cr_assert_eq(find(&ids[1]), 0);
}

/* ---- listing ---- */

struct listed {
    struct refs_item items[64];
    size_t count;
};

static int add_item(const struct refs_item *item, void *ctx)
{
    struct listed *l = ctx;
    l->items[l->count++] = *item;
    return 0;
}

static struct listed list(int prefix, const struct id *after)
{
    struct listed l = {.count = 0};
    cr_assert_eq(refs_list(t.refs, prefix, after, add_item, &l), 0);
    for (size_t i = 1; i < l.count; i++)
        cr_assert_lt(id_compare(&l.items[i - 1].id, &l.items[i].id), 0);
    return l;
}

/* Ten committed; of them one gone, one raised; one new; nothing of this committed. */
static void some_changes(uint64_t *ret_raised)
{
    uint64_t n[10];
    char name[2] = "0";
    for (unsigned i = 0; i < 10; i++, name[0]++)
        n[i] = object(&t, name, 1);
    commit(&t);
    cr_assert_eq(refs_unref(t.refs, n[3]), 0);
    cr_assert_eq(collect(&t), 1);
    cr_assert_eq(refs_unref(t.refs, n[4]), 0);
    cr_assert_eq(refs_ref(t.refs, n[5]), 0);
    object(&t, "new", 7);
    *ret_raised = n[5];
}

Test(refs, a_listing_merges_uncommitted_changes_with_what_is_stored)
{
    uint64_t raised, sum = 0, counts[2] = {0, 0};
    some_changes(&raised);
    struct listed l = list(-1, NULL);
    cr_assert_eq(l.count, 9);
    for (size_t i = 0; i < l.count; i++) {
        sum += l.items[i].count;
        counts[0] += l.items[i].number == raised ? l.items[i].count : 0;
        counts[1] += l.items[i].count == 7;
    }
    cr_assert_eq(counts[0], 2);
    cr_assert_eq(counts[1], 1);
    cr_assert_eq(sum, 7 + 2 + 7);
}

Test(refs, a_listing_is_the_same_before_while_and_after_a_commit)
{
    uint64_t raised;
    some_changes(&raised);
    struct listed a = list(-1, NULL), b;
    freeze(&t);
    b = list(-1, NULL);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
    cr_assert_eq(write_out(&t), 0);
    b = list(-1, NULL);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
    refs_retire(t.refs, 1);
    b = list(-1, NULL);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(refs, a_listing_resumes_after_an_id_and_keeps_to_its_prefix)
{
    uint64_t raised;
    some_changes(&raised);
    struct listed all = list(-1, NULL);
    for (size_t i = 0; i < all.count; i++) {
        struct id id = all.items[i].id, low = {{0}};
        cr_assert_eq(list(-1, &id).count, all.count - i - 1);
        cr_assert_geq(list(id.b[0], NULL).count, 1);
        cr_assert_eq(list(id.b[0], &low).count, list(id.b[0], NULL).count);
    }
}

static int stop(const struct refs_item *item, void *ctx)
{
    (void)item;
    return ++*(int *)ctx == 2 ? 42 : 0;
}

Test(refs, a_listing_stops_when_it_is_told_to)
{
    uint64_t raised;
    int calls = 0;
    some_changes(&raised);
    cr_assert_eq(refs_list(t.refs, -1, NULL, stop, &calls), 42);
    cr_assert_eq(calls, 2);
}

/* ---- committing ---- */

Test(refs, what_was_not_committed_never_happened)
{
    struct id id = named(&t, "a");
    uint64_t n = object(&t, "a", 1);
    commit(&t);
    cr_assert_eq(refs_ref(t.refs, n), 0);
    object(&t, "b", 1);
    crash(&t);
    cr_assert_eq(get(&t, &id), 1);
    cr_assert_eq(rows(&t, 0), 1);
}

Test(refs, a_commit_that_failed_is_tried_again_with_what_it_had)
{
    uint64_t n = object(&t, "a", 1);
    freeze(&t);
    t.fault.error = ENOSPC;
    t.fault.fail_at = t.fault.writes + 1;
    cr_assert_eq(write_out(&t), -ENOSPC);
    cr_assert_eq(refs_ref(t.refs, n), 0);
    cr_assert_eq(count_of(&t, n), 2);
    cr_assert_eq(write_out(&t), 0);
    refs_retire(t.refs, 1);
    crash(&t);
    cr_assert_eq(count_of(&t, n), 1, "the reference came after the freeze");
}

Test(refs, a_damaged_entry_is_told_and_not_read)
{
    uint64_t n = object(&t, "a", 1);
    struct entry e;
    uint8_t key[8] = {0};
    commit(&t);
    crash(&t);
    key[7] = (uint8_t)n;
    cr_assert_eq(kv_mem_flip(t.mem, 0, key, 8, 0, 6), 0);
    cr_assert_eq(refs_entry(t.refs, n, false, NULL, &e), -EUCLEAN);
    cr_assert_eq(refs_ref(t.refs, n), -EUCLEAN);
}

/* Else one bit would keep all that comes after it from being committed. */
Test(refs, what_dies_with_a_damaged_place_in_the_index_or_entry_holds_up_nobody)
{
    struct id a = named(&t, "a"), b = named(&t, "b");
    uint64_t n = object(&t, "a", 1), m = object(&t, "b", 1);
    uint8_t key[8] = {0};
    struct entry e;
    bool pending;
    cr_assert_eq(refs_hold(t.refs, m), 0);
    cr_assert_eq(refs_unref(t.refs, m), 0);
    commit(&t);
    cr_assert_eq(kv_mem_flip(t.mem, 1, a.b, ID_LEN, 7, 1), 0);
    cr_assert_eq(refs_find(t.refs, &a, &n, &e, &pending), -EUCLEAN);
    cr_assert_eq(refs_unref(t.refs, n), 0);
    cr_assert_eq(refs_collect(t.refs, 10, NULL, NULL), 1);
    key[7] = (uint8_t)m;
    cr_assert_eq(kv_mem_flip(t.mem, 0, key, 8, 1, 1), 0);
    refs_unhold(t.refs, m);
    cr_assert_eq(refs_collect(t.refs, 10, NULL, NULL), 0);
    cr_assert_eq(report_count(REPORT_ALARM), 1);
    commit(&t);
    cr_assert_eq(refs_find(t.refs, &a, &n, &e, &pending), -ENOENT);
    cr_assert_eq(refs_find(t.refs, &b, &m, &e, &pending), -EUCLEAN);
    cr_assert_eq(refs_dying(t.refs), 1, "the bytes of a, until somebody deletes them");
}

Test(refs, damaged_ones_among_the_dead_do_not_end_a_collection)
{
    uint64_t number[40];

    for (unsigned i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "dead %u", i);
        number[i] = object(&t, name, 1);
        cr_assert_eq(refs_hold(t.refs, number[i]), 0);
        cr_assert_eq(refs_unref(t.refs, number[i]), 0);
    }
    commit(&t);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t key[8] = {[7] = (uint8_t)number[i]};
        refs_unhold(t.refs, number[i]);
        if (i % 4 == 0)
            cr_assert_eq(kv_mem_flip(t.mem, 0, key, 8, 1, 1), 0);
    }
    cr_assert_eq(refs_collect(t.refs, 64, NULL, NULL), 30);
    cr_assert_eq(report_count(REPORT_ALARM), 10);
}

Test(refs, sealed_objects_in_use_are_counted_now_and_after_a_restart)
{
    struct refs_stats s;
    object(&t, "a", 1);
    object(&t, "b", 0);
    cr_assert_eq(refs_unref(t.refs, object(&t, "c", 1)), 0);
    cr_assert_eq(refs_unref(t.refs, fresh(&t, 1)), 0);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.objects, 1);
    commit(&t);
    crash(&t);
    refs_get_stats(t.refs, &s);
    cr_assert_eq(s.objects, 1);
}

/* ---- two tables ---- */

static void *count_in_u(void *arg)
{
    (void)arg;
    return object(&u, "a", 1) ? &u : NULL;
}

static int while_t_is_listed(const struct refs_item *item, void *ctx)
{
    pthread_t thread;
    (void)item;
    cr_assert_eq(pthread_create(&thread, NULL, count_in_u, NULL), 0);
    return pthread_join(thread, ctx);
}

Test(refs, two_tables_never_wait_for_each_other, .timeout = 60)
{
    void *done = NULL;
    table_create(&u);
    object(&t, "a", 1);
    freeze(&t); /* a commit of one is under way, and a listing */
    cr_assert_eq(refs_list(t.refs, -1, NULL, while_t_is_listed, &done), 0);
    cr_assert_not_null(done);
    commit(&u);
    table_destroy(&u);
}
