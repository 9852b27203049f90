// SPDX-License-Identifier: Apache-2.0
/* Claims of map64.h. */
#include "fault.h"
#include "map64.h"

#include <criterion/criterion.h>

Test(map64, an_empty_one_holds_nothing_and_needs_no_release)
{
    struct map64 m = MAP64_INIT;
    uint64_t v = 7, k;
    size_t at = 0;
    cr_assert(!map64_get(&m, 1, &v));
    cr_assert(!map64_del(&m, 1));
    cr_assert(!map64_next(&m, &at, &k, &v));
    cr_assert_eq(v, 7, "untouched");
}

Test(map64, what_is_put_is_got_and_what_is_put_again_replaces_it)
{
    struct map64 m = MAP64_INIT;
    uint64_t v;
    cr_assert_eq(map64_put(&m, 5, 1), 0);
    cr_assert_eq(map64_put(&m, 5, 2), 0);
    cr_assert(map64_get(&m, 5, &v));
    cr_assert_eq(v, 2);
    cr_assert_eq(m.count, 1);
    map64_release(&m);
    cr_assert(!map64_get(&m, 5, &v));
}

Test(map64, adding_to_an_absent_key_starts_at_zero_and_a_zero_stays_an_entry)
{
    struct map64 m = MAP64_INIT;
    uint64_t v;
    cr_assert_eq(map64_add(&m, 5, 3, &v), 0);
    cr_assert_eq(v, 3);
    cr_assert_eq(map64_add(&m, 5, -3, &v), 0);
    cr_assert_eq(v, 0);
    cr_assert(map64_get(&m, 5, &v));
    cr_assert(map64_del(&m, 5));
    cr_assert(!map64_get(&m, 5, &v));
    map64_release(&m);
}

#define KEYS 3000
static uint64_t value[KEYS + 1];
static bool there[KEYS + 1];

/* Neighbours and far keys alike, so that runs of taken slots wrap and part. */
static uint64_t key_of(unsigned i)
{
    return i % 3 ? i : (uint64_t)i << 40;
}

static void compare(const struct map64 *m)
{
    size_t at = 0, met = 0, count = 0;
    uint64_t k, v;
    for (unsigned i = 1; i <= KEYS; i++) {
        bool found = map64_get(m, key_of(i), &v);
        cr_assert(found == there[i] && (!found || v == value[i]));
        count += there[i];
    }
    while (map64_next(m, &at, &k, &v)) {
        unsigned i = (unsigned)(k > KEYS ? k >> 40 : k);
        cr_assert(there[i] && v == value[i]);
        met++;
    }
    cr_assert(met == count && m->count == count);
}

Test(map64, it_does_what_an_array_does)
{
    struct map64 m = MAP64_INIT;
    uint64_t seed = 42;
    for (unsigned step = 0; step < 200000; step++) {
        uint64_t r = fault_random(&seed) >> 8;
        unsigned i = 1 + (unsigned)(r % KEYS), what = (unsigned)(r >> 32) % 10;
        if (what < (step / 20000 % 2 ? 3u : 7u)) {
            cr_assert_eq(map64_put(&m, key_of(i), r), 0);
            value[i] = r;
            there[i] = true;
        } else {
            cr_assert_eq(map64_del(&m, key_of(i)), there[i]);
            there[i] = false;
        }
        if (step % 10000 == 0)
            compare(&m);
    }
    compare(&m);
    map64_release(&m);
}

Test(map64, with_room_for_so_many_the_table_never_moves)
{
    struct map64 m = MAP64_INIT;
    const struct map64_slot *slots;

    cr_assert_eq(map64_reserve(&m, KEYS), 0);
    slots = m.slots;
    cr_assert_not_null(slots);
    for (unsigned i = 1; i <= KEYS; i++)
        cr_assert_eq(map64_put(&m, key_of(i), i), 0);
    for (unsigned i = 1; i <= KEYS; i++) {
        cr_assert(map64_del(&m, key_of(i)));
        cr_assert_eq(map64_put(&m, key_of(KEYS + i), i), 0);
    }
    cr_assert_eq(m.slots, slots);
    map64_release(&m);
}
