// SPDX-License-Identifier: Apache-2.0
/* Claims of array.h. */
#include "array.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

Test(array, what_was_there_stays_when_it_grows)
{
    uint32_t *v = NULL;
    size_t room = 0;

    for (uint32_t i = 0; i < 10000; i++) {
        cr_assert_eq(ARRAY_RESERVE(v, room, i + 1), 0);
        cr_assert_gt(room, i);
        v[i] = i;
    }
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert_eq(v[i], i);
    free(v);
}

Test(array, room_that_is_enough_is_left_alone)
{
    char *v = NULL, *before;
    size_t room = 0;

    cr_assert_eq(ARRAY_RESERVE(v, room, 1000), 0);
    before = v;
    cr_assert_eq(ARRAY_RESERVE(v, room, room), 0);
    cr_assert_eq(v, before);
    free(v);
}

Test(array, more_than_there_can_be_is_no_memory_and_changes_nothing)
{
    uint64_t *v = NULL;
    size_t room = 0;

    cr_assert_eq(ARRAY_RESERVE(v, room, 5), 0);
    uint64_t *before = v;
    size_t had = room;
    cr_assert_eq(ARRAY_RESERVE(v, room, SIZE_MAX), -ENOMEM);
    cr_assert_eq(ARRAY_RESERVE(v, room, SIZE_MAX / 4), -ENOMEM);
    cr_assert_eq(v, before);
    cr_assert_eq(room, had);
    free(v);
}
