// SPDX-License-Identifier: Apache-2.0
/*
 * items_file: the items of a segment while it is made: in memory, and beyond ITEMS_INLINE bytes in
 * a file without a name, below TMPDIR or in /tmp.
 *
 *     items_file_open(&f)
 *     items_file_add(f, bytes, len) ...
 *     items_file_end(f, sum)                  no more is added
 *     items_file_len(f), items_file_bytes(f) or items_file_read(f, ...)
 *     items_file_close(f)
 *
 * Threads: one at a time. Errors: 0 or -errno: -ENOMEM, and what writing a file returns.
 */
#pragma once

#include "entry.h"
#include <stddef.h>
#include <stdint.h>

#define ITEMS_INLINE ((size_t)4 << 20)

struct items_file;

int items_file_open(struct items_file **ret);
int items_file_add(struct items_file *f, const void *bytes, size_t len);
int items_file_end(struct items_file *f, uint8_t ret_sum[SHA256_LEN]);
uint64_t items_file_len(const struct items_file *f);
/* All bytes, if there are at most ITEMS_INLINE; else NULL. */
const void *items_file_bytes(const struct items_file *f);
/* Reads exactly `len` bytes at `off`. -EIO: there are fewer. */
int items_file_read(struct items_file *f, void *buf, size_t len, uint64_t off);
void items_file_close(struct items_file *f); /* NULL is fine */
