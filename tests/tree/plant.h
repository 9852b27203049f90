// SPDX-License-Identifier: Apache-2.0
/* plant: short words for what tests of trees do, on one forest `f` made anew for each test. */
#pragma once

#include "recount.h"
#include "report.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct forest f;

static inline void plant_setup(void)
{
    forest_create(&f);
    report_reset();
}
static inline void plant_teardown(void)
{
    forest_destroy(&f);
}

#define TREE_SUITE(name) TestSuite(name, .init = plant_setup, .fini = plant_teardown)

static inline struct key at(uint64_t n)
{
    return key_make(1 + n, ITEM_SYMLINK, 0);
}
static inline struct key object_at(uint64_t n)
{
    return key_make(1 + n, ITEM_EXTENT, 0);
}

/* A value of `len` bytes that tells `n` and `what`. */
static inline int put_len(unsigned tree, uint64_t n, uint8_t what, size_t len)
{
    uint8_t val[PAGE_VALUE_MAX + 1] = {0};
    memset(val, what, sizeof val);
    if (len > 8)
        put_le64(val, n);
    return tree_put(&f.tree[tree], at(n), val, len);
}

static inline void put(unsigned tree, uint64_t n, uint8_t what)
{
    cr_assert_eq(put_len(tree, n, what, 100), 0);
}

static inline void put_many(unsigned tree, uint64_t from, uint64_t to, uint8_t what)
{
    for (uint64_t n = from; n < to; n++)
        put(tree, n, what);
}

static inline int put_object(unsigned tree, uint64_t n, uint64_t object)
{
    uint8_t val[EXTENT_ITEM_LEN];
    extent_encode(&(struct extent){object, 7}, val);
    return tree_put(&f.tree[tree], object_at(n), val, sizeof val);
}

/* The byte `what` of an item; -errno. */
static inline int what(unsigned tree, uint64_t n)
{
    uint8_t val[PAGE_VALUE_MAX];
    size_t len;
    int err = tree_get(&f.tree[tree], at(n), val, sizeof val, &len);
    return err < 0 ? err : len ? val[len - 1] : 0;
}

static inline uint64_t object_of(unsigned tree, uint64_t n)
{
    uint8_t val[EXTENT_ITEM_LEN];
    size_t len;
    cr_assert_eq(tree_get(&f.tree[tree], object_at(n), val, sizeof val, &len), 0);
    return item_object(object_at(n), val, len);
}

static inline int del(unsigned tree, uint64_t n)
{
    return tree_del(&f.tree[tree], at(n));
}

static inline void branch(unsigned from, unsigned to)
{
    cr_assert_eq(tree_branch(&f.tree[from], &f.tree[to]), 0);
}

static inline unsigned depth(unsigned tree)
{
    struct tree_page *p;
    unsigned d;
    if (!f.tree[tree].root)
        return 0;
    cr_assert_eq(pages_get(f.pages, f.tree[tree].root, &p), 0);
    d = page_level(p->data) + 1;
    pages_put(f.pages, p);
    return d;
}

/* Items met by a walk over all of a tree, in order. */
static inline uint64_t count_items(unsigned tree)
{
    struct tree_cursor c;
    struct key last = {0, 0};
    uint64_t n = 0;
    int err = tree_seek(&f.tree[tree], last, &c);
    for (; err == 0; n++) {
        cr_assert_gt(key_compare(tree_cursor_key(&c), last), 0);
        last = tree_cursor_key(&c);
        err = tree_next(&c);
    }
    cr_assert_eq(err, -ENOENT);
    return n;
}

/* Live pages after a commit, everything recounted. */
static inline size_t settle(void)
{
    forest_commit(&f);
    return recount(&f);
}

/* Flip a bit of a committed page. */
static inline void damage(uint64_t page)
{
    uint8_t key[8];
    put_be64(key, page);
    cr_assert_eq(kv_mem_flip(f.mem, T_PAGES, key, 8, 5000, 3), 0);
}

/* The page number in slot i of a tree's root. */
static inline uint64_t child(unsigned tree, unsigned i)
{
    struct tree_page *p;
    uint64_t no;
    cr_assert_eq(pages_get(f.pages, f.tree[tree].root, &p), 0);
    cr_assert(page_level(p->data) > 0 && i < page_count(p->data));
    no = page_child(p->data, i);
    pages_put(f.pages, p);
    return no;
}

static inline unsigned children(unsigned tree)
{
    struct tree_page *p;
    unsigned n;
    cr_assert_eq(pages_get(f.pages, f.tree[tree].root, &p), 0);
    n = page_count(p->data);
    pages_put(f.pages, p);
    return n;
}
