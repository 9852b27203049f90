// SPDX-License-Identifier: Apache-2.0
/* Claims of drop.h. */
#include "plant.h"

TREE_SUITE(drop);

static uint64_t shared_object;

/* A tree of some hundred pages whose items name one object. */
static void grow(unsigned tree)
{
    shared_object = shared_object ? shared_object : forest_object(&f);
    for (uint64_t n = 0; n < 300; n++) {
        cr_assert_eq(put_len(tree, n, 'a', 2000), 0);
        cr_assert_eq(put_object(tree, n, shared_object), 0);
    }
}

static void drop(unsigned tree)
{
    cr_assert_eq(drops_push(f.drops, f.tree[tree].root), 0);
    f.tree[tree].root = 0;
}

static unsigned work(unsigned budget)
{
    unsigned done;
    cr_assert_eq(drops_step(f.drops, budget, &done), 0);
    return done;
}

/* Entries of the committed queue. */
static size_t stored_queue(void)
{
    struct kv_snap *s;
    const void *key = NULL, *val;
    size_t klen = 0, vlen, n = 0;
    cr_assert_eq(kv_snap_begin(f.kv, &s), 0);
    while (kv_snap_seek(s, T_DROPS, key, klen, klen > 0, &key, &klen, &val, &vlen) == 0)
        n += vlen / 8;
    kv_snap_end(s);
    return n;
}

/* ---- memory ends within a step ---- */

static bool no_memory; /* no array grows */
static bool
    step_fails; /* the next count is not read, and meanwhile others push what there is room for */
static size_t pushed;

int __real_array_reserve(void *at, size_t *room, size_t need, size_t size);
int __wrap_array_reserve(void *at, size_t *room, size_t need, size_t size);
int __wrap_array_reserve(void *at, size_t *room, size_t need, size_t size)
{
    return no_memory && need > *room ? -ENOMEM : __real_array_reserve(at, room, need, size);
}

int __real_pages_add_count(struct pages *pages, uint64_t no, int delta, uint32_t *ret);
int __wrap_pages_add_count(struct pages *pages, uint64_t no, int delta, uint32_t *ret);
int __wrap_pages_add_count(struct pages *pages, uint64_t no, int delta, uint32_t *ret)
{
    if (!step_fails)
        return __real_pages_add_count(pages, no, delta, ret);
    step_fails = false;
    no_memory = true;
    while (drops_push(f.drops, 1000) == 0)
        pushed++;
    return -ENOMEM;
}

Test(drop, the_empty_tree_needs_no_dropping)
{
    cr_assert_eq(drops_push(f.drops, 0), 0);
    cr_assert_eq(drops_left(f.drops), 0);
    cr_assert_eq(work(10), 0);
}

Test(drop, a_dropped_tree_gives_back_all_its_pages_and_objects)
{
    grow(0);
    size_t live = settle();
    drop(0);
    forest_drop_all(&f);
    cr_assert_eq(drops_freed(f.drops), live);
    cr_assert_eq(forest_count(&f, shared_object), 0);
    cr_assert_eq(settle(), 0);
}

Test(drop, what_a_branch_still_has_stays)
{
    grow(0);
    branch(0, 1);
    put(1, 5, 'b');
    drop(0);
    forest_drop_all(&f);
    cr_assert_eq(count_items(1), 600);
    cr_assert_eq(what(1, 5), 'b');
    cr_assert_eq(what(1, 6), 'a');
    cr_assert_eq(forest_count(&f, shared_object), 300);
    settle();
    drop(1);
    forest_drop_all(&f);
    cr_assert_eq(settle(), 0);
}

Test(drop, dropping_one_of_many_branches_is_one_step)
{
    grow(0);
    branch(0, 1);
    branch(0, 2);
    drop(1);
    cr_assert_eq(work(100), 1);
    cr_assert_eq(drops_freed(f.drops), 0);
    settle();
}

Test(drop, a_step_does_no_more_than_its_budget)
{
    grow(0);
    drop(0);
    cr_assert_eq(work(7), 7);
    cr_assert_gt(drops_left(f.drops), 0);
    settle();
}

Test(drop, it_resumes_after_a_restart_between_any_two_steps)
{
    grow(0);
    branch(0, 1);
    put(1, 100, 'b');
    forest_commit(&f);
    drop(0);
    while (work(1)) {
        settle();
        forest_crash(&f);
    }
    cr_assert_eq(drops_left(f.drops), 0);
    cr_assert_eq(count_items(1), 600);
    cr_assert_eq(forest_count(&f, shared_object), 300);
}

Test(drop, steps_that_were_not_committed_are_done_again_after_a_crash)
{
    grow(0);
    forest_commit(&f);
    drop(0);
    forest_commit(&f);
    while (work(3)) /* each three steps are lost once and then done */
        if (drops_left(f.drops) % 2) {
            forest_crash(&f);
            work(3);
            settle();
        }
    cr_assert_eq(settle(), 0);
    cr_assert_eq(forest_count(&f, shared_object), 0);
}

Test(drop, each_batch_has_the_queue_as_it_was_then)
{
    grow(0);
    grow(1);
    forest_commit(&f);
    drop(0);
    forest_freeze(&f);
    forest_freeze(&f); /* nothing changed since */
    drop(1);
    forest_freeze(&f);
    forest_drop_all(&f);
    forest_freeze(&f);
    cr_assert_eq(forest_write_some(&f, 2), 0);
    forest_retire_some(&f, 2);
    cr_assert_eq(stored_queue(), 1);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(stored_queue(), 2);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(stored_queue(), 0);
    cr_assert_eq(settle(), 0);
}

Test(drop, steps_during_a_commit_are_not_in_it)
{
    grow(0);
    forest_commit(&f);
    drop(0);
    forest_freeze(&f);
    forest_drop_all(&f);
    forest_fail_next_commit(&f);
    cr_assert_eq(forest_write(&f), -ENOSPC);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    forest_crash(&f);
    cr_assert_eq(drops_left(f.drops), 1);
    recount(&f);
    forest_drop_all(&f);
    cr_assert_eq(settle(), 0);
}

Test(drop, a_damaged_page_leaks_with_a_report_and_the_rest_goes_on)
{
    grow(0);
    size_t live = settle();
    forest_crash(&f);
    damage(child(0, 3));
    drop(0);
    forest_drop_all(&f);
    cr_assert_eq(drops_left(f.drops), 0);
    cr_assert_eq(drops_freed(f.drops), live - 1);
    cr_assert_eq(report_count(REPORT_WARN), 1);
    cr_assert_gt(forest_count(&f, shared_object), 0);
}

/* Within a step. */
static void ask(enum report_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    ((uint64_t *)ctx)[0] = drops_left(f.drops);
    ((uint64_t *)ctx)[1] = drops_freed(f.drops);
}

Test(drop, what_is_worked_on_is_still_left_and_who_asks_does_not_wait)
{
    uint64_t said[2] = {0, 1};

    grow(0);
    (void)settle();
    forest_crash(&f);
    damage(f.tree[0].root);
    drop(0);
    report_set_sink(ask, said);
    cr_assert_eq(work(1), 1);
    report_set_sink(NULL, NULL);
    cr_assert_eq(said[0], 1);
    cr_assert_eq(said[1], 0);
    cr_assert_eq(drops_left(f.drops), 0);
}

Test(drop, a_tree_that_is_dropped_later_delays_none_that_was_dropped_before)
{
    uint64_t mark, pages;
    unsigned steps = 0;

    for (unsigned i = 0; i < 3; i++)
        grow(i);
    drop(2);
    while (work(10))
        ;
    pages = drops_freed(f.drops); /* of one tree */
    drop(0);
    mark = drops_pushed(f.drops);
    cr_assert(drops_has_older(f.drops, mark));
    cr_assert_eq(work(1), 1);
    drop(1);
    while (drops_has_older(f.drops, mark)) { /* a step may begin with the later one */
        cr_assert_gt(work(4), 0);
        cr_assert_lt(++steps, 10000u);
    }
    cr_assert_lt(drops_freed(f.drops), 2 * pages + 4, "little of the later one");
    cr_assert(drops_has_older(f.drops, drops_pushed(f.drops)));
    while (work(10))
        ;
    cr_assert_not(drops_has_older(f.drops, drops_pushed(f.drops)));
}

Test(drop, a_step_that_fails_keeps_its_entry_though_no_memory_is_left)
{
    unsigned done;

    grow(0);
    drop(0);
    step_fails = true;
    cr_assert_eq(drops_step(f.drops, 1, &done), -ENOMEM);
    no_memory = false;
    cr_assert_gt(pushed, 0);
    cr_assert_eq(drops_left(f.drops), pushed + 1);
    cr_assert_eq(done, 0);
}

/* A repair that saves damaged tables may lose one of several chunks. What stood behind it is worked
 * off once, and not again at each start. */
Test(drop, what_is_stored_behind_a_chunk_that_is_lost_is_replaced_as_well)
{
    uint8_t key[8] = {[7] = 1};
    struct kv_txn *t;

    for (unsigned i = 0; i < 2 * 4096 + 10; i++)
        cr_assert_eq(drops_push(f.drops, i + 1), 0);
    forest_commit(&f);
    cr_assert_eq(kv_txn_begin(f.kv, &t), 0);
    cr_assert_eq(kv_del(t, T_DROPS, key, sizeof key), 0);
    cr_assert_eq(kv_commit(t), 0);
    forest_crash(&f);
    cr_assert_eq(drops_left(f.drops), 4096 + 10);
    cr_assert_eq(drops_push(f.drops, 1), 0);
    forest_commit(&f);
    cr_assert_eq(stored_queue(), 4096 + 11);
}

/* A row that a damaged store may have: its sum is right, and its number is beyond all that there
 * can be. */
Test(drop, a_chunk_with_any_number_is_replaced, .timeout = 60)
{
    uint8_t key[8] = {0x7f}, page[8] = {3};
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(f.kv, &t), 0);
    cr_assert_eq(kv_put(t, T_DROPS, key, sizeof key, page, sizeof page), 0);
    cr_assert_eq(kv_commit(t), 0);
    forest_crash(&f);
    cr_assert_eq(drops_left(f.drops), 1);
    cr_assert_eq(drops_push(f.drops, 1), 0);
    forest_commit(&f);
    cr_assert_eq(stored_queue(), 2);
}

Test(drop, a_damaged_queue_is_an_error)
{
    struct drops *d;
    struct kv_txn *t;
    uint8_t key[8] = {0};
    grow(0);
    drop(0);
    forest_commit(&f);
    cr_assert_eq(kv_txn_begin(f.kv, &t), 0);
    cr_assert_eq(kv_put(t, T_DROPS, key, 8, "1234567", 7), 0);
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(drops_open(f.kv, T_DROPS, f.pages, f.refs, &d), -EUCLEAN);
}
