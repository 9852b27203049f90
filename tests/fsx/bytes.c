// SPDX-License-Identifier: Apache-2.0
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes_page {
    unsigned refs;
    uint8_t data[BYTES_PAGE];
};

static const uint8_t zeros[BYTES_PAGE];

static void *must(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return p;
}

static size_t pages_of(uint64_t size)
{
    return (size_t)((size + BYTES_PAGE - 1) / BYTES_PAGE);
}

static void drop(struct bytes_page *page)
{
    if (page && --page->refs == 0)
        free(page);
}

static const uint8_t *look(const struct bytes *b, size_t i)
{
    return i < b->pages && b->page[i] ? b->page[i]->data : zeros;
}

/* Page `i`, this file's own. */
static uint8_t *own(struct bytes *b, size_t i)
{
    struct bytes_page *old = b->page[i], *mine;

    if (old && old->refs == 1)
        return old->data;
    mine = must(malloc(sizeof *mine));
    mine->refs = 1;
    memcpy(mine->data, look(b, i), BYTES_PAGE);
    drop(old);
    b->page[i] = mine;
    return mine->data;
}

void bytes_release(struct bytes *b)
{
    for (size_t i = 0; i < b->pages; i++)
        drop(b->page[i]);
    free(b->page);
    *b = (struct bytes){0};
}

void bytes_clone(const struct bytes *from, struct bytes *ret)
{
    *ret = *from;
    ret->page = must(calloc(from->pages + 1, sizeof(struct bytes_page *)));
    for (size_t i = 0; i < from->pages; i++) {
        ret->page[i] = from->page[i];
        if (ret->page[i])
            ret->page[i]->refs++;
    }
}

static void resize(struct bytes *b, size_t pages)
{
    for (size_t i = pages; i < b->pages; i++)
        drop(b->page[i]);
    if (pages != b->pages)
        b->page = must(realloc(b->page, (pages + 1) * sizeof(struct bytes_page *)));
    for (size_t i = b->pages; i < pages; i++)
        b->page[i] = NULL;
    b->pages = pages;
}

void bytes_truncate(struct bytes *b, uint64_t size)
{
    size_t tail = (size_t)(size % BYTES_PAGE);

    resize(b, pages_of(size));
    if (size < b->size && tail && b->page[b->pages - 1])
        memset(own(b, b->pages - 1) + tail, 0, BYTES_PAGE - tail);
    b->size = size;
}

/* The part of [off, end) that is in page off / BYTES_PAGE. */
static size_t part(uint64_t off, uint64_t end)
{
    uint64_t n = BYTES_PAGE - off % BYTES_PAGE;
    return (size_t)(n < end - off ? n : end - off);
}

void bytes_write(struct bytes *b, const void *buf, size_t len, uint64_t off)
{
    const uint8_t *from = buf;
    uint64_t end = off + len;

    if (len && end > b->size)
        bytes_truncate(b, end);
    for (size_t n; off < end; off += n, from += n) {
        n = part(off, end);
        memcpy(own(b, (size_t)(off / BYTES_PAGE)) + off % BYTES_PAGE, from, n);
    }
}

void bytes_zero(struct bytes *b, uint64_t off, uint64_t len)
{
    uint64_t end = off + len < b->size ? off + len : b->size;

    for (size_t n; off < end; off += n) {
        n = part(off, end);
        if (b->page[off / BYTES_PAGE])
            memset(own(b, (size_t)(off / BYTES_PAGE)) + off % BYTES_PAGE, 0, n);
    }
}

size_t bytes_read(const struct bytes *b, void *buf, size_t len, uint64_t off)
{
    uint8_t *to = buf;
    uint64_t end = off + len < b->size ? off + len : b->size;
    size_t done = 0;

    for (size_t n; off < end; off += n, done += n) {
        n = part(off, end);
        memcpy(to + done, look(b, (size_t)(off / BYTES_PAGE)) + off % BYTES_PAGE, n);
    }
    return done;
}

size_t bytes_differ(const struct bytes *b, const void *got, size_t len, uint64_t off)
{
    const uint8_t *p = got;

    for (size_t done = 0, n; done < len; done += n) {
        const uint8_t *want =
            look(b, (size_t)((off + done) / BYTES_PAGE)) + (off + done) % BYTES_PAGE;
        n = part(off + done, off + len);
        if (memcmp(p + done, want, n) == 0)
            continue;
        for (size_t i = 0; i < n; i++)
            if (p[done + i] != want[i])
                return done + i;
    }
    return len;
}

bool bytes_are_zero(const struct bytes *b, uint64_t off, uint64_t len)
{
    for (uint64_t end = off + len, n; off < end; off += n) {
        n = part(off, end);
        if (memcmp(look(b, (size_t)(off / BYTES_PAGE)) + off % BYTES_PAGE, zeros, (size_t)n) != 0)
            return false;
    }
    return true;
}

/* ---- digests ---- */

uint64_t digest_page(uint64_t digest, const void *page)
{
    const uint8_t *p = page;

    for (size_t i = 0; i < BYTES_PAGE; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        digest = (digest ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        digest ^= digest >> 29;
    }
    return digest;
}

uint64_t digest_end(uint64_t digest, uint64_t size)
{
    digest = (digest ^ size) * UINT64_C(0xbf58476d1ce4e5b9);
    return digest ^ digest >> 31;
}

uint64_t bytes_digest(const struct bytes *b)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < b->pages; i++)
        digest = digest_page(digest, look(b, i));
    return digest_end(digest, b->size);
}
