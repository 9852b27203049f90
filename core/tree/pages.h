// SPDX-License-Identifier: Apache-2.0
/*
 * pages: counted tree pages: a bounded cache over the kv tables `pages` and `page_counts`.
 *
 * A tree owns a page if every page on the way from its root to it has count 1. Only the owner may
 * change a page, and only in memory: a change makes it dirty, and the next commit writes it under
 * the same number. Numbers are never reused. The checksum of a page is checked when it is loaded.
 *
 *     clean ──pages_modify──> dirty ──pages_freeze──> frozen ──commit, pages_retire──> clean
 *                               ^                        │
 *                               └──pages_modify (copies)─┘
 *
 * Each freeze ends a generation. Several generations may be frozen at once, and one page may have
 * been changed in several of them.
 *
 * The count of a page is the number of references on it: parents' slots, roots, entries of the
 * drop queue. A count of 1 is not stored.
 *
 * Limits: at most `cache_bytes` of clean pages stay in memory, besides those in use. Dirty pages
 * stay until their commit, so writers look at pages_dirty_bytes and wait for a flush.
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
    uint64_t dirty_gen;       /* the generation in which it was last changed; 0: not since it was
                               * loaded */
    struct page_copy *copies; /* its bytes in frozen generations, if it was changed again since */
    uint64_t freed_gen;       /* if `freed`: the generation in which it was freed */
    bool freed;  /* nothing names it; it has left the cache */
    bool recent; /* it was used since the clock hand came by */
    struct tree_page *hash_next, *lru_next, *lru_prev;
};

/* Open the pages over the two tables. `next`: the number of the next new page. -ENOMEM. */
int pages_open(struct kv *kv, unsigned table, unsigned count_table, uint64_t next,
               size_t cache_bytes, struct pages **ret_pages);
void pages_close(struct pages *ps); /* NULL is fine; changes that are not committed are lost */
void pages_set_cache(struct pages *ps, size_t cache_bytes);
/* The number that the next new page gets. */
uint64_t pages_next(struct pages *ps);

/* Get a page, pinned: it stays in memory until pages_put. */
int pages_get(struct pages *ps, uint64_t no, struct tree_page **ret_page);
void pages_put(struct pages *ps, struct tree_page *p); /* NULL is fine */
/* A new dirty page with count 1, pinned. */
int pages_new(struct pages *ps, unsigned level, struct tree_page **ret_page);
/* Called before the bytes of a page are changed, by its owner. -ENOMEM: nothing changed. */
int pages_modify(struct pages *ps, struct tree_page *p);
/* Add `delta` to a count; *ret_count (may be NULL) is the new one. When it falls from 1 to 0
 * nothing is stored: the caller then releases what the page names, and frees it. -EOVERFLOW: it
 * would leave the range of a count. */
int pages_add_count(struct pages *ps, uint64_t no, int delta, uint32_t *ret_count);
/* Add one reference on each of these pages. After an error none has got one. */
int pages_ref_all(struct pages *ps, const uint64_t *numbers, size_t count);
int pages_get_count(struct pages *ps, uint64_t no, uint32_t *ret_count);
/* Frees a page that nothing names any more. The caller may still hold a pin and read it. */
int pages_free(struct pages *ps, uint64_t no);

/* True if no caller has the page pinned, and it has not changed since the last commit. */
bool pages_is_idle(struct pages *ps, uint64_t no);

size_t pages_dirty_bytes(struct pages *ps); /* of dirty and frozen pages; a page counts once for
                                             * each generation that changed it */

/* The pages' part in a commit (layer.h). The caller of pages_freeze makes sure that no change
 * runs. pages_write and pages_retire are called by one thread at a time. */
int pages_freeze(struct pages *ps);
int pages_write(struct pages *ps, size_t n, struct kv_txn *t);
void pages_retire(struct pages *ps, size_t n);
