// SPDX-License-Identifier: Apache-2.0
/* Claims of page.h and key.h. */
#include "fault.h"
#include "id.h"
#include "page.h"

#include <criterion/criterion.h>
#include <errno.h>

static uint8_t p[PAGE_SIZE_BYTES], q[PAGE_SIZE_BYTES];

static struct key k(uint64_t n)
{
    return key_make(n, ITEM_SYMLINK, n * 3);
}

static bool put(uint64_t n, size_t len)
{
    uint8_t val[PAGE_VALUE_MAX];
    bool found;
    unsigned i = page_search(p, k(n), &found);
    memset(val, (int)n, sizeof val);
    return found ? page_replace(p, i, val, len) : page_insert(p, i, k(n), val, len);
}

static bool del(uint64_t n)
{
    bool found;
    unsigned i = page_search(p, k(n), &found);
    if (found)
        page_remove(p, i);
    return found;
}

static size_t length_of(uint64_t n)
{
    bool found;
    unsigned i = page_search(p, k(n), &found);
    size_t len;
    const uint8_t *v;
    cr_assert(found);
    v = page_value(p, i, &len);
    for (size_t b = 0; b < len; b++)
        cr_assert_eq(v[b], (uint8_t)n);
    return len;
}

static int check(uint8_t *page)
{
    const char *why = NULL;
    page_seal(page);
    return page_check(page, page_number(page), &why);
}

Test(key, bytes_sort_as_keys_do_and_come_back)
{
    struct key keys[] = {{0, 0},
                         {0, 1},
                         {0, UINT64_MAX},
                         key_make(1, ITEM_INODE, 0),
                         key_make(1, ITEM_EXTENT, 1),
                         key_make(2, ITEM_INODE, 0),
                         key_make(KEY_INO_MAX, ITEM_EXTENT, UINT64_MAX)};
    for (size_t i = 0; i < 7; i++) {
        uint8_t a[KEY_LEN], b[KEY_LEN];
        key_encode(keys[i], a);
        cr_assert_eq(key_compare(key_decode(a), keys[i]), 0);
        for (size_t j = 0; j < 7; j++) {
            key_encode(keys[j], b);
            cr_assert_eq((memcmp(a, b, KEY_LEN) > 0) - (memcmp(a, b, KEY_LEN) < 0),
                         key_compare(keys[i], keys[j]));
        }
    }
    cr_assert_eq(key_ino(keys[6]), KEY_INO_MAX);
    cr_assert_eq(key_type(keys[6]), ITEM_EXTENT);
}

Test(page, a_new_one_is_empty_and_in_order)
{
    page_init(p, 77, 0);
    cr_assert_eq(page_count(p), 0);
    cr_assert_eq(page_number(p), 77);
    cr_assert_eq(page_used(p), 0);
    cr_assert_eq(check(p), 0);
}

Test(page, values_come_back_sorted_by_key_whatever_the_order_they_came_in)
{
    page_init(p, 1, 0);
    for (uint64_t n = 0; n < 100; n++)
        cr_assert(put(n * 37 % 100, n * 37 % 100 % 60));
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(key_compare(page_key(p, i), k(i)), 0);
        cr_assert_eq(length_of(i), i % 60);
    }
    cr_assert_eq(check(p), 0);
}

Test(page, a_full_one_refuses_and_stays_as_it_was)
{
    page_init(p, 1, 0);
    for (uint64_t n = 0; n < 3; n++)
        cr_assert(put(n, PAGE_VALUE_MAX));
    cr_assert(put(3, 1948));
    cr_assert_eq(page_used(p), PAGE_CAPACITY);
    memcpy(q, p, sizeof q);
    cr_assert(!page_fits(p, 0));
    cr_assert(!put(4, 0));
    cr_assert(!put(3, 1949));
    cr_assert_arr_eq(p, q, sizeof q);
    cr_assert(put(3, 1947));
    cr_assert_eq(check(p), 0);
}

Test(page, room_in_pieces_is_put_together)
{
    page_init(p, 1, 0);
    for (uint64_t n = 0; n < 68; n++)
        cr_assert(put(n, 100));
    for (uint64_t n = 0; n < 68; n += 2)
        cr_assert(del(n));
    cr_assert(put(500, 2000));
    cr_assert(put(501, 1900));
    for (uint64_t n = 1; n < 68; n += 2)
        cr_assert_eq(length_of(n), 100);
    cr_assert_eq(length_of(500), 2000);
    cr_assert_eq(check(p), 0);
}

Test(page, an_empty_value_is_in_order_whatever_becomes_of_its_neighbours)
{
    page_init(p, 1, 0);
    cr_assert(put(1, 10));
    cr_assert(put(2, 0));
    cr_assert(del(1));
    cr_assert_eq(check(p), 0);
    cr_assert_eq(length_of(2), 0);
    cr_assert(put(2, 5) && put(2, 0) && put(2, 0));
    cr_assert_eq(check(p), 0);
    cr_assert_eq(page_used(p), PAGE_SLOT);
}

Test(page, the_child_that_covers_a_key_is_the_last_not_above_it)
{
    uint8_t number[8] = {1};
    page_init(p, 1, 1);
    for (unsigned i = 0; i < 5; i++)
        cr_assert(page_insert(p, i, k(i * 10), number, 8));
    cr_assert_eq(page_search_child(p, (struct key){0, 0}), 0);
    cr_assert_eq(page_search_child(p, k(10)), 1);
    cr_assert_eq(page_search_child(p, k(19)), 1);
    cr_assert_eq(page_search_child(p, k(99)), 4);
    cr_assert_eq(check(p), 0);
}

Test(page, a_tail_moves_whole_and_in_order)
{
    page_init(p, 1, 0);
    page_init(q, 2, 0);
    for (uint64_t n = 0; n < 50; n++)
        cr_assert(put(n, 30));
    page_move_tail(p, 20, q);
    cr_assert(page_count(p) == 20 && page_count(q) == 30);
    cr_assert_eq(key_compare(page_key(q, 0), k(20)), 0);
    cr_assert(check(p) == 0 && check(q) == 0);
}

Test(page, random_changes_do_what_an_array_does)
{
    size_t length[64];
    bool there[64] = {false};
    uint64_t seed = 7;
    page_init(p, 1, 0);
    for (unsigned step = 0; step < 100000; step++) {
        uint64_t r = fault_random(&seed) >> 8, n = r % 64;
        size_t len = (r >> 20) % (r >> 40 & 1 ? 40 : PAGE_VALUE_MAX + 1);
        if (r >> 41 & 1) {
            bool fits = page_used(p) + len + (there[n] ? 0 : PAGE_SLOT) <=
                        PAGE_CAPACITY + (there[n] ? length[n] : 0);
            cr_assert_eq(put(n, len), fits);
            length[n] = fits ? len : length[n];
            there[n] |= fits;
        } else {
            cr_assert_eq(del(n), there[n]);
            there[n] = false;
        }
        if (there[n])
            cr_assert_eq(length_of(n), length[n]);
        if (step % 50 == 0)
            cr_assert_eq(check(p), 0);
    }
    for (unsigned n = 0; n < 64; n++)
        cr_assert(!there[n] || length_of(n) == length[n]);
}

/* ---- bytes that are not trusted ---- */

static void some_page(unsigned level)
{
    page_init(p, 9, level);
    for (uint64_t n = 0; n < 20; n++)
        cr_assert(put(n, 8));
    page_seal(p);
    cr_assert_eq(page_check(p, 9, NULL), 0);
}

Test(page, every_flipped_bit_of_a_sealed_one_is_found)
{
    some_page(0);
    for (size_t bit = 0; bit < (size_t)PAGE_SIZE_BYTES * 8; bit++) {
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(page_check(p, 9, NULL), -EUCLEAN);
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(page_check(p, 9, NULL), 0);
}

Test(page, a_sealed_one_in_the_place_of_another_is_found)
{
    some_page(0);
    cr_assert_eq(page_check(p, 10, NULL), -EUCLEAN);
}

/* Sealed all the same: what is wrong must be found behind a right checksum. */
static void found(size_t at, unsigned value, const char *what)
{
    const char *why = "nothing";
    uint16_t old = get_le16(p + at);
    put_le16(p + at, (uint16_t)value);
    page_seal(p);
    cr_assert_eq(page_check(p, page_number(p), &why), -EUCLEAN);
    cr_assert_str_eq(why, what);
    put_le16(p + at, old);
    page_seal(p);
}

Test(page, what_is_wrong_behind_a_right_checksum_is_named)
{
    size_t slot2 = PAGE_HEAD + 2 * PAGE_SLOT;
    some_page(0);
    found(16, 1 << 8 | (PAGE_LEVEL_MAX + 1), "unknown version or level");
    found(16, 2 << 8, "unknown version or level");
    found(18, 5000, "slots run into the heap");
    found(20, 9000, "slots run into the heap");
    found(20, 30, "slots run into the heap");
    found(22, 1, "the heap does not add up");
    found(slot2 + 14, 9000, "a value lies outside of the page");
    found(slot2 + 14, PAGE_SIZE_BYTES - 4, "a value lies outside of the page");
    found(slot2 + 14, get_le16(p + slot2 + 14) + 3u, "two values overlap");
    found(slot2 + 16, PAGE_VALUE_MAX + 1, "a value lies outside of the page");
    found(slot2 + 16, 7, "the heap does not add up");
    found(slot2 + 4, 0xffff, "keys are out of order");
    some_page(1);
    found(slot2 + 16, 7, "a child number is not 8 bytes");
    page_init(p, 9, 1);
    found(22, 0, "an inner page without children");
}
