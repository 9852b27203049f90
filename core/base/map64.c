// SPDX-License-Identifier: Apache-2.0
/*
 * map64: linear probing at a load of at most 2/3, deletion by shifting back (Knuth, TAOCP 6.4,
 * algorithm R), so that there are no tombstones to slow later look-ups down.
 */
#include "map64.h"
#include <errno.h>
#include <stdlib.h>

/* The slot at which the search for a key begins: multiplicative hashing, by 2^64 divided by the
 * golden ratio. */
static size_t home(const struct map64 *m, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (m->room - 1);
}

/* The slot of `key`, or the free slot where it would be put. The map must have room. */
static size_t find_bucket(const struct map64 *m, uint64_t key)
{
    size_t i = home(m, key);
    while (m->slots[i].key && m->slots[i].key != key)
        i = (i + 1) & (m->room - 1);
    return i;
}

/* Doubles the room and puts all entries anew. The old table stays until that is done. */
static int grow(struct map64 *m)
{
    struct map64 bigger = {.room = m->room ? m->room * 2 : 64, .count = m->count};

    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->room; i++)
        if (m->slots[i].key)
            bigger.slots[find_bucket(&bigger, m->slots[i].key)] = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 0;
}

int map64_reserve(struct map64 *m, size_t count)
{
    int err = 0;

    while (err == 0 && count * 3 >= m->room * 2)
        err = grow(m);
    return err;
}

void map64_release(struct map64 *m)
{
    free(m->slots);
    *m = (struct map64)MAP64_INIT;
}

bool map64_get(const struct map64 *m, uint64_t key, uint64_t *ret_value)
{
    size_t i;

    if (!m->room)
        return false;
    i = find_bucket(m, key);
    if (!m->slots[i].key)
        return false;
    *ret_value = m->slots[i].value;
    return true;
}

int map64_add(struct map64 *m, uint64_t key, int64_t delta, uint64_t *ret_value)
{
    size_t i;

    if (m->count * 3 >= m->room * 2) {
        int err = grow(m);
        if (err < 0)
            return err;
    }
    i = find_bucket(m, key);
    if (!m->slots[i].key) {
        m->slots[i] = (struct map64_slot){key, 0};
        m->count++;
    }
    m->slots[i].value += (uint64_t)delta;
    if (ret_value)
        *ret_value = m->slots[i].value;
    return 0;
}

int map64_put(struct map64 *m, uint64_t key, uint64_t value)
{
    uint64_t sum;
    int err = map64_add(m, key, 0, &sum);
    if (err < 0)
        return err;
    m->slots[find_bucket(m, key)].value = value;
    return 0;
}

bool map64_del(struct map64 *m, uint64_t key)
{
    size_t i, j;

    if (!m->room)
        return false;
    i = find_bucket(m, key);
    if (!m->slots[i].key)
        return false;
    for (j = (i + 1) & (m->room - 1); m->slots[j].key; j = (j + 1) & (m->room - 1)) {
        size_t h = home(m, m->slots[j].key);
        /* Slot j may move to i unless its home is cyclically in (i, j]. */
        if (((j - h) & (m->room - 1)) >= ((j - i) & (m->room - 1))) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i].key = 0;
    m->count--;
    return true;
}

bool map64_next(const struct map64 *m, size_t *at, uint64_t *ret_key, uint64_t *ret_value)
{
    for (; *at < m->room; (*at)++)
        if (m->slots[*at].key) {
            *ret_key = m->slots[*at].key;
            *ret_value = m->slots[*at].value;
            (*at)++;
            return true;
        }
    return false;
}
