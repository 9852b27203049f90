// SPDX-License-Identifier: Apache-2.0
/* vfs_block: arithmetic of blocks and subblock extents: where in a file they may lie. A check of a
 * store uses it, too. */
#pragma once

#include "item.h"

/* Subblock extents in one block. A write that needs one more makes the block an extent. */
#define SUBBLOCKS_MAX 8

/* The offset at which the block that holds `off` begins. */
static inline uint64_t block_start(uint64_t off)
{
    return off - off % EXTENT_BLOCK;
}
/* The number of bytes of the base in the block at `at`, whether an extent hides them or not. */
static inline uint64_t base_bytes(const struct inode *in, uint64_t at)
{
    uint64_t n = in->valid > at ? in->valid - at : 0;
    return n < EXTENT_BLOCK ? n : EXTENT_BLOCK;
}
/* A range of whole pages of FILE_PAGE bytes: file offsets of its beginning and its end. */
struct pages_of {
    uint64_t from, end;
};
/* The pages that [off, off+len) touches. */
struct pages_of pages_around(uint64_t off, size_t len);
