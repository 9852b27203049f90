// SPDX-License-Identifier: Apache-2.0
/* lmdb_page: see the header. */
#include "lmdb_page.h"
#include "bytes.h"
#include "io.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define NODE_HEAD 8
#define META_LEN 136
#define MAGIC 0xBEEFC0DEu
#define VERSION 1u
#define IS_META 8u
#define KEY_MAX 511
#define PAGE_MIN 512u

int lmdb_bad(struct lmdb_file *f, uint64_t page, const char *fmt, ...)
{
    va_list args;

    if (f->first_only && *f->why)
        return -EUCLEAN;
    int n = snprintf(f->why, f->room, "page %llu: ", (unsigned long long)page);

    va_start(args, fmt);
    if (n > 0 && (size_t)n < f->room)
        (void)vsnprintf(f->why + n, f->room - (size_t)n, fmt, args);
    va_end(args);
    return -EUCLEAN;
}

int lmdb_read_at(struct lmdb_file *f, void *buf, size_t len, uint64_t page, size_t at)
{
    ssize_t n = io_pread(f->fd, buf, len, page * f->page_size + at);

    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : lmdb_bad(f, page, "the file ends before it");
}

struct lmdb_tree lmdb_tree_at(const uint8_t *p)
{
    return (struct lmdb_tree){.page_size = get_le32(p),
                              .flags = get_le16(p + 4),
                              .depth = get_le16(p + 6),
                              .branches = get_le64(p + 8),
                              .leaves = get_le64(p + 16),
                              .overflow = get_le64(p + 24),
                              .entries = get_le64(p + 32),
                              .root = get_le64(p + 40)};
}

/* ---- nodes ---- */

unsigned lmdb_nodes_on(const uint8_t *page)
{
    return (get_le16(page + 12) - LMDB_PAGE_HEAD) / 2u;
}

const char *lmdb_node_at(const struct lmdb_file *f, const uint8_t *page, unsigned i,
                         struct lmdb_node *ret)
{
    size_t at = get_le16(page + LMDB_PAGE_HEAD + 2 * (size_t)i), room;
    bool leaf = get_le16(page + 10) == LMDB_LEAF;
    const uint8_t *p = page + at;
    struct lmdb_node n = {0};

    if (at % 2 || at < get_le16(page + 14) || at > f->page_size - NODE_HEAD)
        return "a node lies outside of it";
    room = f->page_size - at - NODE_HEAD;
    n.flags = leaf ? get_le16(p + 4) : 0;
    n.value = get_le32(p) | (leaf ? 0 : (uint64_t)get_le16(p + 4) << 32);
    n.key = (struct lmdb_bytes){p + NODE_HEAD, get_le16(p + 6)};
    n.data = n.key.p + n.key.len;
    n.size = NODE_HEAD + n.key.len;
    if (n.key.len > KEY_MAX || n.key.len > room)
        return "a key reaches beyond it";
    if (leaf) {
        uint64_t inside = n.flags & LMDB_NODE_BIG ? 8 : n.value;

        if (inside > room - n.key.len)
            return "a value reaches beyond it";
        n.size += (size_t)inside;
    }
    n.size += n.size % 2;
    *ret = n;
    return NULL;
}

int lmdb_check_nodes(struct lmdb_file *f, uint64_t number, const uint8_t *page)
{
    unsigned count = lmdb_nodes_on(page);
    uint8_t used[LMDB_PAGE_MAX / 16] = {0}; /* a bit for each 2 bytes */
    size_t all = 0;

    for (unsigned i = 0; i < count; i++) {
        struct lmdb_node n = {0};
        const char *wrong = lmdb_node_at(f, page, i, &n);

        if (wrong)
            return lmdb_bad(f, number, "%s", wrong);
        size_t at = (size_t)(n.key.p - NODE_HEAD - page) / 2;
        for (size_t j = at; j < at + n.size / 2; j++) {
            if (j >= f->page_size / 2 || used[j / 8] & (1u << j % 8))
                return lmdb_bad(f, number, "two nodes share a byte");
            used[j / 8] = (uint8_t)(used[j / 8] | 1u << j % 8);
        }
        all += n.size;
    }
    if (all != f->page_size - get_le16(page + 14))
        return lmdb_bad(f, number, "there is a gap between its nodes");
    return 0;
}

/* ---- heads ---- */

static int read_head(struct lmdb_file *f, unsigned which, struct lmdb_head *ret)
{
    uint8_t p[LMDB_PAGE_HEAD + META_LEN];
    const uint8_t *m = p + LMDB_PAGE_HEAD;
    int err = lmdb_read_at(f, p, sizeof p, which, 0);

    if (err)
        return err;
    if (get_le64(p) != which || get_le16(p + 10) != IS_META || get_le32(m) != MAGIC)
        return lmdb_bad(f, which, "it is no head");
    if (get_le32(m + 4) != VERSION)
        return lmdb_bad(f, which, "it is of version %u", get_le32(m + 4));
    *ret = (struct lmdb_head){.free = lmdb_tree_at(m + 24),
                              .main = lmdb_tree_at(m + 72),
                              .last = get_le64(m + 120),
                              .txn = get_le64(m + 128)};
    return 0;
}

/* The second head is a page behind the first, which says how long that is. Commits write them in
 * turn. */
int lmdb_read_heads(struct lmdb_file *f, struct lmdb_head *ret)
{
    struct lmdb_head h[LMDB_HEADS] = {0};
    int err;

    f->page_size = PAGE_MIN; /* where the first one lies does not depend on it */
    err = read_head(f, 0, &h[0]);
    if (err)
        return err;
    f->page_size = h[0].free.page_size;
    if (f->page_size < PAGE_MIN || f->page_size > LMDB_PAGE_MAX ||
        f->page_size & (f->page_size - 1))
        return lmdb_bad(f, 0, "its pages would have %u bytes", f->page_size);
    err = read_head(f, 1, &h[1]);
    if (err)
        return err;
    bool second = h[1].txn > h[0].txn;
    if (h[1].free.page_size != f->page_size)
        return lmdb_bad(f, 1, "its pages would have %u bytes", h[1].free.page_size);
    if ((h[0].txn || h[1].txn) &&
        (h[0].txn % 2 != 0 || h[1].txn % 2 != 1 || h[second].txn - h[!second].txn != 1))
        return lmdb_bad(f, second, "the numbers of the last two commits do not follow each other");
    *ret = h[second];
    return 0;
}
