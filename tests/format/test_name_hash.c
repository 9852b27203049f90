// SPDX-License-Identifier: Apache-2.0
/* What name_hash.h promises. */
#include "id.h"
#include "name_hash.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct name_key key = {.sip = {{1, 2, 3}}},
                             old = {.sip = {{1, 2, 3}}, .old = true, .seed = 7};

Test(name_hash, has_55_bits_and_room_for_the_index)
{
    char name[255];

    memset(name, 'n', sizeof name);
    for (size_t len = 1; len <= sizeof name; len++)
        for (unsigned level = 0; level < NAME_LEVELS; level += 50) {
            uint64_t h = name_hash(&key, name, len, level);
            cr_assert_eq(h >> 62, 0);
            cr_assert_eq(h, name_bucket(h));
            cr_assert_eq(h, name_bucket(h + NAME_COUNTER));
        }
}

Test(name_hash, of_another_level_is_another)
{
    cr_assert_neq(name_hash(&key, "name", 4, 0), name_hash(&key, "name", 4, 1));
    cr_assert_neq(name_hash(&key, "name", 4, 1), name_hash(&key, "name", 4, 2));
}

/* Old stores have their names there. */
Test(name_hash, of_a_store_of_version_3_stays_what_it_was)
{
    cr_assert_eq(name_hash(&old, "tally", 5, 0), UINT64_C(0x065491eed04b165a) >> 9 << 7);
    cr_assert_eq(name_hash(&old, "tally", 5, 0), id_checksum("tally", 5, 7) >> 9 << 7);
    cr_assert_eq(name_hash(&old, "tally", 5, 1), name_hash(&key, "tally", 5, 1));
}

Test(name_hash, on_disk_never_changes)
{
    static const struct name_key k = {
        .sip = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}};
    static const char name[] = {1, 2, 3};
    char text[] = {1, 2, 3, 0, 5};

    cr_assert_eq(name_hash(&k, "", 0, 0), 0x726fdb47dd0e0e31u >> 9 << 7);
    cr_assert_eq(name_hash(&k, name, 3, 5), siphash(&k.sip, text, sizeof text) >> 9 << 7);
}
