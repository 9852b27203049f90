// SPDX-License-Identifier: Apache-2.0
/*
 * lmdb_walk: see the header. Down the tree of free pages, the tree of tables, and each table.
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
 * A value of the tree of free pages is a list: how many, then page numbers, the highest first.
 */
#include "lmdb_walk.h"
#include "io.h"
#include "bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE_HEAD 16
#define NODE_HEAD 8
#define TREE_LEN 48
#define META_LEN 136
#define METAS 2
#define MAGIC 0xBEEFC0DEu
#define VERSION 1u
#define IS_BRANCH 1u
#define IS_LEAF 2u
#define IS_OVERFLOW 4u
#define IS_META 8u
#define NODE_BIG 1u  /* its value has pages of its own */
#define NODE_TREE 2u /* its value is a tree's record */
#define INTEGER_KEYS 8u
#define NONE UINT64_MAX /* the root of an empty tree */
#define DEPTH_MAX 32
#define KEY_MAX 511
#define PAGE_MIN 512u
#define PAGE_MAX 65536u
#define LIST_WINDOW 4096 /* bytes of a list of free pages read at once */

struct tree {
    uint32_t page_size; /* of a head's first one */
    unsigned flags, depth;
    uint64_t branches, leaves, overflow, entries, root;
};

struct head {
    struct tree free, main;
    uint64_t last, txn; /* the highest page in use; the commit */
};

enum kind { FREE_PAGES, TABLES, TABLE };

struct walk {
    int fd;
    char *why;
    size_t room;
    uint64_t size; /* of the file */
    uint32_t page_size;
    struct head head;
    uint64_t *seen;         /* a bit for each page: reached, or free */
    uint64_t beyond;        /* free pages that the file is too short to have */
    struct lmdb_rows *rows; /* who takes what can be read; NULL: any damage is the end */
    uint8_t *value;         /* with rows: room for one that has pages of its own */
};

struct bytes {
    const uint8_t *p;
    size_t len;
};

/* One tree on the way down. */
struct visit {
    struct walk *w;
    enum kind kind;
    struct bytes name;        /* of a table */
    struct tree is;           /* what was counted; depth is what it says */
    uint8_t *page[DEPTH_MAX]; /* of each level, or NULL */
};

struct range {
    struct bytes from, to; /* keys; p NULL: open. `to` is behind the last */
};

static int bad(struct walk *w, uint64_t page, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int bad(struct walk *w, uint64_t page, const char *fmt, ...)
{
    va_list args;

    if (w->rows && *w->why)
        return -EUCLEAN; /* the first is told */
    int n = snprintf(w->why, w->room, "page %llu: ", (unsigned long long)page);

    va_start(args, fmt);
    if (n > 0 && (size_t)n < w->room)
        (void)vsnprintf(w->why + n, w->room - (size_t)n, fmt, args);
    va_end(args);
    return -EUCLEAN;
}

/* ---- pages ---- */

/* All of it, or -EUCLEAN: the file ends before. */
static int read_at(struct walk *w, void *buf, size_t len, uint64_t page, size_t at)
{
    ssize_t n = io_pread(w->fd, buf, len, page * w->page_size + at);

    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : bad(w, page, "the file ends before it");
}

/* Pages [page, page + count): each once. */
static int take_pages(struct walk *w, uint64_t page, uint64_t count, const char *what)
{
    if (page < METAS || page > w->head.last || count > w->head.last - page + 1)
        return bad(w, page, "%s where there is no page", what);
    for (uint64_t i = page; i < page + count; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);

        if (w->seen[i / 64] & bit)
            return bad(w, i, "%s, and something else as well", what);
        w->seen[i / 64] |= bit;
    }
    return 0;
}

static struct tree tree_at(const uint8_t *p)
{
    return (struct tree){.page_size = get_le32(p),
                         .flags = get_le16(p + 4),
                         .depth = get_le16(p + 6),
                         .branches = get_le64(p + 8),
                         .leaves = get_le64(p + 16),
                         .overflow = get_le64(p + 24),
                         .entries = get_le64(p + 32),
                         .root = get_le64(p + 40)};
}

/* ---- nodes ---- */

struct node {
    unsigned flags;
    uint64_t value; /* length; or in a branch the page */
    struct bytes key;
    const uint8_t *data;
    size_t size; /* of all of it, in its page */
};

static unsigned nodes_on(const uint8_t *page)
{
    return (get_le16(page + 12) - PAGE_HEAD) / 2u;
}

/* 0, or what is wrong with it. */
static const char *node_at(const struct walk *w, const uint8_t *page, unsigned i, struct node *ret)
{
    size_t at = get_le16(page + PAGE_HEAD + 2 * (size_t)i), room;
    bool leaf = get_le16(page + 10) == IS_LEAF;
    const uint8_t *p = page + at;
    struct node n = {0};

    if (at % 2 || at < get_le16(page + 14) || at > w->page_size - NODE_HEAD)
        return "a node lies outside of it";
    room = w->page_size - at - NODE_HEAD;
    n.flags = leaf ? get_le16(p + 4) : 0;
    n.value = get_le32(p) | (leaf ? 0 : (uint64_t)get_le16(p + 4) << 32);
    n.key = (struct bytes){p + NODE_HEAD, get_le16(p + 6)};
    n.data = n.key.p + n.key.len;
    n.size = NODE_HEAD + n.key.len;
    if (n.key.len > KEY_MAX || n.key.len > room)
        return "a key reaches beyond it";
    if (leaf) {
        uint64_t inside = n.flags & NODE_BIG ? 8 : n.value;

        if (inside > room - n.key.len)
            return "a value reaches beyond it";
        n.size += (size_t)inside;
    }
    n.size += n.size % 2;
    *ret = n;
    return NULL;
}

static int compare(enum kind kind, struct bytes a, struct bytes b)
{
    if (kind == FREE_PAGES) {
        uint64_t x = get_le64(a.p), y = get_le64(b.p);
        return x < y ? -1 : x > y;
    }
    int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

static bool is_key(enum kind kind, struct bytes k)
{
    return kind == FREE_PAGES ? k.len == 8 : k.len > 0;
}

/* Each node by itself, and that they share no byte. */
static int check_nodes(struct walk *w, uint64_t number, const uint8_t *page)
{
    unsigned count = nodes_on(page);
    uint8_t used[PAGE_MAX / 16] = {0}; /* a bit for each 2 bytes */
    size_t all = 0;

    for (unsigned i = 0; i < count; i++) {
        struct node n = {0};
        const char *wrong = node_at(w, page, i, &n);

        if (wrong)
            return bad(w, number, "%s", wrong);
        size_t at = (size_t)(n.key.p - NODE_HEAD - page) / 2;
        for (size_t j = at; j < at + n.size / 2; j++) {
            if (j >= w->page_size / 2 || used[j / 8] & (1u << j % 8))
                return bad(w, number, "two nodes share a byte");
            used[j / 8] = (uint8_t)(used[j / 8] | 1u << j % 8);
        }
        all += n.size;
    }
    if (all != w->page_size - get_le16(page + 14))
        return bad(w, number, "there is a gap between its nodes");
    return 0;
}

/* Keys ascend, within what the pages above say. A branch's first key means nothing. */
static int check_keys(struct visit *v, uint64_t number, const uint8_t *page, struct range range)
{
    bool leaf = get_le16(page + 10) == IS_LEAF;
    unsigned count = nodes_on(page);
    struct bytes before = range.from;

    for (unsigned i = leaf ? 0 : 1; i < count; i++) {
        struct node n = {0};
        bool first = leaf && i == 0; /* may be the one that the page above has */

        (void)node_at(v->w, page, i, &n);
        if (!is_key(v->kind, n.key))
            return bad(v->w, number, "a key has %zu bytes", n.key.len);
        int c = before.p ? compare(v->kind, before, n.key) : -1;
        if (c > 0 || (c == 0 && !first))
            return bad(v->w, number, "its keys do not ascend");
        before = n.key;
    }
    if (range.to.p && before.p && compare(v->kind, before, range.to) >= 0)
        return bad(v->w, number, "it has keys of the page behind it");
    return 0;
}

/* ---- values ---- */

/* The pages of one: *ret_page is the first. */
static int walk_overflow(struct visit *v, const struct node *n)
{
    struct walk *w = v->w;
    uint64_t page = get_le64(n->data), count;
    uint8_t head[PAGE_HEAD];
    int r;

    if (page < METAS || page > w->head.last)
        return bad(w, page, "a value lies where there is no page");
    r = read_at(w, head, sizeof head, page, 0);
    if (r)
        return r;
    count = get_le32(head + 12);
    if (get_le64(head) != page || get_le16(head + 10) != IS_OVERFLOW)
        return bad(w, page, "a value lies in it, and it says otherwise");
    if (count * w->page_size < PAGE_HEAD + n->value)
        return bad(w, page, "it is too short for its value");
    if (page * w->page_size + PAGE_HEAD + n->value > w->size)
        return bad(w, page, "the file ends within its value");
    v->is.overflow += count;
    return take_pages(w, page, count, "a value lies in it");
}

/* `list` has `len` bytes of the numbers; *before is the number in front of them. */
static int take_free(struct walk *w, const uint8_t *list, size_t len, uint64_t *before)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t page = get_le64(list + i);

        if (page >= *before)
            return bad(w, page, "the list of free pages does not descend");
        int r = take_pages(w, page, 1, "it is free");
        if (r)
            return r;
        w->beyond += (page + 1) * w->page_size > w->size;
        *before = page;
    }
    return 0;
}

/* A list of free pages: `page` and `at` say where its bytes are. */
static int walk_list(struct walk *w, uint64_t page, size_t at, uint64_t len)
{
    uint8_t window[LIST_WINDOW];
    uint64_t count, before = NONE;
    int r = len < 8 ? bad(w, page, "a list of free pages is too short")
                    : read_at(w, window, 8, page, at);

    if (r)
        return r;
    count = get_le64(window);
    if (count > len / 8 - 1)
        return bad(w, page, "a list of free pages is too long");
    for (uint64_t i = 0; i < count && r == 0;) {
        uint64_t left = (count - i) * 8;
        size_t n = left < sizeof window ? (size_t)left : sizeof window;

        r = read_at(w, window, n, page, at + 8 + (size_t)i * 8);
        if (r == 0)
            r = take_free(w, window, n, &before);
        i += n / 8;
    }
    return r;
}

/* With rows what cannot be read is left out. */
static int unless_lost(struct walk *w, int r)
{
    if (r != -EUCLEAN || !w->rows)
        return r;
    w->rows->lost++;
    return 0;
}

static int tell_row(struct visit *v, const struct node *n)
{
    struct walk *w = v->w;
    const uint8_t *value = n->data;
    int r = 0;

    if (n->value > w->rows->value_max)
        return bad(w, 0, "a value is too long");
    if (n->flags & NODE_BIG) {
        value = w->value;
        r = read_at(w, w->value, (size_t)n->value, get_le64(n->data), PAGE_HEAD);
    }
    if (r == 0)
        r = w->rows->row(w->rows->ctx, v->name.p, v->name.len, n->key.p, n->key.len, value,
                         (size_t)n->value);
    w->rows->rows += r == 0;
    return r;
}

static int walk_tree(struct walk *w, enum kind kind, uint64_t from, const struct tree *says,
                     struct bytes name);

static int walk_value(struct visit *v, uint64_t number, const uint8_t *page, const struct node *n)
{
    struct walk *w = v->w;
    unsigned want = v->kind == TABLES ? NODE_TREE : n->flags & NODE_BIG;
    int r;

    if (n->flags != want)
        return bad(w, number, "a value is of no kind that is here");
    r = n->flags & NODE_BIG ? walk_overflow(v, n) : 0;
    if (r || v->kind == TABLE)
        return r == 0 && w->rows ? tell_row(v, n) : r;
    if (v->kind == FREE_PAGES) {
        if (get_le64(n->key.p) > w->head.txn)
            return bad(w, number, "pages were freed by a commit that is not there");
        return n->flags & NODE_BIG ? walk_list(w, get_le64(n->data), PAGE_HEAD, n->value)
                                   : walk_list(w, number, (size_t)(n->data - page), n->value);
    }
    if (n->value != TREE_LEN)
        return bad(w, number, "the record of a table has %llu bytes", (unsigned long long)n->value);
    struct tree t = tree_at(n->data);
    return walk_tree(w, TABLE, number, &t, n->key);
}

/* ---- trees ---- */

static int load_page(struct visit *v, uint64_t number, unsigned level, const uint8_t **ret)
{
    struct walk *w = v->w;
    unsigned want = level + 1 == v->is.depth ? IS_LEAF : IS_BRANCH, least;
    int r = level >= DEPTH_MAX ? bad(w, number, "it is too deep in its tree") : 0;

    if (r == 0)
        r = take_pages(w, number, 1, "it is of a tree");

    if (r)
        return r;
    if (!v->page[level] && !(v->page[level] = malloc(w->page_size)))
        return -ENOMEM;
    uint8_t *p = v->page[level];
    r = read_at(w, p, w->page_size, number, 0);
    if (r)
        return r;
    unsigned lower = get_le16(p + 12), upper = get_le16(p + 14);
    if (w->rows && get_le16(p + 10) == (IS_BRANCH ^ IS_LEAF ^ want))
        want ^= IS_BRANCH ^ IS_LEAF; /* the depth that the record says may be what is damaged */
    /* LMDB leaves a branch with one page below it in its own tree of free pages. */
    least = want == IS_BRANCH && v->kind != FREE_PAGES ? 2 : 1;
    if (get_le64(p) != number)
        return bad(w, number, "it says to be page %llu", (unsigned long long)get_le64(p));
    if (get_le16(p + 10) != want)
        return bad(w, number, "it is no %s", want == IS_LEAF ? "leaf" : "branch");
    if (lower < PAGE_HEAD + 2 * least || lower % 2 || lower > upper || upper > w->page_size)
        return bad(w, number, "its bounds are wrong");
    *ret = p;
    return check_nodes(w, number, p);
}

static int walk_page(struct visit *v, uint64_t number, unsigned level, struct range range);

static int walk_branch(struct visit *v, const uint8_t *page, unsigned level, struct range range)
{
    unsigned count = nodes_on(page);
    int r = 0;

    for (unsigned i = 0; i < count && r == 0; i++) {
        struct node n = {0}, next = {0};

        (void)node_at(v->w, page, i, &n);
        struct range below = {i ? n.key : range.from, range.to};
        if (i + 1 < count && !node_at(v->w, page, i + 1, &next))
            below.to = next.key;
        r = unless_lost(v->w, walk_page(v, n.value, level + 1, below));
    }
    return r;
}

static int walk_leaf(struct visit *v, uint64_t number, const uint8_t *page)
{
    unsigned count = nodes_on(page);
    int r = 0;

    for (unsigned i = 0; i < count && r == 0; i++) {
        struct node n = {0};

        (void)node_at(v->w, page, i, &n);
        r = unless_lost(v->w, walk_value(v, number, page, &n));
    }
    v->is.entries += count;
    return r;
}

static int walk_page(struct visit *v, uint64_t number, unsigned level, struct range range)
{
    const uint8_t *page = NULL;
    int r = load_page(v, number, level, &page);

    if (r == 0)
        r = check_keys(v, number, page, range);
    if (r)
        return r;
    if (get_le16(page + 10) == IS_LEAF) {
        v->is.leaves++;
        return walk_leaf(v, number, page);
    }
    v->is.branches++;
    return walk_branch(v, page, level, range);
}

/* The record of it is on page `from`. */
static int walk_tree(struct walk *w, enum kind kind, uint64_t from, const struct tree *says,
                     struct bytes name)
{
    struct visit v = {.w = w, .kind = kind, .name = name, .is.depth = says->depth};
    int r = 0;

    if (says->flags != (kind == FREE_PAGES ? INTEGER_KEYS : 0) || says->depth > DEPTH_MAX ||
        (says->depth == 0) != (says->root == NONE))
        r = bad(w, from, "the record of a tree is none");
    if (r && !w->rows)
        return r;
    r = 0;
    if (says->root != NONE)
        r = walk_page(&v, says->root, 0, (struct range){0});
    for (unsigned i = 0; i < DEPTH_MAX; i++)
        free(v.page[i]);
    if (r || w->rows)
        return r;
    if (v.is.branches != says->branches || v.is.leaves != says->leaves ||
        v.is.overflow != says->overflow || v.is.entries != says->entries)
        return bad(w, from, "the record of a tree does not count what it has");
    return 0;
}

/* ---- heads ---- */

static int read_head(struct walk *w, unsigned which, struct head *ret)
{
    uint8_t p[PAGE_HEAD + META_LEN];
    const uint8_t *m = p + PAGE_HEAD;
    int r = read_at(w, p, sizeof p, which, 0);

    if (r)
        return r;
    if (get_le64(p) != which || get_le16(p + 10) != IS_META || get_le32(m) != MAGIC)
        return bad(w, which, "it is no head");
    if (get_le32(m + 4) != VERSION)
        return bad(w, which, "it is of version %u", get_le32(m + 4));
    *ret = (struct head){.free = tree_at(m + 24),
                         .main = tree_at(m + 72),
                         .last = get_le64(m + 120),
                         .txn = get_le64(m + 128)};
    return 0;
}

/* The second head is a page behind the first, which says how long that is. Commits write them in
 * turn. */
static int read_heads(struct walk *w)
{
    struct head h[METAS] = {0};
    int r;

    w->page_size = PAGE_MIN; /* where the first one lies does not depend on it */
    r = read_head(w, 0, &h[0]);
    if (r)
        return r;
    w->page_size = h[0].free.page_size;
    if (w->page_size < PAGE_MIN || w->page_size > PAGE_MAX || w->page_size & (w->page_size - 1))
        return bad(w, 0, "its pages would have %u bytes", w->page_size);
    r = read_head(w, 1, &h[1]);
    if (r)
        return r;
    bool second = h[1].txn > h[0].txn;
    if (h[1].free.page_size != w->page_size)
        return bad(w, 1, "its pages would have %u bytes", h[1].free.page_size);
    if ((h[0].txn || h[1].txn) &&
        (h[0].txn % 2 != 0 || h[1].txn % 2 != 1 || h[second].txn - h[!second].txn != 1))
        return bad(w, second, "the numbers of the last two commits do not follow each other");
    w->head = h[second];
    return 0;
}

int lmdb_walk_head(int fd, uint64_t *ret_txn)
{
    char why[128];
    struct walk w = {.fd = fd, .why = why, .room = sizeof why};
    int r = read_heads(&w);

    if (r == 0)
        *ret_txn = w.head.txn;
    return r;
}

/* ---- the whole ---- */

/* Pages that the file does not reach are free ones: so their number is known to be no fancy. */
static int check_end(struct walk *w)
{
    uint64_t has = w->size / w->page_size, should = w->head.last + 1;

    if (should > has && should - has != w->beyond)
        return bad(w, w->head.last, "the file ends before it");
    return 0;
}

static int walk_all(struct walk *w)
{
    struct bytes none = {0};
    /* A list that names each page of the file could make it so many times as long. */
    uint64_t most = (w->size / w->page_size + 1) * (w->page_size / 8);
    int r;

    if (w->head.last < METAS - 1 || w->head.last > most)
        return bad(w, w->head.last, "the file is far too short for it");
    w->seen = calloc(w->head.last / 64 + 1, sizeof *w->seen);
    if (!w->seen)
        return -ENOMEM;
    r = w->rows ? 0 : walk_tree(w, FREE_PAGES, w->head.txn % 2, &w->head.free, none);
    if (r == 0)
        r = walk_tree(w, TABLES, w->head.txn % 2, &w->head.main, none);
    free(w->seen);
    return r || w->rows ? r : check_end(w);
}

int lmdb_walk(int fd, char *why, size_t room)
{
    struct walk w = {.fd = fd, .why = why, .room = room};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    w.size = (uint64_t)st.st_size;
    int r = read_heads(&w);
    return r ? r : walk_all(&w);
}

int lmdb_walk_rows(int fd, struct lmdb_rows *rows, char *why, size_t room)
{
    struct walk w = {.fd = fd, .why = why, .room = room, .rows = rows};
    struct stat st;

    *why = '\0';
    rows->rows = rows->lost = 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    w.size = (uint64_t)st.st_size;
    w.value = malloc(rows->value_max);
    int r = w.value ? read_heads(&w) : -ENOMEM;
    if (r == 0)
        r = walk_all(&w);
    free(w.value);
    return r;
}
