// SPDX-License-Identifier: Apache-2.0
/*
 * lmdb_walk: see the header. It goes down the tree of free pages, the tree of tables, and each
 * table. What a page looks like is in lmdb_page.h.
 *
 * Three kinds of pages belong to trees: branches and leaves (load_page, walk_page) and
 * pages of values (walk_overflow); any other kind is damage. A new one has its flag in lmdb_page.h,
 * its function here, which takes each page once (take_pages), and its count in struct lmdb_tree.
 *
 * A value of the tree of free pages is a list: how many, then page numbers, the highest first.
 */
#include "lmdb_walk.h"
#include "bytes.h"
#include "lmdb_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 32
#define LIST_WINDOW 4096 /* bytes of a list of free pages read at once */

enum kind { FREE_PAGES, TABLES, TABLE };

struct walk {
    struct lmdb_file file;
    uint64_t size; /* of the file */
    struct lmdb_head head;
    uint64_t *seen;         /* a bit for each page: reached, or free */
    uint64_t beyond;        /* free pages that the file is too short to have */
    struct lmdb_rows *rows; /* receives all readable rows; NULL: stop at any damage */
    uint8_t *value;         /* with rows: buffer for a value that has pages of its own */
};

/* One tree on the way down. */
struct visit {
    struct walk *w;
    enum kind kind;
    struct lmdb_bytes name;   /* of a table */
    struct lmdb_tree is;      /* counted so far; only `depth` is from the tree's record */
    uint8_t *page[DEPTH_MAX]; /* buffer for each level, or NULL */
};

struct range {
    struct lmdb_bytes from, to; /* keys; p NULL: open. `to` is behind the last */
};

/* ---- pages ---- */

/* Marks the pages [page, page + count) as seen. -EUCLEAN: one is no page, or was seen before. */
static int take_pages(struct walk *w, uint64_t page, uint64_t count, const char *what)
{
    if (page < LMDB_HEADS || page > w->head.last || count > w->head.last - page + 1)
        return lmdb_bad(&w->file, page, "%s where there is no page", what);
    for (uint64_t i = page; i < page + count; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);

        if (w->seen[i / 64] & bit)
            return lmdb_bad(&w->file, i, "%s, and something else as well", what);
        w->seen[i / 64] |= bit;
    }
    return 0;
}

/* ---- keys ---- */

static int compare_keys(enum kind kind, struct lmdb_bytes a, struct lmdb_bytes b)
{
    if (kind == FREE_PAGES) {
        uint64_t x = get_le64(a.p), y = get_le64(b.p);
        return x < y ? -1 : x > y;
    }
    int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

static bool is_key(enum kind kind, struct lmdb_bytes k)
{
    return kind == FREE_PAGES ? k.len == 8 : k.len > 0;
}

/* Checks that the keys of a page ascend, and are within the range that the pages above give. LMDB
 * does not use the first key of a branch, so it is not checked. */
static int check_keys(struct visit *v, uint64_t number, const uint8_t *page, struct range range)
{
    bool leaf = get_le16(page + 10) == LMDB_LEAF;
    unsigned count = lmdb_nodes_on(page);
    struct lmdb_bytes before = range.from;

    for (unsigned i = leaf ? 0 : 1; i < count; i++) {
        struct lmdb_node n = {0};
        bool first = leaf && i == 0; /* may be the one that the page above has */

        (void)lmdb_node_at(&v->w->file, page, i, &n);
        if (!is_key(v->kind, n.key))
            return lmdb_bad(&v->w->file, number, "a key has %zu bytes", n.key.len);
        int c = before.p ? compare_keys(v->kind, before, n.key) : -1;
        if (c > 0 || (c == 0 && !first))
            return lmdb_bad(&v->w->file, number, "its keys do not ascend");
        before = n.key;
    }
    if (range.to.p && before.p && compare_keys(v->kind, before, range.to) >= 0)
        return lmdb_bad(&v->w->file, number, "it has keys of the page behind it");
    return 0;
}

/* ---- values ---- */

/* Checks the pages of a value that has pages of its own, and marks them as seen. */
static int walk_overflow(struct visit *v, const struct lmdb_node *n)
{
    struct walk *w = v->w;
    uint64_t page = get_le64(n->data), count;
    uint8_t head[LMDB_PAGE_HEAD];
    int err;

    if (page < LMDB_HEADS || page > w->head.last)
        return lmdb_bad(&w->file, page, "a value lies where there is no page");
    err = lmdb_read_at(&w->file, head, sizeof head, page, 0);
    if (err)
        return err;
    count = get_le32(head + 12);
    if (get_le64(head) != page || get_le16(head + 10) != LMDB_OVERFLOW)
        return lmdb_bad(&w->file, page, "a value lies in it, and it says otherwise");
    if (count * w->file.page_size < LMDB_PAGE_HEAD + n->value)
        return lmdb_bad(&w->file, page, "it is too short for its value");
    if (page * w->file.page_size + LMDB_PAGE_HEAD + n->value > w->size)
        return lmdb_bad(&w->file, page, "the file ends within its value");
    v->is.overflow += count;
    return take_pages(w, page, count, "a value lies in it");
}

/* Marks the pages in a part of a list of free pages: `len` bytes at `list`. *before is the number
 * in front of this part, and becomes its last one. */
static int take_free(struct walk *w, const uint8_t *list, size_t len, uint64_t *before)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t page = get_le64(list + i);

        if (page >= *before)
            return lmdb_bad(&w->file, page, "the list of free pages does not descend");
        int err = take_pages(w, page, 1, "it is free");
        if (err)
            return err;
        w->beyond += (page + 1) * w->file.page_size > w->size;
        *before = page;
    }
    return 0;
}

/* A list of free pages: `page` and `at` say where its bytes are. */
static int walk_list(struct walk *w, uint64_t page, size_t at, uint64_t len)
{
    uint8_t window[LIST_WINDOW];
    uint64_t count, before = LMDB_NO_PAGE;
    int err = len < 8 ? lmdb_bad(&w->file, page, "a list of free pages is too short")
                      : lmdb_read_at(&w->file, window, 8, page, at);

    if (err)
        return err;
    count = get_le64(window);
    if (count > len / 8 - 1)
        return lmdb_bad(&w->file, page, "a list of free pages is too long");
    for (uint64_t i = 0; i < count && err == 0;) {
        uint64_t left = (count - i) * 8;
        size_t n = left < sizeof window ? (size_t)left : sizeof window;

        err = lmdb_read_at(&w->file, window, n, page, at + 8 + (size_t)i * 8);
        if (err == 0)
            err = take_free(w, window, n, &before);
        i += n / 8;
    }
    return err;
}

/* Turns damage into success if rows are salvaged: the damaged part is counted in `lost`, and the
 * walk goes on behind it. */
static int unless_lost(struct walk *w, int err)
{
    if (err != -EUCLEAN || !w->rows)
        return err;
    w->rows->lost++;
    return 0;
}

/* Hands one row to w->rows; the value is first read if it has pages of its own. */
static int visit_row(struct visit *v, const struct lmdb_node *n)
{
    struct walk *w = v->w;
    const uint8_t *value = n->data;
    int err = 0;

    if (n->value > w->rows->value_max)
        return lmdb_bad(&w->file, 0, "a value is too long");
    if (n->flags & LMDB_NODE_BIG) {
        value = w->value;
        err = lmdb_read_at(&w->file, w->value, (size_t)n->value, get_le64(n->data), LMDB_PAGE_HEAD);
    }
    if (err == 0)
        err = w->rows->row(w->rows->ctx, v->name.p, v->name.len, n->key.p, n->key.len, value,
                           (size_t)n->value);
    w->rows->rows += err == 0;
    return err;
}

static int walk_tree(struct walk *w, enum kind kind, uint64_t from, const struct lmdb_tree *says,
                     struct lmdb_bytes name);

static int walk_value(struct visit *v, uint64_t number, const uint8_t *page,
                      const struct lmdb_node *n)
{
    struct walk *w = v->w;
    unsigned want = v->kind == TABLES ? LMDB_NODE_TREE : n->flags & LMDB_NODE_BIG;
    int err;

    if (n->flags != want)
        return lmdb_bad(&w->file, number, "a value is of no kind that is here");
    err = n->flags & LMDB_NODE_BIG ? walk_overflow(v, n) : 0;
    if (err || v->kind == TABLE)
        return err == 0 && w->rows ? visit_row(v, n) : err;
    if (v->kind == FREE_PAGES) {
        if (get_le64(n->key.p) > w->head.txn)
            return lmdb_bad(&w->file, number, "pages were freed by a commit that is not there");
        return n->flags & LMDB_NODE_BIG ? walk_list(w, get_le64(n->data), LMDB_PAGE_HEAD, n->value)
                                        : walk_list(w, number, (size_t)(n->data - page), n->value);
    }
    if (n->value != LMDB_TREE_LEN)
        return lmdb_bad(&w->file, number, "the record of a table has %llu bytes",
                        (unsigned long long)n->value);
    struct lmdb_tree t = lmdb_tree_at(n->data);
    return walk_tree(w, TABLE, number, &t, n->key);
}

/* ---- trees ---- */

/* Reads a page of a tree into the buffer of its level, and checks its head and its nodes. */
static int load_page(struct visit *v, uint64_t number, unsigned level, const uint8_t **ret)
{
    struct walk *w = v->w;
    unsigned want = level + 1 == v->is.depth ? LMDB_LEAF : LMDB_BRANCH, least;
    int err = level >= DEPTH_MAX ? lmdb_bad(&w->file, number, "it is too deep in its tree") : 0;

    if (err == 0)
        err = take_pages(w, number, 1, "it is of a tree");

    if (err)
        return err;
    if (!v->page[level] && !(v->page[level] = malloc(w->file.page_size)))
        return -ENOMEM;
    uint8_t *p = v->page[level];
    err = lmdb_read_at(&w->file, p, w->file.page_size, number, 0);
    if (err)
        return err;
    unsigned lower = get_le16(p + 12), upper = get_le16(p + 14);
    if (w->rows && get_le16(p + 10) == (LMDB_BRANCH ^ LMDB_LEAF ^ want))
        want ^= LMDB_BRANCH ^ LMDB_LEAF; /* the depth that the record says may be what is damaged */
    /* LMDB leaves a branch with one page below it in its own tree of free pages. */
    least = want == LMDB_BRANCH && v->kind != FREE_PAGES ? 2 : 1;
    if (get_le64(p) != number)
        return lmdb_bad(&w->file, number, "it says to be page %llu",
                        (unsigned long long)get_le64(p));
    if (get_le16(p + 10) != want)
        return lmdb_bad(&w->file, number, "it is no %s", want == LMDB_LEAF ? "leaf" : "branch");
    if (lower < LMDB_PAGE_HEAD + 2 * least || lower % 2 || lower > upper ||
        upper > w->file.page_size)
        return lmdb_bad(&w->file, number, "its bounds are wrong");
    *ret = p;
    return lmdb_check_nodes(&w->file, number, p);
}

static int walk_page(struct visit *v, uint64_t number, unsigned level, struct range range);

/* Walks the pages below a branch; the keys of each lie between two neighbouring keys of it. */
static int walk_branch(struct visit *v, const uint8_t *page, unsigned level, struct range range)
{
    unsigned count = lmdb_nodes_on(page);
    int err = 0;

    for (unsigned i = 0; i < count && err == 0; i++) {
        struct lmdb_node n = {0}, next = {0};

        (void)lmdb_node_at(&v->w->file, page, i, &n);
        struct range below = {i ? n.key : range.from, range.to};
        if (i + 1 < count && !lmdb_node_at(&v->w->file, page, i + 1, &next))
            below.to = next.key;
        err = unless_lost(v->w, walk_page(v, n.value, level + 1, below));
    }
    return err;
}

static int walk_leaf(struct visit *v, uint64_t number, const uint8_t *page)
{
    unsigned count = lmdb_nodes_on(page);
    int err = 0;

    for (unsigned i = 0; i < count && err == 0; i++) {
        struct lmdb_node n = {0};

        (void)lmdb_node_at(&v->w->file, page, i, &n);
        err = unless_lost(v->w, walk_value(v, number, page, &n));
    }
    v->is.entries += count;
    return err;
}

static int walk_page(struct visit *v, uint64_t number, unsigned level, struct range range)
{
    const uint8_t *page = NULL;
    int err = load_page(v, number, level, &page);

    if (err == 0)
        err = check_keys(v, number, page, range);
    if (err)
        return err;
    if (get_le16(page + 10) == LMDB_LEAF) {
        v->is.leaves++;
        return walk_leaf(v, number, page);
    }
    v->is.branches++;
    return walk_branch(v, page, level, range);
}

/* Walks one tree, whose record `says` is on page `from`, and compares the counts of the record with
 * what it found (not when rows are salvaged). */
static int walk_tree(struct walk *w, enum kind kind, uint64_t from, const struct lmdb_tree *says,
                     struct lmdb_bytes name)
{
    struct visit v = {.w = w, .kind = kind, .name = name, .is.depth = says->depth};
    int err = 0;

    if (says->flags != (kind == FREE_PAGES ? LMDB_INTEGER_KEYS : 0) || says->depth > DEPTH_MAX ||
        (says->depth == 0) != (says->root == LMDB_NO_PAGE))
        err = lmdb_bad(&w->file, from, "the record of a tree is none");
    if (err && !w->rows)
        return err;
    err = 0;
    if (says->root != LMDB_NO_PAGE)
        err = walk_page(&v, says->root, 0, (struct range){0});
    for (unsigned i = 0; i < DEPTH_MAX; i++)
        free(v.page[i]);
    if (err || w->rows)
        return err;
    if (v.is.branches != says->branches || v.is.leaves != says->leaves ||
        v.is.overflow != says->overflow || v.is.entries != says->entries)
        return lmdb_bad(&w->file, from, "the record of a tree does not count what it has");
    return 0;
}

int lmdb_walk_head(int fd, uint64_t *ret_txn)
{
    char why[128];
    struct walk w = {.file = {.fd = fd, .why = why, .room = sizeof why}};
    int err = lmdb_read_heads(&w.file, &w.head);

    if (err == 0)
        *ret_txn = w.head.txn;
    return err;
}

/* ---- the whole ---- */

/* The file may end before the last page only if all pages behind its end are free. */
static int check_end(struct walk *w)
{
    uint64_t has = w->size / w->file.page_size, should = w->head.last + 1;

    if (should > has && should - has != w->beyond)
        return lmdb_bad(&w->file, w->head.last, "the file ends before it");
    return 0;
}

static int walk_all(struct walk *w)
{
    struct lmdb_bytes none = {0};
    /* No sound file is shorter: its pages can hold the numbers of so many free pages, and all that
     * it lacks are free. */
    uint64_t most = (w->size / w->file.page_size + 1) * (w->file.page_size / 8);
    int err;

    if (w->head.last < LMDB_HEADS - 1 || w->head.last > most)
        return lmdb_bad(&w->file, w->head.last, "the file is far too short for it");
    w->seen = calloc(w->head.last / 64 + 1, sizeof *w->seen);
    if (!w->seen)
        return -ENOMEM;
    err = w->rows ? 0 : walk_tree(w, FREE_PAGES, w->head.txn % 2, &w->head.free, none);
    if (err == 0)
        err = walk_tree(w, TABLES, w->head.txn % 2, &w->head.main, none);
    free(w->seen);
    return err || w->rows ? err : check_end(w);
}

int lmdb_walk(int fd, char *why, size_t room)
{
    struct walk w = {.file = {.fd = fd, .why = why, .room = room}};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    w.size = (uint64_t)st.st_size;
    int err = lmdb_read_heads(&w.file, &w.head);
    return err ? err : walk_all(&w);
}

int lmdb_walk_rows(int fd, struct lmdb_rows *rows, char *why, size_t room)
{
    struct walk w = {.file = {.fd = fd, .why = why, .room = room, .first_only = true},
                     .rows = rows};
    struct stat st;

    *why = '\0';
    rows->rows = rows->lost = 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    w.size = (uint64_t)st.st_size;
    w.value = malloc(rows->value_max);
    int err = w.value ? lmdb_read_heads(&w.file, &w.head) : -ENOMEM;
    if (err == 0)
        err = walk_all(&w);
    free(w.value);
    return err;
}
