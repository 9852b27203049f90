// SPDX-License-Identifier: Apache-2.0
/*
 * page: one node of a tree as bytes: a sorted array of slots at the front, values at the back.
 *
 *   0        24                                         heap             8176
 *   | head   | slot 0 | slot 1 | …  →      free      ←  | value | value |
 *
 * Leaves (level 0) have items. An inner page has for each child the smallest key that may be below
 * it, and the child's page number, 8 bytes. The key of its first slot counts as minus infinity.
 *
 * These are pure functions over the bytes: no I/O, no locks. Only page_check() may be given bytes
 * that are not trusted. All others need a page that has passed it. All sizes are in bytes.
 */
#pragma once

#include "key.h"
#include <stddef.h>

#define PAGE_SIZE_BYTES 8176 /* with LMDB's header of 16 bytes exactly two of its pages */
#define PAGE_HEAD 24
#define PAGE_SLOT 18
#define PAGE_VALUE_MAX 2044 /* a quarter of a page */
#define PAGE_LEVEL_MAX 12
#define PAGE_CAPACITY (PAGE_SIZE_BYTES - PAGE_HEAD)
#define PAGE_ITEMS_MAX (PAGE_CAPACITY / PAGE_SLOT)

/* Makes an empty page with the number `no`. */
void page_init(uint8_t *p, uint64_t no, unsigned level);
/* Gives a copy its own number. */
void page_set_number(uint8_t *p, uint64_t no);
/* Computes the checksum, right before the page is written to the disk. */
void page_seal(uint8_t *p);
/* Checks of one page alone: checksum, number, version, bounds, order, sizes of values, no overlap.
 * What the values say is not checked, so the number of a child may be 0. 0, or -EUCLEAN with a
 * reason in *ret_why (static text; may be NULL). */
int page_check(const uint8_t *p, uint64_t no, const char **ret_why);

static inline uint64_t page_number(const uint8_t *p)
{
    return get_le64(p + 8);
}
static inline unsigned page_level(const uint8_t *p)
{
    return p[16];
}
static inline unsigned page_count(const uint8_t *p)
{
    return get_le16(p + 18);
}
static inline struct key page_key(const uint8_t *p, unsigned i)
{
    return key_decode(p + PAGE_HEAD + i * PAGE_SLOT);
}
static inline const uint8_t *page_value(const uint8_t *p, unsigned i, size_t *ret_len)
{
    const uint8_t *s = p + PAGE_HEAD + i * PAGE_SLOT;
    *ret_len = get_le16(s + 16);
    return p + get_le16(s + 14);
}
static inline uint64_t page_child(const uint8_t *p, unsigned i)
{
    size_t len;
    return get_le64(page_value(p, i, &len));
}

/* The index of the first slot with a key ≥ k; page_count if there is none. */
unsigned page_search(const uint8_t *p, struct key k, bool *ret_found);
/* In an inner page: the index of the child whose range has k. */
unsigned page_search_child(const uint8_t *p, struct key k);
/* How many bytes the slots and the live values take. */
size_t page_used(const uint8_t *p);
static inline bool page_fits(const uint8_t *p, size_t vlen)
{
    return page_used(p) + PAGE_SLOT + vlen <= PAGE_CAPACITY;
}

/* page_insert inserts before slot i; page_replace replaces the value of slot i. The caller checks
 * that `len` is at most PAGE_VALUE_MAX; it may be 0. `val` is not in this page. False: there is no
 * room, and nothing was changed. */
bool page_insert(uint8_t *p, unsigned i, struct key k, const void *val, size_t len);
bool page_replace(uint8_t *p, unsigned i, const void *val, size_t len);
void page_set_key(uint8_t *p, unsigned i, struct key k);
void page_remove(uint8_t *p, unsigned i);
/* Moves the slots [at, count) to the end of `right`, a page of the same level that must have
 * room. */
void page_move_tail(uint8_t *p, unsigned at, uint8_t *right);
