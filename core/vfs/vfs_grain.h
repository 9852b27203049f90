// SPDX-License-Identifier: Apache-2.0
/* vfs_grain: arithmetic of grains and patches: where in a file they may lie. A check of a store
 * uses it, too. */
#pragma once

#include "item.h"

#define PATCHES_MAX 8 /* patches in one grain; one more write to the grain makes it an extent */

/* The offset at which the grain that holds `off` begins. */
static inline uint64_t grain_start(uint64_t off)
{
    return off - off % EXTENT_GRAIN;
}
/* The number of bytes of the base in the grain at `at`, whether an extent hides them or not. */
static inline uint64_t base_bytes(const struct inode *in, uint64_t at)
{
    uint64_t n = in->valid > at ? in->valid - at : 0;
    return n < EXTENT_GRAIN ? n : EXTENT_GRAIN;
}
/* A range of whole pages of PATCH_PAGE bytes: file offsets of its beginning and its end. */
struct pages_of {
    uint64_t from, end;
};
/* The pages that [off, off+len) touches. */
struct pages_of pages_around(uint64_t off, size_t len);
