// SPDX-License-Identifier: Apache-2.0
/*
 * packs_dead: the dead ranges of one pack. Ranges that touch are joined, so that records that died
 * one by one can be punched as one hole.
 */
#include "array.h"
#include "packs_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Index of the first range that ends at or after `start`. */
static size_t dead_find(const struct pack *k, uint64_t start)
{
    size_t low = 0, high = k->dead_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (k->dead[mid].end < start)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool pack_dead_has(const struct pack *k, uint64_t offset)
{
    size_t at = dead_find(k, offset + 1);

    return at < k->dead_count && k->dead[at].start <= offset;
}

static bool dead_insert(struct pack *k, size_t at, uint64_t start, uint64_t end)
{
    if (ARRAY_RESERVE(k->dead, k->dead_room, k->dead_count + 1) < 0)
        return false; /* no memory: this range is no hole, and compaction gives it back */
    memmove(&k->dead[at + 1], &k->dead[at], (k->dead_count - at) * sizeof *k->dead);
    k->dead[at] = (struct dead){start, end, end - start, 0};
    k->dead_count++;
    return true;
}

/* Notes [start, end) as dead, joined with the ranges that it touches. */
void pack_dead_add(struct pack *k, uint64_t start, uint64_t end)
{
    size_t at = dead_find(k, start);

    if (at == k->dead_count || k->dead[at].start > end) {
        (void)dead_insert(k, at, start, end);
        return;
    }
    struct dead *d = &k->dead[at];

    d->unpunched += end - start;
    if (d->end == start)
        d->end = end;
    else
        d->start = start;
    if (at + 1 < k->dead_count && d[1].start == d->end) {
        d->end = d[1].end;
        d->unpunched += d[1].unpunched;
        d->punched += d[1].punched;
        k->dead_count--;
        memmove(d + 1, d + 2, (k->dead_count - at - 1) * sizeof *d);
    }
}

/* The hole to punch around `start`: the pages wholly inside its dead range, if enough died there
 * since the last hole. `punched` is how many of these bytes the disk still keeps. `end` 0: nothing
 * to do. */
struct dead pack_dead_take_hole(struct pack *k, uint64_t start)
{
    size_t at = dead_find(k, start + 1);

    if (at == k->dead_count || k->dead[at].start > start)
        return (struct dead){0};
    struct dead *d = &k->dead[at];
    uint64_t from = (d->start + PUNCH_ALIGN - 1) / PUNCH_ALIGN * PUNCH_ALIGN;
    uint64_t to = d->end / PUNCH_ALIGN * PUNCH_ALIGN;

    if (d->unpunched < PUNCH_MIN || to < from + PUNCH_MIN)
        return (struct dead){0};
    uint64_t fresh = to - from > d->punched ? to - from - d->punched : 0;

    d->unpunched = 0;
    d->punched += fresh;
    return (struct dead){.start = from, .end = to, .punched = fresh};
}

/* All bytes of the pack that are known to be dead. For a pack of this run that is all that are
 * dead. */
uint64_t pack_dead_bytes(const struct pack *k)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < k->dead_count; i++)
        sum += k->dead[i].end - k->dead[i].start;
    return sum;
}

/* Remove a record from the unsynced ones: it was released, so it needs no sync any more. */
void pack_forget_unsynced(struct pack *k, uint32_t offset)
{
    for (size_t i = 0; i < k->unsynced_count; i++)
        if (k->unsynced[i] == offset) {
            k->unsynced[i] = k->unsynced[--k->unsynced_count];
            return;
        }
}
