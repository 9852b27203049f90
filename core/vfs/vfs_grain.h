// SPDX-License-Identifier: Apache-2.0
/* vfs_grain: where the grains of a file, and the patches upon one, may lie: arithmetic, which a
 * check does as well. */
#pragma once

#include "item.h"

#define PATCHES_MAX 8 /* in a grain; the next write there makes it an extent */

static inline uint64_t grain_start(uint64_t off)
{
    return off - off % EXTENT_GRAIN;
}
/* Bytes of the base that lie in the grain at `at`, seen or not. */
static inline uint64_t base_bytes(const struct inode *in, uint64_t at)
{
    uint64_t n = in->valid > at ? in->valid - at : 0;
    return n < EXTENT_GRAIN ? n : EXTENT_GRAIN;
}
/* The whole pages that [off, off+len) touches. */
struct pages_of {
    uint64_t from, end;
};
struct pages_of pages_around(uint64_t off, size_t len);
