// SPDX-License-Identifier: Apache-2.0
/*
 * mem_bytes: the bytes of one file in memory, in pages; a missing page is a hole.
 */
#include "disk_mem_impl.h"

#include <string.h>

static uint8_t reserved[1]; /* only its address is used: a page of zeros that has room */

static void page_drop(struct bytes *b, size_t i)
{
    if (b->page[i] != reserved)
        free(b->page[i]);
    b->page[i] = NULL;
}

bool mem_page_has_bytes(const struct bytes *b, size_t i)
{
    return i < b->pages && b->page[i] && b->page[i] != reserved;
}

uint64_t mem_bytes_held(const struct bytes *b)
{
    uint64_t n = 0;

    for (size_t i = 0; i < b->pages; i++)
        n += b->page[i] ? MEM_PAGE : 0;
    return n;
}

/* Makes the array of pages long enough for `size` bytes; it at least doubles. */
static void bytes_reserve(struct bytes *b, uint64_t size)
{
    size_t want = (size_t)((size + MEM_PAGE - 1) / MEM_PAGE);

    if (want <= b->pages)
        return;
    if (want < b->pages * 2)
        want = b->pages * 2;
    b->page = mem_must(realloc(b->page, want * sizeof *b->page));
    memset(b->page + b->pages, 0, (want - b->pages) * sizeof *b->page);
    b->pages = want;
}

void mem_bytes_write(struct bytes *b, const uint8_t *data, uint64_t len, uint64_t off)
{
    bytes_reserve(b, off + len);
    if (off + len > b->size)
        b->size = off + len;
    while (len > 0) {
        size_t i = (size_t)(off / MEM_PAGE), within = (size_t)(off % MEM_PAGE);
        size_t n = len < MEM_PAGE - within ? (size_t)len : MEM_PAGE - within;

        if (!mem_page_has_bytes(b, i))
            b->page[i] = mem_must(calloc(1, MEM_PAGE));
        memcpy(b->page[i] + within, data, n);
        data += n;
        off += n;
        len -= n;
    }
}

void mem_bytes_punch(struct bytes *b, uint64_t off, uint64_t len)
{
    uint64_t all = (uint64_t)b->pages * MEM_PAGE;

    if (off >= all)
        return;
    if (len > all - off)
        len = all - off;
    while (len > 0) {
        size_t i = (size_t)(off / MEM_PAGE), within = (size_t)(off % MEM_PAGE);
        size_t n = len < MEM_PAGE - within ? (size_t)len : MEM_PAGE - within;

        if (n == MEM_PAGE)
            page_drop(b, i);
        else if (mem_page_has_bytes(b, i))
            memset(b->page[i] + within, 0, n);
        off += n;
        len -= n;
    }
}

/* The rest of the last page becomes zeros, since a later growth must show zeros there. */
void mem_bytes_truncate(struct bytes *b, uint64_t size)
{
    if (size < b->size) {
        size_t first = (size_t)((size + MEM_PAGE - 1) / MEM_PAGE);

        mem_bytes_punch(b, size,
                        (uint64_t)b->pages * MEM_PAGE); /* zeros in the rest of the last page */
        for (size_t i = first; i < b->pages; i++)
            page_drop(b, i);
    }
    b->size = size;
}

size_t mem_bytes_read(const struct bytes *b, uint8_t *out, size_t len, uint64_t off)
{
    if (off >= b->size)
        return 0;
    if (len > b->size - off)
        len = (size_t)(b->size - off);
    for (size_t done = 0, n; done < len; done += n) {
        size_t i = (size_t)((off + done) / MEM_PAGE), within = (size_t)((off + done) % MEM_PAGE);

        n = len - done < MEM_PAGE - within ? len - done : MEM_PAGE - within;
        if (mem_page_has_bytes(b, i))
            memcpy(out + done, b->page[i] + within, n);
        else
            memset(out + done, 0, n);
    }
    return len;
}

void mem_bytes_release(struct bytes *b)
{
    for (size_t i = 0; i < b->pages; i++)
        page_drop(b, i);
    free(b->page);
    *b = (struct bytes){0};
}

/* Gives holes their room, and makes the file longer if need be. */
void mem_bytes_allocate(struct bytes *b, uint64_t size)
{
    bytes_reserve(b, size);
    for (size_t i = 0; i * MEM_PAGE < size; i++)
        if (!b->page[i])
            b->page[i] = reserved;
    if (size > b->size)
        b->size = size;
}

void mem_bytes_copy(struct bytes *to, const struct bytes *from)
{
    mem_bytes_release(to);
    bytes_reserve(to, (uint64_t)from->pages * MEM_PAGE);
    for (size_t i = 0; i < from->pages; i++)
        if (mem_page_has_bytes(from, i))
            mem_bytes_write(to, from->page[i], MEM_PAGE, (uint64_t)i * MEM_PAGE);
        else
            to->page[i] = from->page[i];
    to->size = from->size;
}

/* By how many bytes a write of [off, off+len) makes mem_bytes_held grow. */
uint64_t mem_bytes_growth(const struct bytes *b, uint64_t len, uint64_t off)
{
    uint64_t n = 0;

    for (uint64_t i = off / MEM_PAGE; i * MEM_PAGE < off + len; i++)
        n += i < b->pages && b->page[i] ? 0 : MEM_PAGE;
    return n;
}
