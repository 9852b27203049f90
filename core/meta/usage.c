// SPDX-License-Identifier: Apache-2.0
/*
 * usage: see the header. The walk recurses. Each level must be one below the last, so the recursion
 * ends, also in damaged trees.
 */
#include "usage.h"
#include "page.h"
#include "record.h"
#include <errno.h>
#include <stdlib.h>

#define ANY_LEVEL (PAGE_LEVEL_MAX + 1u) /* a root may have any level */

/* Reads and checks one page. */
static int read_page(struct usage_count *c, uint64_t no, uint8_t page[PAGE_SIZE_BYTES])
{
    const char *why;
    int err = store_page_read(c->snap, no, page, &why);

    if (err == 0 && c->step && c->step(++c->pages, c->ctx))
        err = -ECANCELED;
    return err;
}

static bool is_known(const struct usage_count *c, uint64_t no, struct usage *ret)
{
    return map64_get(&c->inodes, no, &ret->inodes) && map64_get(&c->bytes, no, &ret->bytes);
}

/* Keeps the result for a shared page. Only a shared page has a row in the table of page counts. */
static int remember(struct usage_count *c, uint64_t no, const struct usage *u)
{
    const void *count;
    size_t len;
    int err = kv_snap_get_number(c->snap, TABLE_PAGE_COUNTS, no, &count, &len);

    if (err < 0)
        return err == -ENOENT || err == -EUCLEAN ? 0 : err;
    err = map64_put(&c->inodes, no, u->inodes);
    return err < 0 ? err : map64_put(&c->bytes, no, u->bytes);
}

/* Adds what the inodes of a leaf take. */
static void add_items(const uint8_t *page, struct usage *sum)
{
    for (unsigned i = 0; i < page_count(page); i++) {
        size_t len;
        const uint8_t *val = page_value(page, i, &len);

        usage_add(sum, item_usage(page_key(page, i), val, len));
    }
}

/* Adds what page `no` and the pages below it take. Its level must be `above` - 1, unless that is
 * ANY_LEVEL. */
static int add_page(struct usage_count *c, uint64_t no, unsigned above, struct usage *sum)
{
    struct usage own = {0};
    uint8_t *page;
    int err;

    if (is_known(c, no, &own)) {
        usage_add(sum, own);
        return 0;
    }
    page = malloc(PAGE_SIZE_BYTES);
    if (!page)
        return -ENOMEM;
    err = read_page(c, no, page);
    if (err == 0 && above != ANY_LEVEL && page_level(page) + 1 != above)
        err = -EUCLEAN;
    if (err == 0 && page_level(page) == 0)
        add_items(page, &own);
    for (unsigned i = 0; err == 0 && page_level(page) > 0 && i < page_count(page); i++)
        err = add_page(c, page_child(page, i), page_level(page), &own);
    free(page);
    if (err == 0)
        err = remember(c, no, &own);
    if (err == 0)
        usage_add(sum, own);
    return err;
}

int usage_count(struct usage_count *c, uint64_t root, struct usage *ret)
{
    *ret = (struct usage){0};
    return root ? add_page(c, root, ANY_LEVEL, ret) : 0;
}

void usage_count_release(struct usage_count *c)
{
    map64_release(&c->inodes);
    map64_release(&c->bytes);
}
