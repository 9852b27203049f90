// SPDX-License-Identifier: Apache-2.0
/* forgotten_attrs: the attributes of inodes that have no name and no items any more, and that the
 * kernel still knows. */
#pragma once

#include "item.h"
#include "lock.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct state;

#define FORGOTTEN_BUCKETS 1024
#define FORGOTTEN_MAX 65536
struct forgotten_attrs {
    struct mutex lock; /* "forgotten attrs" */
    struct forgotten *bucket[FORGOTTEN_BUCKETS] GUARDED_BY(forgotten_attrs);
    _Atomic size_t count;
};

/* Keeps the attributes of an inode whose items are deleted (or replaces the kept ones), until it is
 * forgotten. Without memory, or when FORGOTTEN_MAX are kept, nothing is kept. */
void forgotten_attrs_keep(struct state *p, uint64_t nodeid, const struct inode *in);
/* Reads the kept attributes. -ESTALE: none are kept. */
int forgotten_attrs_load(struct state *p, uint64_t nodeid, struct inode *ret);
/* The kernel has forgotten the inode: so does this. */
void forgotten_attrs_forget(struct state *p, uint64_t nodeid);
void forgotten_attrs_release(struct state *p);
