// SPDX-License-Identifier: Apache-2.0
/*
 * map64: a growing hash map from non-zero 64-bit numbers to 64-bit values, for hot bookkeeping.
 * Not locked: the owner guards it. -ENOMEM leaves the map as it was.
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
/* Is the key there? *ret_value, which must not be NULL, is left as it was if it is not. */
bool map64_get(const struct map64 *m, uint64_t key, uint64_t *ret_value);
int map64_put(struct map64 *m, uint64_t key, uint64_t value);
/* Add to the value (absent counts as 0); *ret_value, if not NULL, gets the sum. */
int map64_add(struct map64 *m, uint64_t key, int64_t delta, uint64_t *ret_value);
bool map64_del(struct map64 *m, uint64_t key); /* was it there? */
/* Every entry once: start with *at = 0; false at the end. No changes meanwhile. Neither of the last
 * two may be NULL. */
bool map64_next(const struct map64 *m, size_t *at, uint64_t *ret_key, uint64_t *ret_value);
