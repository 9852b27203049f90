// SPDX-License-Identifier: Apache-2.0
/*
 * lmdb_page: one page of LMDB's file at a time: reading it, with checked bounds, and what is on it.
 * Private to core/kv; lmdb_walk.h goes through the whole file. Numbers are little-endian.
 *
 *     page:  number 8, 2 unused, flags 2, then of a tree's: end of the offsets 2, begin of the
 *            nodes 2; of a value's: how many pages 4; 16 in all. Offsets of nodes, 2 each, follow.
 *     node:  8: low and high half of a length, flags, length of the key; or a page's number in
 *            the first 6; then the key, and the value or, where flags say so, its page's number
 *     tree:  48: unused 4, flags 2, depth 2, then 8 each: branch pages, leaves, pages of values,
 *            entries, root
 *     head:  magic 4, version 4, address 8, size of the map 8, tree of free pages (the page size in
 *            its first field), tree of tables, last page 8, commit 8; behind 16 of a page
 *
 * Errors: -EUCLEAN the page is damaged, and `why` says so; other -errno of reading. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LMDB_PAGE_HEAD 16
#define LMDB_TREE_LEN 48
#define LMDB_HEADS 2 /* the first pages of the file */
#define LMDB_PAGE_MAX 65536u
#define LMDB_NO_PAGE UINT64_MAX /* the root of an empty tree */
/* Flags of a page: which kind it is. */
#define LMDB_BRANCH 1u
#define LMDB_LEAF 2u
#define LMDB_OVERFLOW 4u /* of a value */
/* Flags of a node on a leaf. */
#define LMDB_NODE_BIG 1u  /* its value has pages of its own */
#define LMDB_NODE_TREE 2u /* its value is a tree's record */
/* Flag of a tree: its keys are numbers. */
#define LMDB_INTEGER_KEYS 8u

struct lmdb_file {
    int fd;
    char *why; /* the sentence about damage: room for `room` bytes */
    size_t room;
    bool first_only;    /* once there is a sentence in `why`, it stays */
    uint32_t page_size; /* set by lmdb_read_heads */
};

struct lmdb_tree {
    uint32_t page_size; /* only in the first record of a head */
    unsigned flags, depth;
    uint64_t branches, leaves, overflow, entries, root;
};

struct lmdb_head {
    struct lmdb_tree free, main;
    uint64_t last, txn; /* the highest page in use; the commit */
};

struct lmdb_bytes {
    const uint8_t *p;
    size_t len;
};

struct lmdb_node {
    unsigned flags;
    uint64_t value;        /* on a leaf the length of the value; on a branch the page below */
    struct lmdb_bytes key; /* points into the page */
    const uint8_t *data;   /* the value, likewise; with LMDB_NODE_BIG the number of its page */
    size_t size;           /* bytes of the node in its page */
};

/* Says that this page is damaged, and how; -EUCLEAN. */
int lmdb_bad(struct lmdb_file *f, uint64_t page, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* All of the `len` bytes from `at` of that page on. -EUCLEAN: the file ends before. */
int lmdb_read_at(struct lmdb_file *f, void *buf, size_t len, uint64_t page, size_t at);
/* The newer one of the two heads, which must be as two commits leave them. */
int lmdb_read_heads(struct lmdb_file *f, struct lmdb_head *ret);
/* Decodes LMDB_TREE_LEN bytes. */
struct lmdb_tree lmdb_tree_at(const uint8_t *p);

/* Of a page of a tree, whose head has been checked: how many nodes there are. */
unsigned lmdb_nodes_on(const uint8_t *page);
/* NULL, or what is wrong with the i-th node. */
const char *lmdb_node_at(const struct lmdb_file *f, const uint8_t *page, unsigned i,
                         struct lmdb_node *ret);
/* Each node lies in the page, no two share a byte, and there is nothing between them. */
int lmdb_check_nodes(struct lmdb_file *f, uint64_t number, const uint8_t *page);
