// SPDX-License-Identifier: Apache-2.0
/* Claims of pages.h. */
#include "plant.h"

TREE_SUITE(pages);

static uint64_t new_page(uint8_t byte)
{
    struct tree_page *p;
    uint64_t no;
    cr_assert_eq(pages_new(f.pages, 0, &p), 0);
    cr_assert(page_insert(p->data, 0, at(1), &byte, 1));
    no = p->no;
    pages_put(f.pages, p);
    return no;
}

static int byte_of(uint64_t no)
{
    struct tree_page *p;
    size_t len;
    int err = pages_get(f.pages, no, &p);
    if (err < 0)
        return err;
    err = *page_value(p->data, 0, &len);
    pages_put(f.pages, p);
    return err;
}

/* The byte that the committed table has. */
static int stored_byte(uint64_t no)
{
    uint8_t key[8], data[PAGE_SIZE_BYTES];
    size_t len;
    int err;
    put_be64(key, no);
    err = kv_get(f.kv, T_PAGES, key, sizeof key, data, sizeof data, &len);
    return err < 0 ? err : *page_value(data, 0, &len);
}

static void change(uint64_t no, uint8_t byte)
{
    struct tree_page *p;
    cr_assert_eq(pages_get(f.pages, no, &p), 0);
    cr_assert_eq(pages_modify(f.pages, p), 0);
    cr_assert(page_replace(p->data, 0, &byte, 1));
    pages_put(f.pages, p);
}

static int add(uint64_t no, int delta)
{
    uint32_t count;
    int err = pages_add_count(f.pages, no, delta, &count);
    return err < 0 ? err : (int)count;
}

/* How many of these pages are in memory: others, damaged on disk, cannot be read. */
static unsigned cached(uint64_t first, unsigned count)
{
    unsigned n = 0;
    for (uint64_t no = first; no < first + count; no++)
        damage(no);
    for (uint64_t no = first; no < first + count; no++)
        n += byte_of(no) >= 0;
    return n;
}

Test(pages, a_new_one_is_dirty_has_count_one_and_a_number_of_its_own)
{
    uint64_t a = new_page('a'), b = new_page('b');
    uint32_t count;
    cr_assert_neq(a, b);
    cr_assert_eq(pages_get_count(f.pages, a, &count), 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(pages_dirty_bytes(f.pages), (size_t)2 * PAGE_SIZE_BYTES);
    forest_commit(&f);
    cr_assert_eq(pages_dirty_bytes(f.pages), 0);
    forest_crash(&f);
    cr_assert_eq(byte_of(a), 'a');
    cr_assert_eq(byte_of(b), 'b');
    cr_assert_gt(new_page('c'), b, "numbers are never used again");
}

Test(pages, at_most_so_many_clean_ones_stay_in_memory)
{
    uint64_t first = new_page('a');
    f.cache_bytes = 32 * (PAGE_SIZE_BYTES + sizeof(struct tree_page));
    for (int i = 1; i < 500; i++)
        new_page('a');
    pages_set_cache(f.pages, f.cache_bytes);
    forest_commit(&f);
    cr_assert_leq(cached(first, 500), 32);
}

Test(pages, reading_many_keeps_the_cache_bounded)
{
    uint64_t first = new_page('a');
    for (int i = 1; i < 500; i++)
        new_page('a');
    f.cache_bytes = 32 * (PAGE_SIZE_BYTES + sizeof(struct tree_page));
    forest_commit(&f);
    forest_crash(&f);
    for (uint64_t no = first; no < first + 500; no++)
        cr_assert_eq(byte_of(no), 'a');
    unsigned n = cached(first, 500);
    cr_assert(n > 0 && n <= 32);
}

Test(pages, dirty_ones_stay_whatever_the_cache_may_hold)
{
    uint64_t first = new_page('a');
    pages_set_cache(f.pages, 0);
    for (int i = 1; i < 300; i++)
        new_page('a');
    for (uint64_t no = first; no < first + 300; no++)
        cr_assert_eq(byte_of(no), 'a');
}

Test(pages, a_count_above_one_is_stored_and_one_is_not)
{
    uint64_t a = new_page('a');
    struct kv_snap *s;
    uint64_t n;
    cr_assert_eq(add(a, 1), 2);
    cr_assert_eq(add(a, 1), 3);
    forest_commit(&f);
    forest_crash(&f);
    cr_assert_eq(add(a, -1), 2);
    cr_assert_eq(add(a, -1), 1);
    forest_commit(&f);
    cr_assert_eq(kv_snap_begin(f.kv, &s), 0);
    cr_assert_eq(kv_snap_count(s, T_COUNTS, &n), 0);
    kv_snap_end(s);
    cr_assert_eq(n, 0);
    cr_assert_eq(add(a, -1), 0);
}

Test(pages, a_count_neither_overflows_nor_falls_below_zero)
{
    uint64_t a = new_page('a');
    cr_assert_eq(pages_add_count(f.pages, a, INT32_MAX, NULL), 0);
    cr_assert_eq(pages_add_count(f.pages, a, INT32_MAX, NULL), 0);
    cr_assert_eq(pages_add_count(f.pages, a, 1, NULL), -EOVERFLOW);
    cr_assert_eq(pages_add_count(f.pages, new_page('b'), -2, NULL), -EOVERFLOW);
}

Test(pages, a_pinned_page_shows_the_count_as_it_changes)
{
    struct tree_page *p;
    uint64_t a = new_page('a');
    cr_assert_eq(pages_get(f.pages, a, &p), 0);
    cr_assert_eq(add(a, 1), 2);
    cr_assert_eq(atomic_load(&p->count), 2);
    pages_put(f.pages, p);
}

Test(pages, a_frozen_page_that_changes_keeps_its_old_bytes_in_the_commit)
{
    uint64_t a = new_page('a');
    forest_freeze(&f);
    change(a, 'b');
    change(a, 'c');
    cr_assert_eq(byte_of(a), 'c');
    cr_assert_eq(pages_dirty_bytes(f.pages), (size_t)2 * PAGE_SIZE_BYTES);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(byte_of(a), 'c');
    forest_crash(&f);
    cr_assert_eq(byte_of(a), 'a');
}

Test(pages, a_page_in_several_batches_has_in_each_the_bytes_it_had_then)
{
    uint64_t a = new_page('a');
    forest_freeze(&f);
    change(a, 'b');
    forest_freeze(&f);
    change(a, 'c');
    forest_freeze(&f);
    cr_assert_eq(pages_dirty_bytes(f.pages), (size_t)3 * PAGE_SIZE_BYTES);
    cr_assert_eq(byte_of(a), 'c');
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(pages_dirty_bytes(f.pages), (size_t)2 * PAGE_SIZE_BYTES);
    cr_assert_eq(stored_byte(a), 'a');
    cr_assert_eq(forest_write_some(&f, 2), 0);
    cr_assert_eq(stored_byte(a), 'c');
    forest_retire_some(&f, 2);
    cr_assert_eq(pages_dirty_bytes(f.pages), 0);
    forest_crash(&f);
    cr_assert_eq(byte_of(a), 'c');
}

Test(pages, a_page_untouched_since_two_freezes_is_in_the_first_only)
{
    uint64_t a = new_page('a'), b = new_page('x');
    forest_freeze(&f);
    change(b, 'y');
    forest_freeze(&f);
    change(a, 'b');
    cr_assert_eq(pages_dirty_bytes(f.pages), (size_t)4 * PAGE_SIZE_BYTES);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(stored_byte(a), 'a');
    cr_assert_eq(stored_byte(b), 'x');
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(stored_byte(a), 'a');
    cr_assert_eq(stored_byte(b), 'y');
    forest_commit(&f);
    cr_assert_eq(stored_byte(a), 'b');
}

Test(pages, a_page_freed_between_two_batches_is_in_the_first_and_gone_with_the_second)
{
    uint64_t a = new_page('a');
    forest_freeze(&f);
    change(a, 'b');
    cr_assert_eq(pages_free(f.pages, a), 0);
    forest_freeze(&f);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(stored_byte(a), 'a');
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    cr_assert_eq(stored_byte(a), -ENOENT);
    cr_assert_eq(pages_dirty_bytes(f.pages), 0);
}

Test(pages, there_are_as_many_batches_as_there_may_be_and_no_more)
{
    uint64_t a = new_page('a');
    for (unsigned i = 0; i < LAYER_BATCHES_MAX; i++) {
        change(a, (uint8_t)('a' + i % 26));
        forest_freeze(&f);
    }
    cr_assert_eq(pages_freeze(f.pages), -EBUSY);
    cr_assert_eq(forest_write_some(&f, LAYER_BATCHES_MAX), 0);
    forest_retire_some(&f, LAYER_BATCHES_MAX);
    cr_assert_eq(stored_byte(a), 'a' + (LAYER_BATCHES_MAX - 1) % 26);
    forest_commit(&f);
}

Test(pages, a_freed_page_can_be_read_while_it_is_pinned_and_is_gone_after_the_commit)
{
    struct tree_page *p;
    uint64_t a = new_page('a');
    size_t len;
    forest_commit(&f);
    cr_assert_eq(pages_get(f.pages, a, &p), 0);
    cr_assert_eq(pages_free(f.pages, a), 0);
    cr_assert_eq(*page_value(p->data, 0, &len), 'a');
    pages_put(f.pages, p);
    forest_commit(&f);
    cr_assert_eq(byte_of(a), -EUCLEAN);
    cr_assert_eq(report_count(REPORT_ALARM), 1);
}

Test(pages, a_page_freed_during_a_commit_that_writes_it_goes_with_the_next)
{
    uint64_t a = new_page('a');
    forest_freeze(&f);
    change(a, 'b');
    cr_assert_eq(pages_free(f.pages, a), 0);
    cr_assert_eq(forest_write(&f), 0);
    forest_retire(&f);
    forest_commit(&f);
    cr_assert_eq(recount(&f), 0);
    cr_assert_eq(pages_dirty_bytes(f.pages), 0);
}

Test(pages, a_page_made_and_freed_between_two_commits_is_never_written)
{
    uint64_t a = new_page('a');
    cr_assert_eq(pages_free(f.pages, a), 0);
    cr_assert_eq(settle(), 0);
    cr_assert_eq(pages_dirty_bytes(f.pages), 0);
}

Test(pages, a_damaged_and_a_missing_page_are_errors_with_their_number_in_a_report)
{
    char said[1][REPORT_TEXT];
    uint64_t a = new_page('a');
    forest_commit(&f);
    forest_crash(&f);
    damage(a);
    cr_assert_eq(byte_of(a), -EUCLEAN);
    cr_assert_eq(report_recent(REPORT_ALARM, said, 1), 1);
    cr_assert_not_null(strstr(said[0], "page 1 "));
    cr_assert_eq(byte_of(77), -EUCLEAN);
    cr_assert_eq(report_recent(REPORT_ALARM, said, 1), 1);
    cr_assert_not_null(strstr(said[0], "page 77 "));
}
