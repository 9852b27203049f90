// SPDX-License-Identifier: Apache-2.0
/* Claims of tree_diff. */
#include "plant.h"

TREE_SUITE(diff);

struct told {
    unsigned calls, only_a, only_b, both;
    struct key last;
};

static int note(struct key k, const void *a, size_t alen, const void *b, size_t blen, void *ctx)
{
    struct told *t = ctx;
    cr_assert(t->calls == 0 || key_compare(t->last, k) < 0, "in order, each once");
    cr_assert(a || b);
    cr_assert(!a || !b || alen != blen || memcmp(a, b, alen));
    t->last = k;
    t->calls++;
    t->only_a += !b;
    t->only_b += !a;
    t->both += a && b;
    return 0;
}

static struct told diff(unsigned a, unsigned b)
{
    struct told t = {0};
    cr_assert_eq(tree_diff(&f.tree[a], &f.tree[b], note, &t), 0);
    return t;
}

Test(diff, a_branch_differs_in_nothing)
{
    put_many(0, 0, 1000, 'a');
    branch(0, 1);
    cr_assert_eq(diff(0, 1).calls, 0);
    cr_assert_eq(diff(2, 3).calls, 0);
}

Test(diff, trees_made_apart_with_the_same_items_differ_in_nothing)
{
    put_many(0, 0, 1000, 'a');
    for (uint64_t n = 1000; n-- > 0;)
        put(1, n, 'a');
    cr_assert_eq(diff(0, 1).calls, 0);
}

Test(diff, what_was_added_removed_and_changed_is_told_from_both_sides)
{
    put_many(0, 0, 1000, 'a');
    branch(0, 1);
    put(1, 2000, 'b');
    put(1, 500, 'b');
    cr_assert_eq(put_len(1, 501, 'a', 99), 0);
    cr_assert_eq(del(1, 100), 0);
    struct told t = diff(0, 1);
    cr_assert(t.calls == 4 && t.only_a == 1 && t.only_b == 1 && t.both == 2);
    t = diff(1, 0);
    cr_assert(t.calls == 4 && t.only_a == 1 && t.only_b == 1 && t.both == 2);
}

Test(diff, one_empty_tree_tells_all_of_the_other)
{
    put_many(0, 0, 1000, 'a');
    cr_assert_eq(diff(0, 1).only_a, 1000);
    cr_assert_eq(diff(1, 0).only_b, 1000);
}

Test(diff, trees_of_different_height_are_compared)
{
    for (uint64_t n = 0; n < 2000; n++)
        cr_assert_eq(put_len(0, n, 'a', 2000), 0);
    branch(0, 1);
    for (uint64_t n = 0; n < 2000; n++)
        if (n != 1234)
            cr_assert_eq(del(1, n), 0);
    cr_assert_neq(depth(0), depth(1));
    cr_assert_eq(diff(0, 1).only_a, 1999);
    cr_assert_eq(diff(1, 0).calls, 1999);
}

/* Cold cache, and every page both share damaged: who touches one fails. */
Test(diff, pages_both_trees_share_are_not_even_read)
{
    put_many(0, 0, 5000, 'a');
    branch(0, 1);
    put(1, 2500, 'b');
    put_many(1, 5000, 5003, 'c');
    forest_commit(&f);
    forest_crash(&f);
    unsigned damaged = 0, slots = children(0);
    for (unsigned i = 0; i < slots; i++)
        if (child(0, i) == child(1, i)) {
            damage(child(0, i));
            damaged++;
        }
    cr_assert_eq(damaged, slots - 2);
    struct told t = diff(0, 1);
    cr_assert(t.calls == 4 && t.both == 1 && t.only_b == 3);
    cr_assert_eq(report_count(REPORT_ALARM), 0);
}

Test(diff, a_damaged_page_that_differs_is_an_error)
{
    struct told t = {0};
    put_many(0, 0, 1000, 'a');
    branch(0, 1);
    put(1, 0, 'b');
    forest_commit(&f);
    forest_crash(&f);
    damage(child(1, 0));
    cr_assert_eq(tree_diff(&f.tree[0], &f.tree[1], note, &t), -EUCLEAN);
}

static int stop(struct key k, const void *a, size_t alen, const void *b, size_t blen, void *ctx)
{
    (void)k;
    (void)a;
    (void)alen;
    (void)b;
    (void)blen;
    return ++*(int *)ctx == 3 ? 17 : 0;
}

Test(diff, it_stops_when_it_is_told_to)
{
    int calls = 0;
    put_many(0, 0, 100, 'a');
    cr_assert_eq(tree_diff(&f.tree[0], &f.tree[1], stop, &calls), 17);
    cr_assert_eq(calls, 3);
}
