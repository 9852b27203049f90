// SPDX-License-Identifier: Apache-2.0
/*
 * page: see the header. The head has: checksum 8, number 8, level 1, version 1, count 2, start of
 * the heap 2, dead bytes in the heap 2. A value that is removed leaves dead bytes. When a new value
 * would fit into the page, but not into the gap between slots and heap, the page is compacted.
 */
#include "page.h"
#include "id.h"
#include <errno.h>

#define PAGE_VERSION 1

static unsigned heap_start(const uint8_t *p)
{
    return get_le16(p + 20);
}
static unsigned heap_dead(const uint8_t *p)
{
    return get_le16(p + 22);
}
static void set_count(uint8_t *p, unsigned n)
{
    put_le16(p + 18, (uint16_t)n);
}
static void set_heap(uint8_t *p, unsigned start, unsigned dead)
{
    put_le16(p + 20, (uint16_t)start);
    put_le16(p + 22, (uint16_t)dead);
}
static uint8_t *slot(uint8_t *p, unsigned i)
{
    return p + PAGE_HEAD + i * PAGE_SLOT;
}

void page_init(uint8_t *p, uint64_t no, unsigned level)
{
    memset(p, 0, PAGE_SIZE_BYTES);
    put_le64(p + 8, no);
    p[16] = (uint8_t)level;
    p[17] = PAGE_VERSION;
    set_heap(p, PAGE_SIZE_BYTES, 0);
}

void page_set_number(uint8_t *p, uint64_t no)
{
    put_le64(p + 8, no);
}

void page_seal(uint8_t *p)
{
    put_le64(p, id_checksum(p + 8, PAGE_SIZE_BYTES - 8, page_number(p)));
}

size_t page_used(const uint8_t *p)
{
    return page_count(p) * PAGE_SLOT + (PAGE_SIZE_BYTES - heap_start(p)) - heap_dead(p);
}

/* Gives the reason, and returns -EUCLEAN. */
static int bad(const char **ret_why, const char *why)
{
    if (ret_why)
        *ret_why = why;
    return -EUCLEAN;
}

/* Checks that all values are in the heap and do not overlap, that live and dead bytes fill the
 * heap, and that the keys are in order. */
static int check_slots(const uint8_t *p, const char **ret_why)
{
    unsigned n = page_count(p), start = heap_start(p);
    size_t live = 0;
    uint8_t used[PAGE_SIZE_BYTES / 8 + 1] = {0};

    for (unsigned i = 0; i < n; i++) {
        size_t len, off;
        const uint8_t *v = page_value(p, i, &len);
        off = (size_t)(v - p);
        if (len > PAGE_VALUE_MAX || off < start || off + len > PAGE_SIZE_BYTES)
            return bad(ret_why, "a value lies outside of the page");
        if (page_level(p) > 0 && len != 8)
            return bad(ret_why, "a child number is not 8 bytes");
        if (i > 0 && key_compare(page_key(p, i - 1), page_key(p, i)) >= 0)
            return bad(ret_why, "keys are out of order");
        for (size_t b = off; b < off + len; b++) {
            if (used[b / 8] & (1u << (b % 8)))
                return bad(ret_why, "two values overlap");
            used[b / 8] = (uint8_t)(used[b / 8] | (1u << (b % 8)));
        }
        live += len;
    }
    if (live + heap_dead(p) != PAGE_SIZE_BYTES - start)
        return bad(ret_why, "the heap does not add up");
    return 0;
}

int page_check(const uint8_t *p, uint64_t no, const char **ret_why)
{
    if (get_le64(p) != id_checksum(p + 8, PAGE_SIZE_BYTES - 8, no))
        return bad(ret_why, "checksum mismatch");
    if (page_number(p) != no)
        return bad(ret_why, "it is another page");
    if (p[17] != PAGE_VERSION || page_level(p) > PAGE_LEVEL_MAX)
        return bad(ret_why, "unknown version or level");
    if (heap_start(p) > PAGE_SIZE_BYTES || PAGE_HEAD + page_count(p) * PAGE_SLOT > heap_start(p))
        return bad(ret_why, "slots run into the heap");
    if (page_level(p) > 0 && page_count(p) == 0)
        return bad(ret_why, "an inner page without children");
    return check_slots(p, ret_why);
}

unsigned page_search(const uint8_t *p, struct key k, bool *ret_found)
{
    unsigned lo = 0, hi = page_count(p);

    *ret_found = false;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int c = key_compare(page_key(p, mid), k);
        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

unsigned page_search_child(const uint8_t *p, struct key k)
{
    bool found;
    unsigned i = page_search(p, k, &found);
    return found || i == 0 ? i : i - 1;
}

/* Rewrites the heap without dead bytes. */
static void compact(uint8_t *p)
{
    uint8_t old[PAGE_SIZE_BYTES];
    unsigned start = PAGE_SIZE_BYTES;

    memcpy(old, p, PAGE_SIZE_BYTES);
    for (unsigned i = 0; i < page_count(p); i++) {
        size_t len;
        const uint8_t *v = page_value(old, i, &len);
        if (len == 0)
            continue;
        start -= (unsigned)len;
        memcpy(p + start, v, len);
        put_le16(slot(p, i) + 14, (uint16_t)start);
    }
    memset(p + PAGE_HEAD + page_count(p) * PAGE_SLOT, 0,
           start - PAGE_HEAD - page_count(p) * PAGE_SLOT);
    set_heap(p, start, 0);
}

/* Makes room for `slots` more slots and `len` more bytes of values, by compacting if necessary.
 * False: the page has no such room. */
static bool make_room(uint8_t *p, unsigned slots, size_t len)
{
    size_t end = PAGE_HEAD + (page_count(p) + slots) * PAGE_SLOT;

    if (page_used(p) + slots * PAGE_SLOT + len > PAGE_CAPACITY)
        return false;
    if (end + len > heap_start(p))
        compact(p);
    return true;
}

/* Puts a value into the heap, and returns its offset. That of an empty value is the end of the
 * page, which the start of the heap never passes. */
static unsigned push_value(uint8_t *p, const void *val, size_t len)
{
    unsigned off = heap_start(p) - (unsigned)len;
    if (len == 0)
        return PAGE_SIZE_BYTES;
    memcpy(p + off, val, len);
    set_heap(p, off, heap_dead(p));
    return off;
}

bool page_insert(uint8_t *p, unsigned i, struct key k, const void *val, size_t len)
{
    unsigned n = page_count(p), off;

    if (!make_room(p, 1, len))
        return false;
    off = push_value(p, val, len);
    memmove(slot(p, i + 1), slot(p, i), (n - i) * PAGE_SLOT);
    key_encode(k, slot(p, i));
    put_le16(slot(p, i) + 14, (uint16_t)off);
    put_le16(slot(p, i) + 16, (uint16_t)len);
    set_count(p, n + 1);
    return true;
}

/* Removes the value of slot i; the slot then has an empty one. */
static void kill_value(uint8_t *p, unsigned i)
{
    size_t len;
    unsigned off = (unsigned)(page_value(p, i, &len) - p);

    if (off == heap_start(p))
        set_heap(p, off + (unsigned)len, heap_dead(p));
    else if (len)
        set_heap(p, heap_start(p), heap_dead(p) + (unsigned)len);
    put_le16(slot(p, i) + 14, (uint16_t)PAGE_SIZE_BYTES);
    put_le16(slot(p, i) + 16, 0);
}

/* A value of the same length is overwritten in place. Otherwise the check for room comes before
 * kill_value, so that a refusal changes nothing. */
bool page_replace(uint8_t *p, unsigned i, const void *val, size_t len)
{
    size_t old;
    uint8_t *v = p + (page_value(p, i, &old) - p);
    unsigned off;

    if (old == len) {
        if (len)
            memcpy(v, val, len);
        return true;
    }
    if (page_used(p) - old + len > PAGE_CAPACITY)
        return false;
    kill_value(p, i);
    (void)make_room(p, 0, len);
    off = push_value(p, val, len);
    put_le16(slot(p, i) + 14, (uint16_t)off);
    put_le16(slot(p, i) + 16, (uint16_t)len);
    return true;
}

void page_set_key(uint8_t *p, unsigned i, struct key k)
{
    key_encode(k, slot(p, i));
}

void page_remove(uint8_t *p, unsigned i)
{
    unsigned n = page_count(p);

    kill_value(p, i);
    memmove(slot(p, i), slot(p, i + 1), (n - i - 1) * PAGE_SLOT);
    set_count(p, n - 1);
}

void page_move_tail(uint8_t *p, unsigned at, uint8_t *right)
{
    for (unsigned i = at; i < page_count(p); i++) {
        size_t len;
        const uint8_t *v = page_value(p, i, &len);
        (void)page_insert(right, page_count(right), page_key(p, i), v, len);
    }
    while (page_count(p) > at)
        page_remove(p, page_count(p) - 1);
}
