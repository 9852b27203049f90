// SPDX-License-Identifier: Apache-2.0
/* Claims of tree.h, but for tree_diff. */
#include "plant.h"

TREE_SUITE(tree);

/* ---- items ---- */

Test(tree, an_empty_one_has_no_page_and_nothing_is_found_in_it)
{
    struct tree_cursor c;
    cr_assert_eq(f.tree[0].root, 0);
    cr_assert_eq(what(0, 1), -ENOENT);
    cr_assert_eq(del(0, 1), -ENOENT);
    cr_assert_eq(tree_own(&f.tree[0], at(1)), -ENOENT);
    cr_assert_eq(tree_seek(&f.tree[0], at(0), &c), -ENOENT);
    tree_cursor_end(&c);
    branch(0, 1);
    cr_assert_eq(f.tree[1].root, 0);
}

Test(tree, what_is_put_is_got_and_what_is_put_again_replaces_it)
{
    put(0, 5, 'a');
    cr_assert_eq(what(0, 5), 'a');
    put(0, 5, 'b');
    cr_assert_eq(what(0, 5), 'b');
    cr_assert_eq(what(0, 4), -ENOENT);
    cr_assert_eq(count_items(0), 1);
}

Test(tree, a_buffer_too_small_is_told_the_length)
{
    uint8_t small[10];
    size_t len;
    put(0, 5, 'a');
    cr_assert_eq(tree_get(&f.tree[0], at(5), small, sizeof small, &len), -ERANGE);
    cr_assert_eq(len, 100);
}

Test(tree, values_of_every_length_to_a_quarter_page_are_kept_and_longer_ones_refused)
{
    for (size_t len = 0; len <= PAGE_VALUE_MAX; len += 4) {
        cr_assert_eq(put_len(0, len, 'v', len), 0);
        cr_assert_eq(what(0, len), len ? 'v' : 0);
    }
    cr_assert_eq(put_len(0, 1, 'v', PAGE_VALUE_MAX + 1), -EINVAL);
    cr_assert_eq(count_items(0), PAGE_VALUE_MAX / 4 + 1);
    settle();
}

Test(tree, rising_keys_fill_their_pages)
{
    put_many(0, 0, 10000, 'a');
    cr_assert_lt(settle(), 10000 * (100 + PAGE_SLOT) / PAGE_CAPACITY * 11 / 10);
    cr_assert_eq(count_items(0), 10000);
}

Test(tree, falling_and_scattered_keys_are_all_found)
{
    for (uint64_t n = 3000; n-- > 0;)
        put(0, n, 'a');
    for (uint64_t n = 0; n < 3000; n++)
        put(0, 5000 + n * 1009 % 3000, 'b');
    cr_assert_eq(count_items(0), 6000);
    cr_assert_eq(what(0, 0), 'a');
    cr_assert_eq(what(0, 7999), 'b');
    settle();
}

/* Where the halves are found by the old items alone, one has no room for the new one. */
Test(tree, a_large_value_between_large_values_finds_room)
{
    for (uint64_t where = 0; where < 4; where++) {
        for (uint64_t n = 0; n < 4; n++)
            cr_assert_eq(put_len(0, where * 100 + n * 2, 'a', n < 3 ? 2044 : 1948), 0);
        cr_assert_eq(put_len(0, where * 100 + where * 2 + 1, 'b', 2044), 0);
        cr_assert_eq(what(0, where * 100 + where * 2 + 1), 'b');
    }
    cr_assert_eq(count_items(0), 20);
    settle();
}

Test(tree, a_value_that_grows_on_a_full_page_keeps_its_neighbours)
{
    put_many(0, 0, 69, 'a');
    for (uint64_t n = 0; n < 69; n += 3)
        cr_assert_eq(put_len(0, n, 'b', 2000), 0);
    for (uint64_t n = 0; n < 69; n++)
        cr_assert_eq(what(0, n), n % 3 ? 'a' : 'b');
    settle();
}

/* When the first child goes, the second must not bound from below what comes next. */
Test(tree, keys_below_an_emptied_first_page_find_their_place)
{
    put_many(0, 1000, 2000, 'a');
    for (uint64_t n = 1000; n < 1100; n++)
        cr_assert_eq(del(0, n), 0);
    put_many(0, 0, 1000, 'b');
    cr_assert_eq(count_items(0), 1900);
    cr_assert_eq(what(0, 500), 'b');
    cr_assert_eq(what(0, 1500), 'a');
    settle();
}

Test(tree, deleting_everything_gives_back_every_page)
{
    put_many(0, 0, 5000, 'a');
    settle();
    for (uint64_t n = 0; n < 5000; n++)
        cr_assert_eq(del(0, n * 7 % 5000), 0);
    cr_assert_eq(f.tree[0].root, 0);
    cr_assert_eq(settle(), 0);
}

Test(tree, sparse_pages_are_joined)
{
    put_many(0, 0, 5000, 'a');
    for (uint64_t n = 0; n < 5000; n++)
        if (n % 20)
            cr_assert_eq(del(0, n), 0);
    cr_assert_lt(settle(), 20);
    cr_assert_eq(count_items(0), 250);
}

Test(tree, what_is_left_in_sparse_inner_pages_is_found)
{
    for (uint64_t n = 0; n < 4000; n++)
        cr_assert_eq(put_len(0, n, 'a', 2000), 0);
    cr_assert_geq(depth(0), 3);
    for (uint64_t n = 0; n < 4000; n++)
        if (n % 16)
            cr_assert_eq(del(0, n), 0);
    for (uint64_t n = 0; n < 4000; n += 16)
        cr_assert_eq(what(0, n), 'a');
    settle();
}

Test(tree, a_seek_finds_the_first_key_not_below)
{
    struct tree_cursor c;
    put_many(0, 100, 200, 'a');
    cr_assert_eq(tree_seek(&f.tree[0], at(50), &c), 0);
    cr_assert_eq(key_compare(tree_cursor_key(&c), at(100)), 0);
    tree_cursor_end(&c);
    cr_assert_eq(tree_seek(&f.tree[0], key_make(151, ITEM_DIRENT, 0), &c), 0);
    cr_assert_eq(key_compare(tree_cursor_key(&c), at(151)), 0);
    tree_cursor_end(&c);
    cr_assert_eq(tree_seek(&f.tree[0], at(200), &c), -ENOENT);
    tree_cursor_end(&c);
}

/* ---- objects ---- */

Test(tree, items_count_the_objects_they_name)
{
    uint64_t a = forest_object(&f), b = forest_object(&f);
    cr_assert_eq(put_object(0, 1, a), 0);
    cr_assert_eq(put_object(0, 2, a), 0);
    cr_assert_eq(forest_count(&f, a), 2);
    cr_assert_eq(put_object(0, 2, b), 0);
    cr_assert_eq(put_object(0, 2, b), 0);
    cr_assert_eq(forest_count(&f, a), 1);
    cr_assert_eq(forest_count(&f, b), 1);
    cr_assert_eq(tree_del(&f.tree[0], object_at(1)), 0);
    cr_assert_eq(forest_count(&f, a), 0);
}

Test(tree, an_item_that_names_an_unknown_object_is_refused_and_the_old_one_stays)
{
    uint64_t a = forest_object(&f);
    cr_assert_eq(put_object(0, 1, a), 0);
    cr_assert_eq(put_object(0, 1, 9999), -EUCLEAN);
    cr_assert_eq(object_of(0, 1), a);
    cr_assert_eq(forest_count(&f, a), 1);
}

Test(tree, an_item_that_is_put_again_may_name_what_is_lost_and_the_old_one_is_let_go)
{
    uint64_t a = forest_object(&f);
    uint8_t val[EXTENT_ITEM_LEN];

    extent_encode(&(struct extent){9999, 7}, val);
    cr_assert_eq(put_object(0, 1, a), 0);
    cr_assert_eq(put_object(0, 2, a), 0);
    cr_assert_eq(tree_put_again(&f.tree[0], object_at(1), val, sizeof val), 0);
    cr_assert_eq(object_of(0, 1), 9999);
    cr_assert_eq(forest_count(&f, a), 1);
    cr_assert_eq(tree_del(&f.tree[0], object_at(1)), 0);
}

Test(tree, an_item_that_keeps_its_object_changes_no_count)
{
    uint64_t a = forest_object(&f);
    cr_assert_eq(put_object(0, 1, a), 0);
    forest_commit(&f);
    cr_assert_eq(refs_changes(f.refs), 0);
    cr_assert_eq(put_object(0, 1, a), 0);
    cr_assert_eq(refs_changes(f.refs), 0, "nothing for the next commit");
    cr_assert_eq(forest_count(&f, a), 1);
    settle();
}

/* ---- branches ---- */

Test(tree, an_item_that_keeps_its_object_in_a_branch_counts_it_once_more)
{
    uint64_t a = forest_object(&f), target = forest_object(&f), alias;
    cr_assert_eq(refs_new(f.refs, &alias), 0);
    cr_assert_eq(put_object(0, 1, a), 0);
    cr_assert_eq(put_object(0, 2, alias), 0);
    cr_assert_eq(refs_seal_alias(f.refs, alias, target), 0);
    branch(0, 1);
    cr_assert_eq(put_object(1, 1, a), 0);
    cr_assert_eq(put_object(1, 2, alias), 0); /* the copy of the page names the target */
    cr_assert_eq(put_object(1, 2, alias), 0);
    cr_assert_eq(forest_count(&f, a), 2);
    cr_assert_eq(forest_count(&f, alias), 2);
    cr_assert_eq(forest_count(&f, target), 2);
    settle();
}

Test(tree, a_branch_changes_no_object_count_until_pages_part)
{
    uint64_t a = forest_object(&f), b = forest_object(&f);
    cr_assert_eq(put_object(0, 1, a), 0);
    for (uint64_t n = 2; n < 2000; n++)
        cr_assert_eq(put_object(0, n, b), 0);
    branch(0, 1);
    cr_assert_eq(forest_count(&f, a), 1);
    cr_assert_eq(forest_count(&f, b), 1998);
    put(1, 3000, 'x'); /* in the last leaf: the first one stays shared */
    cr_assert_eq(forest_count(&f, a), 1);
    cr_assert_gt(forest_count(&f, b), 1998);
    put(1, 0, 'x');
    cr_assert_eq(forest_count(&f, a), 2);
    settle();
}

Test(tree, a_write_to_a_branch_leaves_the_other_tree_as_it_was)
{
    put_many(0, 0, 1000, 'a');
    branch(0, 1);
    for (uint64_t n = 0; n < 1000; n += 3)
        put(1, n, 'b');
    for (uint64_t n = 1; n < 1000; n += 3)
        cr_assert_eq(del(1, n), 0);
    put_many(0, 2000, 2100, 'c');
    for (uint64_t n = 0; n < 1000; n++) {
        cr_assert_eq(what(0, n), 'a');
        cr_assert_eq(what(1, n), n % 3 == 0 ? 'b' : n % 3 == 1 ? -ENOENT : 'a');
    }
    cr_assert_eq(what(1, 2000), -ENOENT);
    settle();
}

Test(tree, the_first_write_after_a_branch_copies_one_path_and_the_second_nothing)
{
    uint64_t next;
    for (uint64_t n = 0; n < 2000; n++)
        cr_assert_eq(put_len(0, n, 'a', 2000), 0);
    cr_assert_eq(depth(0), 3);
    branch(0, 1);
    next = pages_next(f.pages);
    cr_assert_eq(put_len(1, 1000, 'b', 2000), 0);
    cr_assert_eq(pages_next(f.pages), next + 3);
    cr_assert_eq(put_len(1, 1000, 'c', 2000), 0);
    cr_assert_eq(pages_next(f.pages), next + 3);
    settle();
}

Test(tree, counts_of_pages_equal_their_parents_and_roots)
{
    uint32_t count;
    put_many(0, 0, 500, 'a');
    branch(0, 1);
    branch(1, 2);
    cr_assert_eq(pages_get_count(f.pages, f.tree[0].root, &count), 0);
    cr_assert_eq(count, 3);
    put(2, 0, 'b');
    cr_assert_eq(pages_get_count(f.pages, f.tree[0].root, &count), 0);
    cr_assert_eq(count, 2);
    cr_assert_eq(pages_get_count(f.pages, child(0, 1), &count), 0);
    cr_assert_eq(count, 2, "the copied root and the old one");
    cr_assert_eq(pages_get_count(f.pages, child(2, 0), &count), 0);
    cr_assert_eq(count, 1);
    settle();
}

Test(tree, put_owned_replaces_only_what_is_there_and_not_shared)
{
    put(0, 1, 'a');
    cr_assert_eq(tree_put_owned(&f.tree[0], at(1), "b", 1), 0);
    cr_assert_eq(what(0, 1), 'b');
    cr_assert_eq(tree_put_owned(&f.tree[0], at(2), "b", 1), -ENOENT);
    branch(0, 1);
    cr_assert_eq(tree_put_owned(&f.tree[0], at(1), "c", 1), -EAGAIN);
    cr_assert_eq(what(0, 1), 'b');
    cr_assert_eq(f.tree[0].root, f.tree[1].root);
}

Test(tree, owning_an_item_counts_its_object_for_this_tree_alone)
{
    uint64_t a = forest_object(&f);
    cr_assert_eq(put_object(0, 1, a), 0);
    branch(0, 1);
    cr_assert_eq(tree_own(&f.tree[1], object_at(1)), 0);
    cr_assert_eq(forest_count(&f, a), 2);
    cr_assert_neq(f.tree[0].root, f.tree[1].root);
    cr_assert_eq(tree_own(&f.tree[1], object_at(2)), -ENOENT);
    settle();
}

Test(tree, a_copy_names_the_target_and_the_alias_keeps_the_old_items)
{
    uint64_t target = forest_object(&f), n;
    cr_assert_eq(refs_new(f.refs, &n), 0);
    cr_assert_eq(put_object(0, 1, n), 0);
    cr_assert_eq(refs_seal_alias(f.refs, n, target), 0);
    branch(0, 1);
    put(1, 1, 'x');
    cr_assert_eq(object_of(0, 1), n);
    cr_assert_eq(object_of(1, 1), target);
    cr_assert_eq(forest_count(&f, n), 1);
    cr_assert_eq(forest_count(&f, target), 2);
    settle();
}

/* ---- commits ---- */

Test(tree, a_crash_gives_the_trees_of_the_last_commit)
{
    put_many(0, 0, 1000, 'a');
    forest_commit(&f);
    put_many(0, 500, 1500, 'b');
    branch(0, 1);
    forest_crash(&f);
    cr_assert_eq(count_items(0), 1000);
    cr_assert_eq(what(0, 700), 'a');
    cr_assert_eq(f.tree[1].root, 0);
    recount(&f);
}

Test(tree, what_changes_during_a_commit_is_not_in_it)
{
    put_many(0, 0, 1000, 'a');
    forest_freeze(&f);
    put_many(0, 0, 500, 'b');
    for (uint64_t n = 500; n < 1000; n++)
        cr_assert_eq(del(0, n), 0);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(what(0, 0), 'b');
    forest_crash(&f);
    for (uint64_t n = 0; n < 1000; n++)
        cr_assert_eq(what(0, n), 'a');
    recount(&f);
}

Test(tree, a_commit_that_failed_is_tried_again_and_later_changes_wait_for_the_next)
{
    put_many(0, 0, 300, 'a');
    forest_freeze(&f);
    put_many(0, 0, 300, 'b');
    forest_fail_next_commit(&f);
    cr_assert_eq(forest_write(&f), -ENOSPC);
    put_many(0, 0, 300, 'c');
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    forest_crash(&f);
    cr_assert_eq(what(0, 0), 'a');
    put(0, 0, 'd');
    settle();
    forest_crash(&f);
    cr_assert_eq(what(0, 0), 'd');
}

/* ---- damage ---- */

Test(tree, a_damaged_page_is_an_error_with_a_report_never_data)
{
    struct tree_cursor c;
    put_many(0, 0, 1000, 'a');
    forest_commit(&f);
    forest_crash(&f);
    damage(child(0, 2));
    cr_assert_eq(what(0, 0), 'a');
    cr_assert_eq(what(0, 150), -EUCLEAN);
    cr_assert_eq(put_len(0, 150, 'b', 9), -EUCLEAN);
    cr_assert_eq(del(0, 150), -EUCLEAN);
    cr_assert_eq(tree_seek(&f.tree[0], at(150), &c), -EUCLEAN);
    tree_cursor_end(&c);
    cr_assert_eq(report_count(REPORT_ALARM), 4);
    cr_assert_eq(what(0, 999), 'a');
}

/* Else nobody could ever remove a file whose object's entry is bad. */
Test(tree, an_item_whose_object_cannot_be_released_goes_and_the_leak_is_reported)
{
    uint8_t key[8];
    uint64_t a = forest_object(&f);
    cr_assert_eq(put_object(0, 1, a), 0);
    cr_assert_eq(put_object(0, 2, a), 0);
    forest_commit(&f);
    forest_crash(&f);
    put_be64(key, a);
    cr_assert_eq(kv_mem_flip(f.mem, T_OBJECTS, key, 8, 0, 7), 0);
    cr_assert_eq(tree_del(&f.tree[0], object_at(1)), 0);
    cr_assert_eq(tree_put(&f.tree[0], object_at(2), "", 0), 0);
    cr_assert_eq(tree_own(&f.tree[0], object_at(1)), -ENOENT);
    cr_assert_eq(report_count(REPORT_WARN), 2);
}

/* A page in good order that names itself: its checksum says nothing about that. */
Test(tree, a_page_that_leads_in_a_circle_is_an_error, .timeout = 60)
{
    struct tree_page *p;
    uint8_t number[8];
    struct tree_cursor c;
    cr_assert_eq(pages_new(f.pages, 1, &p), 0);
    put_le64(number, p->no);
    cr_assert(page_insert(p->data, 0, (struct key){0, 0}, number, 8));
    f.tree[0].root = p->no;
    pages_put(f.pages, p);
    cr_assert_eq(what(0, 1), -EUCLEAN);
    cr_assert_eq(put_len(0, 1, 'a', 1), -EUCLEAN);
    cr_assert_eq(tree_seek(&f.tree[0], at(1), &c), -EUCLEAN);
    tree_cursor_end(&c);
}
