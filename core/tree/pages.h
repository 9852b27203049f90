// SPDX-License-Identifier: Apache-2.0
/*
 * pages: counted tree pages: a bounded cache over the kv tables `pages` and `page_counts`.
 *
 * A tree owns a page if every page on the way from its root to it has count 1. Only the owner may
 * change a page, and only in memory: a change makes it dirty, the next commit writes it under the
 * same number. Numbers are never reused. Its checksum is checked when it is loaded.
 *
 *     clean ──pages_modify──> dirty ──pages_freeze──> frozen ──commit, pages_retire──> clean
 *                               ^                        │
 *                               └──pages_modify (copies)─┘
 *
 * Each freeze ends a generation; several may be frozen, and a page then stands in one or more.
 *
 * The count of a page is the number of references on it: parents' slots, roots, entries of the
 * drop queue. 1 is not stored.
 *
 * Bounded: at most `cache_bytes` of clean pages stay (those in use excepted); dirty ones stay until
 * their commit, so whoever changes much must look at pages_dirty_bytes and wait for a flush.
 *
 * Errors: 0 or -errno; -EUCLEAN the page is damaged or missing (reported with its number), -ENOMEM,
 * -EIO. Threads: any; own locks inside. The bytes of a page are guarded by the lock of the tree
 * that owns it.
 */
#pragma once

#include "layer.h"
#include "page.h"
#include <stdatomic.h>
#include <stdbool.h>

struct pages;

struct tree_page {
    uint8_t *data; /* PAGE_SIZE_BYTES; only its owner changes it, after pages_modify */
    uint64_t no;
    _Atomic uint32_t count; /* references; see above */
    /* the rest is private to pages.c */
    _Atomic uint32_t pins;
    uint64_t dirty_gen;       /* the generation it was last changed in; 0: clean since loaded */
    struct page_copy *copies; /* its bytes as earlier, frozen generations have them */
    uint64_t freed_gen;       /* the generation in which the last reference to it went */
    bool freed;
    bool recent;
    struct tree_page *hash_next, *lru_next, *lru_prev;
};

int pages_open(struct kv *kv, unsigned table, unsigned count_table, uint64_t next,
               size_t cache_bytes, struct pages **ret_pages);
void pages_close(struct pages *ps); /* NULL is fine; uncommitted changes are dropped */
void pages_set_cache(struct pages *ps, size_t cache_bytes);
uint64_t pages_next(struct pages *ps);

/* Get a page, pinned: it stays in memory until pages_put. */
int pages_get(struct pages *ps, uint64_t no, struct tree_page **ret_page);
void pages_put(struct pages *ps, struct tree_page *p); /* NULL is fine */
/* A new dirty page with count 1, pinned. */
int pages_new(struct pages *ps, unsigned level, struct tree_page **ret_page);
/* Called before the bytes of a page are changed, by its owner. -ENOMEM: nothing changed. */
int pages_modify(struct pages *ps, struct tree_page *p);
/* Changes a count; *ret_count is the new one. From 1 to 0 nothing is stored: the caller releases
 * what the page holds and frees it. -EOVERFLOW. */
int pages_add_count(struct pages *ps, uint64_t no, int delta, uint32_t *ret_count);
/* One reference more on each of them: all or none. */
int pages_ref_all(struct pages *ps, const uint64_t *numbers, size_t count);
int pages_get_count(struct pages *ps, uint64_t no, uint32_t *ret_count);
/* Frees a page that nothing names any more. The caller may still hold a pin and read it. */
int pages_free(struct pages *ps, uint64_t no);

/* True if no caller has the page pinned, and it has not changed since the last commit. */
bool pages_is_idle(struct pages *ps, uint64_t no);

size_t pages_dirty_bytes(struct pages *ps); /* dirty and frozen; in each generation it stands in */

/* Its part in a commit: layer.h. Freeze with all changes shut out; write and retire from one thread
 * at a time. */
int pages_freeze(struct pages *ps);
int pages_write(struct pages *ps, size_t n, struct kv_txn *t);
void pages_retire(struct pages *ps, size_t n);
