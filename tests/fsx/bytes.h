// SPDX-License-Identifier: Apache-2.0
/*
 * bytes: what a file should hold. Pages are shared copy-on-write between clones, so that the model
 * of a branch costs what changes in it, as the branch itself does. A missing page is zeros; past
 * `size` a page is zeros, always. Out of memory ends the program. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BYTES_PAGE 4096

struct bytes_page;

struct bytes {
    uint64_t size;            /* bytes */
    struct bytes_page **page; /* NULL: zeros */
    size_t pages;
};

void bytes_release(struct bytes *b);
void bytes_clone(const struct bytes *from, struct bytes *ret);

/* Grows the file if need be. */
void bytes_write(struct bytes *b, const void *buf, size_t len, uint64_t off);
void bytes_truncate(struct bytes *b, uint64_t size);
/* Zeros within the size; what is beyond it is left alone. */
void bytes_zero(struct bytes *b, uint64_t off, uint64_t len);

/* What a read returns: bytes up to the end of the file. */
size_t bytes_read(const struct bytes *b, void *buf, size_t len, uint64_t off);
/* The index of the first of `len` bytes that is not as it should be; `len` if all are. Zeros are
 * expected past the end. */
size_t bytes_differ(const struct bytes *b, const void *got, size_t len, uint64_t off);
bool bytes_are_zero(const struct bytes *b, uint64_t off, uint64_t len);

/* A digest that needs not resist anybody. A file is fed in whole pages, the last one filled up with
 * zeros, and its size at the end. */
uint64_t digest_page(uint64_t digest, const void *page);
uint64_t digest_end(uint64_t digest, uint64_t size);
uint64_t bytes_digest(const struct bytes *b);
