// SPDX-License-Identifier: Apache-2.0
/*
 * map64: a hash map from 64-bit numbers other than 0 to 64-bit values, for frequently used tables.
 * It grows as needed. It has no lock of its own: its owner guards it. -ENOMEM leaves the map as it
 * was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map64_slot {
    uint64_t key, value;
};
struct map64 {
    struct map64_slot *slots; /* key 0: free */
    size_t room;              /* a power of two, or 0 */
    size_t count;
};
#define MAP64_INIT                                                                                 \
    {                                                                                              \
        0                                                                                          \
    }

void map64_release(struct map64 *m);
/* Is the key in the map? If not, *ret_value is left as it was. `ret_value` must not be NULL. */
bool map64_get(const struct map64 *m, uint64_t key, uint64_t *ret_value);
/* Sets the value of a key. -ENOMEM. */
int map64_put(struct map64 *m, uint64_t key, uint64_t value);
/* Adds to the value of a key (0 if it is not in the map). *ret_value, if not NULL, gets the sum.
 * -ENOMEM. */
int map64_add(struct map64 *m, uint64_t key, int64_t delta, uint64_t *ret_value);
/* Makes room, so that puts cannot fail as long as the map has at most `count` entries. -ENOMEM. */
int map64_reserve(struct map64 *m, size_t count);
bool map64_del(struct map64 *m, uint64_t key); /* true: it was in the map */
/* Visits every entry once: the caller sets *at to 0 before the first call. False: there are no
 * more. The map must not change meanwhile. `ret_key` and `ret_value` must not be NULL. */
bool map64_next(const struct map64 *m, size_t *at, uint64_t *ret_key, uint64_t *ret_value);
